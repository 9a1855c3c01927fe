package mesh_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func later(m wire.Message, in time.Duration) wire.Message {
	m.At = time.Now().Add(in)
	return m
}

// delivered waits for messages on a subject and returns them.
func delivered(t *testing.T, js jetstream.JetStream, stream, subject string, n int) []jetstream.Msg {
	t.Helper()
	c, err := js.OrderedConsumer(t.Context(), stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	var got []jetstream.Msg
	for len(got) < n {
		msg, err := c.Next(jetstream.FetchMaxWait(15 * time.Second))
		if err != nil {
			t.Fatalf("%d of %d came on %s: %v", len(got), n, subject, err)
		}
		got = append(got, msg)
	}
	return got
}

func waits(t *testing.T, m *mesh.Mesh, id wire.EventID) bool {
	t.Helper()
	_, waiting, err := m.Scheduled(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return waiting
}

func cancel(t *testing.T, m *mesh.Mesh, id wire.EventID) bool {
	t.Helper()
	cancelled, err := m.Cancel(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return cancelled
}

// TestScheduleIsDelivered waits for messages to be delivered by JetStream, alone and
// from a batch, in a log of one partition and of several.
func TestScheduleIsDelivered(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			m, _, js := logOf(t, partitions)
			one := later(message(wire.User("ada@example.com"), "one"), time.Second)
			one.TTL, one.Collapse, one.MsgID = time.Hour, "order:7", "id"
			r := publish(t, m, one)[0]
			if r.Subject != "sv.ws.user.=YWRhQGV4YW1wbGUuY29t" || r.Duplicate {
				t.Errorf("%+v", r)
			}
			found, waiting, err := m.Scheduled(t.Context(), r.ID)
			if err != nil || !waiting || !found.At.Equal(one.At) || found.TTL != one.TTL || found.Collapse != one.Collapse ||
				found.Audience != one.Audience || found.Envelope.Type != "toast" {
				t.Errorf("%+v, %v, %v", found, waiting, err)
			}
			batch := []wire.Message{
				later(message(wire.User("b1"), "b1"), time.Second), message(wire.User("b2"), "b2"), later(message(wire.Broadcast(), "b3"), time.Second),
			}
			publish(t, m, batch...)
			for _, want := range append(batch, one) {
				subjects := wire.Subjects{}.Partitioned(partitions)
				subject, err := subjects.Stored(want.Audience)
				if err != nil {
					t.Fatal(err)
				}
				stream := "SV_LOG"
				if partitions > 1 {
					stream = fmt.Sprint("SV_LOG_", subjects.Partition(want.Audience))
				}
				msg := delivered(t, js, stream, subject, 1)[0]
				meta, err := msg.Metadata()
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(string(msg.Data()), string(want.Envelope.Payload)) {
					t.Errorf("%s came on %s", msg.Data(), subject)
				}
				if meta.Timestamp.Before(want.At) {
					t.Errorf("%s was delivered %v early", subject, want.At.Sub(meta.Timestamp))
				}
				h, ttl := msg.Headers(), ""
				if want.TTL > 0 {
					ttl = "3600"
				}
				if h.Get(wire.HeaderTTL) != ttl || h.Get(wire.HeaderCollapse) != want.Collapse || h.Get("Nats-Schedule") != "" {
					t.Errorf("%s came with the headers %v", subject, h)
				}
			}
			if waits(t, m, r.ID) || cancel(t, m, r.ID) {
				t.Error("what is delivered still waits")
			}
			// The same request again, when it is over.
			if again := publish(t, m, one)[0]; !again.Duplicate || again.ID != r.ID {
				t.Errorf("again: %+v, was %+v", again, r)
			}
		})
	}
}

// TestCancel: what is cancelled does not come, although what was to come after it does.
func TestCancel(t *testing.T) {
	m, _, js := logOf(t, 1)
	to := wire.User("ada")
	cancelled := publish(t, m, later(message(to, "cancelled"), 1500*time.Millisecond))[0]
	soon := publish(t, m, later(message(to, "soon"), 300*time.Millisecond))[0]
	year := publish(t, m, later(message(to, "in a year"), 365*24*time.Hour))[0]
	event := publish(t, m, message(to, "now"))[0]
	last := publish(t, m, later(message(to, "last"), 2*time.Second))[0]
	if !waits(t, m, cancelled.ID) || !waits(t, m, year.ID) || waits(t, m, event.ID) {
		t.Error("not the right ones wait")
	}
	foreign := year.ID
	foreign.Life++
	elsewhere := year.ID
	elsewhere.Partition = 1
	for name, id := range map[string]wire.EventID{
		"an event": event.ID, "another life": foreign, "another partition": elsewhere, "nothing yet": {Position: wire.Position{Life: year.ID.Life, Seq: 1000}},
		"zero": {Position: wire.Position{Life: year.ID.Life}}, "too late": soon.ID,
	} {
		if cancel(t, m, id) {
			t.Errorf("%s was cancelled", name)
		}
	}
	if !cancel(t, m, cancelled.ID) || waits(t, m, cancelled.ID) || cancel(t, m, cancelled.ID) {
		t.Error("it was not cancelled, or twice")
	}
	var titles []string
	for _, msg := range delivered(t, js, "SV_LOG", "sv.ws.user.ada", 3) {
		titles = append(titles, string(msg.Data()))
	}
	if got := strings.Join(titles, " "); strings.Contains(got, "cancelled") || !strings.Contains(got, "soon") || !strings.Contains(got, "now") {
		t.Errorf("%s came", got)
	}
	if waits(t, m, last.ID) || !cancel(t, m, year.ID) {
		t.Error("the last waits, or the one in a year does not")
	}
}

// TestScheduleOfTheSameIDIsOne: in the dedup window it is a duplicate, after it the
// newer schedule takes the place of the one that waits.
func TestScheduleOfTheSameIDIsOne(t *testing.T) {
	m, _, js := logOf(t, 1)
	cfg := info(t, js, "SV_LOG").Config
	cfg.Duplicates = 100 * time.Millisecond
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	msg := later(message(wire.User("ada"), "x"), time.Hour)
	msg.MsgID = "the same"
	first := publish(t, m, msg)[0]
	ctx, stop := context.WithTimeout(t.Context(), 15*time.Second)
	defer stop()
	for {
		again, err := m.Publish(ctx, []wire.Message{msg})
		if err != nil {
			t.Fatal(err)
		}
		if again[0].Duplicate && again[0].ID == first.ID {
			continue
		}
		if again[0].Duplicate || waits(t, m, first.ID) || !waits(t, m, again[0].ID) {
			t.Errorf("first %+v, then %+v", first, again[0])
		}
		break
	}
	if n := info(t, js, "SV_LOG").State.Msgs; n != 1 {
		t.Errorf("%d schedules wait, want 1", n)
	}
}

// TestScheduleOutlivesRetention: a message that waits for longer than the log keeps
// messages is delivered all the same.
func TestScheduleOutlivesRetention(t *testing.T) {
	m, _, js := logOf(t, 1)
	cfg := info(t, js, "SV_LOG").Config
	cfg.MaxAge, cfg.Duplicates = time.Second, time.Second
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	publish(t, m, later(message(wire.User("ada"), "x"), 3*time.Second))
	delivered(t, js, "SV_LOG", "sv.ws.user.ada", 1)
}

func TestTailPassesOverSchedules(t *testing.T) {
	m := connected(t)
	s := follow(t, m, 10)
	r := publish(t, m, later(message(wire.User("ada"), "waits"), time.Hour), message(wire.User("ada"), "now"))
	s.until(t, 1)
	if len(s.seqs) != 1 || s.seqs[0] != r[1].ID.Seq {
		t.Errorf("the tail has %v, want %d", s.seqs, r[1].ID.Seq)
	}
	page, err := m.Newest(t.Context(), []wire.Audience{wire.User("ada")}, nil, 10)
	if err != nil || len(page) != 1 || page[0].Seq != r[1].ID.Seq {
		t.Errorf("the history has %+v, %v", page, err)
	}
}

// TestExpiry: JetStream removes what has a TTL, from a batch, too.
func TestExpiry(t *testing.T) {
	m, _, js := logOf(t, 1)
	short, long := message(wire.User("a"), "short"), message(wire.User("b"), "long")
	short.TTL, long.TTL = time.Second, time.Hour
	publish(t, m, short)
	publish(t, m, long, short, message(wire.User("c"), "kept"))
	deadline := time.After(15 * time.Second)
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for info(t, js, "SV_LOG").State.Msgs != 2 {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("the log holds %d messages, want 2", info(t, js, "SV_LOG").State.Msgs)
		}
	}
	for _, user := range []string{"b", "c"} {
		delivered(t, js, "SV_LOG", "sv.ws.user."+user, 1)
	}
}
