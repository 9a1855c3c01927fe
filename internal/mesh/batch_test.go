package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// logOf is a provisioned log of some partitions, and its server for whoever looks at
// it from outside.
func logOf(t testing.TB, partitions int) (*mesh.Mesh, *natsserver.Server, jetstream.JetStream) {
	t.Helper()
	subjects := wire.Subjects{}.Partitioned(partitions)
	srv, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Node: "test", Subjects: subjects}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	m := connectTo(t, mesh.Config{URLs: []string{srv.URL()}, Subjects: subjects})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	return m, srv, jetStream(t, srv.URL())
}

func jetStream(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func info(t testing.TB, js jetstream.JetStream, stream string) *jetstream.StreamInfo {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}

// crowd is one message for each of n people, with ids that begin with key; none if
// that is empty.
func crowd(key string, from, n int) []wire.Message {
	var msgs []wire.Message
	for i := from; i < from+n; i++ {
		m := message(wire.User(fmt.Sprint("u", i)), key)
		if key != "" {
			m.MsgID = fmt.Sprint(key, "-", i)
		}
		msgs = append(msgs, m)
	}
	return msgs
}

func TestBatchIsAllOrNothing(t *testing.T) {
	m, _, js := logOf(t, 1)
	cfg := info(t, js, "SV_LOG").Config
	cfg.MaxMsgSize = 2000
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	large := message(wire.User("large"), strings.Repeat("x", 3000))
	tooLarge := message(wire.User("large"), strings.Repeat("x", wire.MaxEnvelope))
	collapse := message(wire.User("x"), "x")
	collapse.Collapse = "not a key"
	for name, bad := range map[string]wire.Message{
		"refused by the server": large, "no envelope": tooLarge, "no key": collapse, "nobody": message(wire.User(""), "x"),
	} {
		for _, place := range []int{0, 5, 9} {
			msgs := crowd("", 0, 10)
			msgs[place] = bad
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if got, err := m.Publish(ctx, msgs); err == nil {
				t.Errorf("%s at %d: %v", name, place, got)
			}
			cancel()
		}
	}
	if n := info(t, js, "SV_LOG").State.LastSeq; n != 0 {
		t.Errorf("%d messages are stored", n)
	}
	receipts := publish(t, m, crowd("", 0, 10)...)
	if first, last := receipts[0].ID.Seq, receipts[9].ID.Seq; first != 1 || last != 10 {
		t.Errorf("stored from %d to %d", first, last)
	}
}

// TestBatchIsIdempotent repeats batches as a whole, in part and with others among them.
func TestBatchIsIdempotent(t *testing.T) {
	m, _, js := logOf(t, 1)
	first := publish(t, m, crowd("k", 0, 1000)...)
	if r := first[999]; r.ID.Seq != 1000 || r.Duplicate || r.Subject != "sv.ws.user.u999" {
		t.Errorf("the last receipt is %+v", r)
	}
	for _, tc := range []struct{ from, n int }{{0, 1000}, {10, 1}, {500, 2}, {999, 2}, {995, 1000}, {1000, 995}} {
		before := info(t, js, "SV_LOG").State.LastSeq
		again := publish(t, m, crowd("k", tc.from, tc.n)...)
		fresh := before
		for i, r := range again {
			if known := uint64(tc.from+i) < before; r.Duplicate != known {
				t.Fatalf("%+v: receipt %d is %+v", tc, i, r)
			}
			if !r.Duplicate {
				fresh++
			}
			if i+tc.from < 1000 && r.ID != first[i+tc.from].ID || r.ID.Seq != uint64(tc.from+i+1) {
				t.Fatalf("%+v: receipt %d is %+v", tc, i, r)
			}
		}
		if now := info(t, js, "SV_LOG").State.LastSeq; now != fresh {
			t.Errorf("%+v: the log went from %d to %d, want %d", tc, before, now, fresh)
		}
	}
	// Of messages without an id nothing is known, and an id may be twice in one call.
	before := info(t, js, "SV_LOG").State.LastSeq
	mixed := append(crowd("k", 3, 1), crowd("", 0, 2)...)
	mixed = append(mixed, crowd("new", 0, 1)...)
	mixed = append(mixed, crowd("new", 0, 1)...)
	got := publish(t, m, mixed...)
	if !got[0].Duplicate || got[1].Duplicate || got[2].Duplicate || got[3].Duplicate || !got[4].Duplicate || got[4].ID != got[3].ID {
		t.Errorf("%+v", got)
	}
	if now := info(t, js, "SV_LOG").State.LastSeq; now != before+3 {
		t.Errorf("%d new messages, want 3", now-before)
	}
}

// TestSameBatchFromTwoProcesses: both get the same receipts, and all is stored once.
func TestSameBatchFromTwoProcesses(t *testing.T) {
	a, srv, js := logOf(t, 1)
	b := connectTo(t, mesh.Config{URLs: []string{srv.URL()}})
	const rounds, size = 20, 30
	for round := range rounds {
		var got [2][]wire.Receipt
		var errs [2]error
		var both sync.WaitGroup
		for i, m := range []*mesh.Mesh{a, b} {
			both.Go(func() { got[i], errs[i] = m.Publish(t.Context(), crowd(fmt.Sprint("r", round), 0, size)) })
		}
		both.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		for i := range size {
			if got[0][i].ID != got[1][i].ID || got[0][i].Duplicate == got[1][i].Duplicate {
				t.Fatalf("round %d, message %d: %+v and %+v", round, i, got[0][i], got[1][i])
			}
		}
	}
	if n := info(t, js, "SV_LOG").State.Msgs; n != rounds*size {
		t.Errorf("%d messages are stored, want %d", n, rounds*size)
	}
}

// TestManyBatchesAtOnce sends more than a server takes at a time, which is 50.
func TestManyBatchesAtOnce(t *testing.T) {
	m, _, js := logOf(t, 1)
	const batches, size = 150, 20
	errs := make([]error, batches)
	var all sync.WaitGroup
	for i := range batches {
		all.Go(func() { _, errs[i] = m.Publish(t.Context(), crowd("", i*size, size)) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if n := info(t, js, "SV_LOG").State.Msgs; n != batches*size {
		t.Errorf("%d messages are stored, want %d", n, batches*size)
	}
}

// TestBatchesThroughStops: the server goes in the middle of batches and comes back. No
// batch is ever there in part, and repeating all of them completes them.
func TestBatchesThroughStops(t *testing.T) {
	dir := t.TempDir()
	srv := server(t, dir, "127.0.0.1:0")
	url := srv.URL()
	m := connectTo(t, mesh.Config{URLs: []string{url}})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	const publishers, size, wanted = 4, 100, 40 // batches of each publisher
	acknowledged := make(chan struct{}, publishers*wanted)
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for batch := 0; batch < wanted; {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				_, err := m.Publish(ctx, crowd(fmt.Sprintf("p%d.%d", p, batch), 0, size))
				cancel()
				switch {
				case err == nil:
					batch++
					acknowledged <- struct{}{}
				case !errors.Is(err, wire.ErrUnavailable):
					t.Error(err)
					return
				case t.Context().Err() != nil:
					return
				}
			}
		})
	}
	for range 3 {
		for range 20 {
			<-acknowledged
		}
		srv.Stop()
		srv = server(t, dir, strings.TrimPrefix(url, "nats://"))
		whole(t, jetStream(t, url), size)
	}
	all.Wait()
	if n := whole(t, jetStream(t, url), size); n != publishers*wanted {
		t.Errorf("%d batches are stored, want %d", n, publishers*wanted)
	}
}

// whole counts the batches in the log, of which each must have so many messages. The
// last may be on its way.
func whole(t *testing.T, js jetstream.JetStream, size int) int {
	t.Helper()
	s, err := js.Stream(t.Context(), "SV_LOG")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		msg, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		batch, _, _ := strings.Cut(msg.Header.Get(wire.HeaderMsgID), "-")
		counts[batch]++
	}
	for batch, n := range counts {
		if n != size {
			t.Errorf("batch %s has %d messages of %d", batch, n, size)
		}
	}
	return len(counts)
}

func TestBatchOverPartitions(t *testing.T) {
	m, srv, js := logOf(t, 4)
	msgs := append(crowd("k", 0, 200), message(wire.Broadcast(), "all"), message(wire.Topic("chess"), "some"))
	first := publish(t, m, msgs...)
	subjects := wire.Subjects{}.Partitioned(4)
	perPartition := map[int]uint64{}
	for i, r := range first {
		p := subjects.Partition(msgs[i].Audience)
		perPartition[p]++
		if r.ID.Partition != p || r.Duplicate {
			t.Fatalf("receipt %d is %+v", i, r)
		}
		if want, _ := (wire.Subjects{}).Of(msgs[i].Audience); r.Subject != want {
			t.Fatalf("receipt %d names %s, want %s", i, r.Subject, want)
		}
		s, err := js.Stream(t.Context(), fmt.Sprint("SV_LOG_", p))
		if err != nil {
			t.Fatal(err)
		}
		msg, err := s.GetMsg(t.Context(), r.ID.Seq)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := subjects.Stored(msgs[i].Audience); msg.Subject != want || r.ID.Life != uint64(s.CachedInfo().Created.UnixMilli()) {
			t.Fatalf("receipt %+v is of %s, want %s", r, msg.Subject, want)
		}
	}
	if len(perPartition) != 4 {
		t.Fatalf("messages in %v", perPartition)
	}
	// Who publishes to the subjects of the contract comes to the same places.
	nc, err := nats.Connect(srv.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	probe := nats.NewMsg("sv.ws.user.u7")
	probe.Data = []byte(`{"type":"toast","payload":{"title":"x"}}`)
	probe.Header.Set(wire.HeaderMsgID, "k-7")
	ack, err := js.PublishMsg(t.Context(), probe)
	if err != nil || !ack.Duplicate || ack.Sequence != first[7].ID.Seq {
		t.Errorf("%+v, %v; the API stored it as %+v", ack, err, first[7])
	}
	again := publish(t, m, msgs[:200]...)
	for i, r := range again {
		if !r.Duplicate || r.ID != first[i].ID {
			t.Fatalf("receipt %d is %+v, was %+v", i, r, first[i])
		}
	}
	for p, want := range perPartition {
		if n := info(t, js, fmt.Sprint("SV_LOG_", p)).State.Msgs; n != want {
			t.Errorf("partition %d holds %d messages, want %d", p, n, want)
		}
	}
}
