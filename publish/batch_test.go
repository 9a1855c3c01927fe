package publish_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
	"github.com/socialvibes/vibemesh/publish"
)

func people(from, n int) (ids []string) {
	for i := from; i < from+n; i++ {
		ids = append(ids, fmt.Sprint("u", i))
	}
	return ids
}

// TestBatchOverPartitions: many people at once, in logs of several sizes that the
// publisher is not told. What is repeated is stored once, what is new is added.
func TestBatchOverPartitions(t *testing.T) {
	for _, partitions := range []int{1, 4, 7} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			w := start(t, partitions)
			p := w.backend(t)
			toast := publish.Toast{Title: "Hi"}
			first, err := p.ToastUsers(t.Context(), people(0, 900), toast, publish.IdempotencyKey("k"))
			if err != nil || len(first) != 900 {
				t.Fatalf("%d receipts, %v", len(first), err)
			}
			again, err := p.ToastUsers(t.Context(), people(100, 1000), toast, publish.IdempotencyKey("k"))
			if err != nil {
				t.Fatal(err)
			}
			streams := map[string]bool{}
			for i, r := range again {
				streams[r.Stream] = true
				id := fmt.Sprint("u", i+100)
				if known := i < 800; r.Duplicate != known || r.Subject != "sv.ws.user."+id || known && r.Seq != first[i+100].Seq {
					t.Fatalf("%s: %+v", id, r)
				}
				if msg := w.stored(t, r); i%100 == 0 && !strings.HasSuffix(msg.Subject, ".user."+id) {
					t.Errorf("%+v is of %s", r, msg.Subject)
				}
			}
			if n := w.count(t); n != 1100 || len(streams) != partitions {
				t.Errorf("the log holds %d messages in %d streams, want 1100 in %d", n, len(streams), partitions)
			}
			mixed, err := p.Batch(t.Context(),
				publish.NewEvent(publish.ToUser("u3"), "toast", toast, publish.IdempotencyKey("k")),
				publish.NewEvent(publish.ToTopic("club"), "order.shipped", map[string]int{"order": 7}, publish.IdempotencyKey("k")),
				publish.NewEvent(publish.ToEverybody(), "toast", toast),
				publish.NewEvent(publish.ToTopic("club"), "order.shipped", map[string]int{"order": 7}, publish.IdempotencyKey("k")),
			)
			if err != nil {
				t.Fatal(err)
			}
			for i, duplicate := range []bool{true, false, false, true} {
				if mixed[i].Duplicate != duplicate {
					t.Errorf("receipt %d: %+v", i, mixed[i])
				}
			}
			if mixed[3].Seq != mixed[1].Seq || mixed[0].Seq != first[3].Seq {
				t.Errorf("%+v", mixed)
			}
			if n := w.count(t); n != 1102 {
				t.Errorf("the log holds %d messages, want 1102", n)
			}
		})
	}
}

// TestSameBatchAtOnce: two backends with the same keys; each person has it once.
func TestSameBatchAtOnce(t *testing.T) {
	w := start(t, 2)
	a, b := w.backend(t), w.backend(t)
	for round := range 10 {
		var got [2][]publish.Receipt
		var errs [2]error
		var both sync.WaitGroup
		for i, p := range []*publish.Publisher{a, b} {
			both.Go(func() {
				got[i], errs[i] = p.ToastUsers(t.Context(), people(0, 30), publish.Toast{Title: "Hi"}, publish.IdempotencyKey(fmt.Sprint("r", round)))
			})
		}
		both.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		for i := range got[0] {
			if x, y := got[0][i], got[1][i]; x.Stream != y.Stream || x.Seq != y.Seq || x.Duplicate == y.Duplicate {
				t.Fatalf("round %d, person %d: %+v and %+v", round, i, x, y)
			}
		}
	}
	if n := w.count(t); n != 300 {
		t.Errorf("the log holds %d messages, want 300", n)
	}
}

// TestSchedule: what waits comes to its audience when its time has come, once, although
// it is published again under its key, in logs of one and of several partitions.
func TestSchedule(t *testing.T) {
	for _, partitions := range []int{1, 5} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			w := start(t, partitions)
			p := w.backend(t)
			at := time.Now().Add(2 * time.Second)
			ids := people(0, 12)
			for range 2 {
				receipts, err := p.ToastUsers(t.Context(), ids, publish.Toast{Title: "Doors open"},
					publish.At(at), publish.IdempotencyKey("doors"), publish.ExpiresIn(time.Hour), publish.Collapse("doors"))
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range receipts {
					if !r.DeliverAt.Equal(at) {
						t.Errorf("%+v, want it at %s", r, at)
					}
				}
			}
			for _, id := range ids {
				h := w.newest(t, id)
				if h.Get("Sv-Collapse") != "doors" || h.Get("Nats-TTL") != "3600" {
					t.Errorf("%s got %v", id, h)
				}
			}
			if n := w.count(t); n != uint64(len(ids)) { // the schedules are gone
				t.Errorf("the log holds %d messages, want %d", n, len(ids))
			}
			// The longest key and id there may be.
			long, at := strings.Repeat("é", 64), time.Now().Add(time.Hour)
			r, err := p.Toast(t.Context(), publish.ToTopic(long), publish.Toast{Title: "Long"}, publish.At(at), publish.IdempotencyKey(strings.Repeat("k", 128)))
			if err != nil || !r.DeliverAt.Equal(at) {
				t.Errorf("%+v, %v", r, err)
			}
			// A time that has passed is now.
			r, err = p.Toast(t.Context(), publish.ToUser("ada"), publish.Toast{Title: "Late"}, publish.At(time.Now().Add(-time.Hour)))
			if err != nil || !r.DeliverAt.IsZero() || !strings.HasSuffix(w.stored(t, r).Subject, ".user.ada") {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// newest is the headers of the last message that the log has for a person, once there is
// one: JetStream stores what was scheduled without publishing it, so the log is asked.
func (w *world) newest(t *testing.T, id string) nats.Header {
	t.Helper()
	stream := "SV_LOG"
	if w.subjects.Partitions() > 1 {
		stream = fmt.Sprint("SV_LOG_", w.subjects.Partition(wire.User(id)))
	}
	s, err := w.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := w.subjects.Stored(wire.User(id))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		msg, err := s.GetLastMsgForSubject(t.Context(), subject)
		if err == nil {
			return msg.Header
		}
		if !errors.Is(err, jetstream.ErrMsgNotFound) {
			t.Fatal(err)
		}
	}
	t.Fatalf("nothing came for %s", id)
	return nil
}

// TestLogMadeAnew: a publisher whose log has another number of partitions now is refused,
// and then finds out.
func TestLogMadeAnew(t *testing.T) {
	w := start(t, 2)
	p := w.backend(t)
	p.Believe(3)
	send := func() error {
		_, err := p.ToastUsers(t.Context(), people(0, 50), publish.Toast{Title: "Hi"}, publish.IdempotencyKey("k"))
		return err
	}
	if err := send(); !errors.Is(err, publish.ErrUnavailable) {
		t.Fatalf("%v, want ErrUnavailable", err)
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	if n := w.count(t); n != 50 {
		t.Errorf("the log holds %d messages, want 50", n)
	}
}

// TestCountPartitions: the number is found for every one that a log may have.
func TestCountPartitions(t *testing.T) {
	for n := 1; n <= wire.MaxPartitions; n++ {
		s := wire.Subjects{}.Partitioned(n)
		streams := map[string]string{}
		for range publish.Probes {
			id := rand.Text()
			streams[id] = "SV_LOG"
			if n > 1 {
				streams[id] = fmt.Sprint("SV_LOG_", s.Partition(wire.User(id)))
			}
		}
		if got, err := publish.CountOf(wire.Subjects{}, streams); err != nil || got != n {
			t.Errorf("%d partitions are taken for %d, %v", n, got, err)
		}
	}
	if n, err := publish.CountOf(wire.Subjects{}, map[string]string{"a": "ORDERS"}); err == nil {
		t.Errorf("a stream of others is taken for a log of %d", n)
	}
}

// TestCountingWithoutNATS: that the connection ends meanwhile is not for good, either.
func TestCountingWithoutNATS(t *testing.T) {
	w := start(t, 1)
	nc := w.connect(t)
	p := publisher(t, nc)
	nc.Close()
	if _, err := p.CountPartitions(t.Context()); !errors.Is(err, publish.ErrUnavailable) {
		t.Errorf("%v does not wrap ErrUnavailable", err)
	}
}
