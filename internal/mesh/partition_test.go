package mesh_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
	"pgregory.net/rapid"
)

// fourPartitions is a mesh over a log of four partitions.
func fourPartitions(t testing.TB) (*mesh.Mesh, wire.Subjects) {
	t.Helper()
	subjects := wire.Subjects{}.Partitioned(4)
	srv, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Node: "test", Subjects: subjects}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	m := connectTo(t, mesh.Config{Server: srv, Partitions: 4})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	return m, subjects
}

// entries is a sink that keeps what it is given.
type entries struct {
	mu    sync.Mutex
	all   []wire.Entry
	begin wire.Vector
	lives []uint64
	moved chan struct{}
}

func (s *entries) Begin(lives []uint64, after wire.Vector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lives, s.begin, s.all = lives, after, nil
}

func (s *entries) Append(e *wire.Entry) {
	s.mu.Lock()
	s.all = append(s.all, *e)
	s.mu.Unlock()
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

func (s *entries) Skip(int, uint64) {}

// collect follows a log until so many entries have come.
func collect(t *testing.T, m *mesh.Mesh, n int) *entries {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s := &entries{moved: make(chan struct{}, 1)}
	done := make(chan error, 1)
	go func() { done <- m.Follow(ctx, s, 1<<20) }()
	for count := 0; count < n; {
		select {
		case <-s.moved:
		case <-ctx.Done():
			t.Fatalf("%d of %d entries came", count, n)
		}
		s.mu.Lock()
		count = len(s.all)
		s.mu.Unlock()
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPartitions compares pages and newest-first reading over four partitions with what
// the tail brought: any audiences, any place, any limit, replaced ones among them.
func TestPartitions(t *testing.T) {
	m, subjects := fourPartitions(t)
	audiences := []wire.Audience{wire.Broadcast(), wire.Topic("t"), wire.Topic("zoë")}
	for i := range 8 {
		audiences = append(audiences, wire.User(fmt.Sprint("user", i)))
	}
	const rounds, each = 40, 20
	for r := range rounds {
		batch := make([]wire.Message, each)
		for i := range batch {
			batch[i] = message(audiences[(r*7+i*3)%len(audiences)], fmt.Sprint(r*each+i))
			if i%5 == 0 {
				batch[i].Collapse = fmt.Sprint("key", i)
			}
		}
		for i, receipt := range publish(t, m, batch...) {
			if want := subjects.Partition(batch[i].Audience); receipt.ID.Partition != want || receipt.ID.Seq == 0 {
				t.Fatalf("message %d for %v is %v, want partition %d", i, batch[i].Audience, receipt.ID, want)
			}
		}
	}
	tail := collect(t, m, rounds*each)
	last := make(wire.Vector, 4)
	titles := map[wire.Audience]string{}
	for _, e := range tail.all {
		if e.Partition != subjects.Partition(e.Audience) || e.Seq != last[e.Partition]+1 {
			t.Fatalf("%v at %d of partition %d comes after %d", e.Audience, e.Seq, e.Partition, last[e.Partition])
		}
		last[e.Partition] = e.Seq
		if title := string(e.Payload); len(title) < len(titles[e.Audience]) || len(title) == len(titles[e.Audience]) && title <= titles[e.Audience] {
			t.Fatalf("for %v %s comes after %s", e.Audience, title, titles[e.Audience])
		}
		titles[e.Audience] = string(e.Payload)
	}
	if slices.Contains(last, 0) {
		t.Fatalf("a partition is empty: %v", last)
	}
	byTime := slices.Clone(tail.all)
	slices.SortStableFunc(byTime, func(a, b wire.Entry) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Seq, b.Seq))
	})
	rapid.Check(t, func(rt *rapid.T) { checkPages(rt, m, tail, audiences, last) })
	rapid.Check(t, func(rt *rapid.T) { checkNewest(rt, m, byTime, audiences) })
}

// checkPages walks from one place to another and wants all between, once, in order.
func checkPages(t *rapid.T, m *mesh.Mesh, tail *entries, audiences []wire.Audience, last wire.Vector) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	who := rapid.SliceOfNDistinct(rapid.SampledFrom(audiences), 1, 5, rapid.ID).Draw(t, "who")
	after, upTo := make(wire.Vector, 4), make(wire.Vector, 4)
	for p := range after {
		upTo[p] = rapid.Uint64Range(0, last[p]).Draw(t, "upTo")
		after[p] = rapid.Uint64Range(0, upTo[p]).Draw(t, "after")
	}
	limit := rapid.IntRange(1, 80).Draw(t, "limit")
	got := map[int][]uint64{}
	at := after
	for pages := 0; !at.Covers(upTo); pages++ {
		page, err := m.Page(ctx, wire.PageRequest{Audiences: who, After: at, UpTo: upTo, Limit: limit, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Entries) > limit || !page.Through.Covers(at) || !upTo.Covers(page.Through) || slices.Equal(at, page.Through) {
			t.Fatalf("%d entries of %d, from %v through %v, up to %v", len(page.Entries), limit, at, page.Through, upTo)
		}
		for _, e := range page.Entries {
			if e.Seq <= at[e.Partition] || e.Seq > page.Through[e.Partition] {
				t.Fatalf("entry %v on a page after %v through %v", e.ID(), at, page.Through)
			}
			got[e.Partition] = append(got[e.Partition], e.Seq)
		}
		at = page.Through
	}
	newer := map[string]uint64{} // by audience and key, the newest within the walk
	for _, e := range tail.all {
		if e.Seq <= upTo[e.Partition] && e.Collapse != "" {
			newer[fmt.Sprint(e.Audience, e.Collapse)] = e.Seq
		}
	}
	for p := range after {
		var want []uint64
		for _, e := range tail.all {
			if e.Partition != p || e.Seq <= after[p] || e.Seq > upTo[p] || !slices.Contains(who, e.Audience) {
				continue
			}
			// One whose place was taken may be missing: by a page that has both.
			replaced := e.Collapse != "" && newer[fmt.Sprint(e.Audience, e.Collapse)] > e.Seq
			if !replaced || slices.Contains(got[p], e.Seq) {
				want = append(want, e.Seq)
			}
		}
		if !slices.Equal(got[p], want) {
			t.Fatalf("partition %d after %v up to %v for %v: %v, want %v", p, after, upTo, who, got[p], want)
		}
	}
}

func checkNewest(t *rapid.T, m *mesh.Mesh, byTime []wire.Entry, audiences []wire.Audience) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	who := rapid.SliceOfNDistinct(rapid.SampledFrom(audiences), 1, 5, rapid.ID).Draw(t, "who")
	limit := rapid.IntRange(1, 60).Draw(t, "limit")
	var before *wire.EventID
	var than wire.Entry
	if i := rapid.IntRange(0, len(byTime)).Draw(t, "before"); i < len(byTime) {
		than = byTime[i]
		id := than.ID()
		before = &id
	}
	newest, err := m.Newest(ctx, who, before, limit)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []wire.EventID
	keys := map[string]bool{}
	for _, e := range slices.Backward(byTime) {
		if !slices.Contains(who, e.Audience) {
			continue
		}
		key := fmt.Sprint(e.Audience, e.Collapse)
		hidden := e.Collapse != "" && keys[key]
		keys[key] = true
		older := before == nil || e.Partition == than.Partition && e.Seq < than.Seq || e.Partition != than.Partition && e.Time.Before(than.Time)
		if older && !hidden && len(want) < limit {
			want = append(want, e.ID())
		}
	}
	for _, e := range newest {
		got = append(got, e.ID())
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the newest %d for %v before %v: %v, want %v", limit, who, before, got, want)
	}
}

// TestEventsOfOtherPartitions: an event that cannot be of this log is no place in it.
func TestEventsOfOtherPartitions(t *testing.T) {
	m, _ := fourPartitions(t)
	publish(t, m, message(wire.User("a"), "1"), message(wire.Broadcast(), "2"))
	for _, id := range []wire.EventID{{Partition: 9}, {Partition: 1, Position: wire.Position{Life: 1, Seq: 1}}} {
		if _, err := m.Newest(t.Context(), []wire.Audience{wire.Broadcast()}, &id, 5); err == nil {
			t.Errorf("%v is an event of this log", id)
		}
	}
}
