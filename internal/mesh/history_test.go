package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
	"pgregory.net/rapid"
)

// TestHistoryModel compares pages and newest-first reading, over a log of ten
// thousand messages in a real JetStream, with a plain slice: any audience, any
// place, any limit; malformed messages and another's among them.
func TestHistoryModel(t *testing.T) {
	m := connected(t)
	audiences := []wire.Audience{wire.Broadcast(), wire.User("a"), wire.User("Søren & co"), wire.Topic("t")}
	rnd := rand.New(rand.NewPCG(1, 2))
	var log []wire.Message
	for len(log) < 10_000 {
		batch := make([]wire.Message, 500)
		for i := range batch {
			a := wire.User(fmt.Sprint("other", rnd.IntN(50)))
			if rnd.IntN(100) < 3 { // sparse: the search has to go far back
				a = audiences[rnd.IntN(len(audiences))]
			}
			title := fmt.Sprint(len(log) + i + 1)
			if rnd.IntN(10) == 0 {
				title = "unfit"
			}
			batch[i] = message(a, title)
		}
		for i, r := range publish(t, m, batch...) {
			if int(r.ID.Seq) != len(log)+i+1 {
				t.Fatalf("message %d got sequence %d", len(log)+i+1, r.ID.Seq)
			}
		}
		log = append(log, batch...)
	}
	log0, err := m.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state := log0[0]
	visible := func(seq int, who []wire.Audience) bool {
		return slices.Contains(who, log[seq-1].Audience) && string(log[seq-1].Envelope.Payload) != `{"title":"unfit"}`
	}
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		who := rapid.SliceOfNDistinct(rapid.SampledFrom(audiences), 1, 3, func(a wire.Audience) wire.Audience { return a }).Draw(t, "who")
		after := rapid.IntRange(0, len(log)).Draw(t, "after")
		upTo := rapid.IntRange(after, len(log)).Draw(t, "upTo")
		limit := rapid.IntRange(1, 60).Draw(t, "limit")

		p, err := m.Page(ctx, wire.PageRequest{Audiences: who, After: wire.Vector{uint64(after)}, UpTo: wire.Vector{uint64(upTo)}, Limit: limit, MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		var want []uint64
		for seq := after + 1; seq <= int(p.Through[0]); seq++ {
			if visible(seq, who) {
				want = append(want, uint64(seq))
			}
		}
		if got := seqs(p.Entries); !slices.Equal(got, want) || int(p.Through[0]) > upTo || len(got) > limit {
			t.Fatalf("page of %v after %d up to %d, limit %d: %v through %d, want %v", who, after, upTo, limit, got, p.Through, want)
		}
		if len(p.Entries) == 0 && p.Through[0] < uint64(upTo) && p.Through[0] <= uint64(after) {
			t.Fatal("an empty page that does not go on")
		}

		newest, err := m.Newest(ctx, who, &wire.EventID{Position: wire.Position{Life: state.Life, Seq: uint64(upTo + 1)}}, limit)
		if err != nil {
			t.Fatal(err)
		}
		want = nil
		for seq := upTo; seq > 0 && len(want) < limit; seq-- {
			if visible(seq, who) {
				want = append(want, uint64(seq))
			}
		}
		if got := seqs(newest); !slices.Equal(got, want) {
			t.Fatalf("newest %d of %v up to %d: %v, want %v", limit, who, upTo, got, want)
		}
	})
	if _, err := m.Newest(t.Context(), audiences, &wire.EventID{Position: wire.Position{Life: state.Life + 1, Seq: 5}}, 5); !errors.Is(err, wire.ErrForeignEvent) {
		t.Errorf("another life's event: %v, want ErrForeignEvent", err)
	}
}

func seqs(entries []wire.Entry) (list []uint64) {
	for _, e := range entries {
		list = append(list, e.Seq)
	}
	return list
}

// TestPageSaysWhatRetentionRemoved: the state that comes with a page shows what
// is gone.
func TestPageSaysWhatRetentionRemoved(t *testing.T) {
	srv := server(t, t.TempDir(), "")
	m := connectTo(t, mesh.Config{Server: srv})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, MaxBytes: 40_000}); err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		publish(t, m, message(wire.Broadcast(), fmt.Sprint(i, strings.Repeat("x", 300))))
	}
	p, err := m.Page(t.Context(), wire.PageRequest{Audiences: []wire.Audience{wire.Broadcast()}, After: wire.Vector{1}, UpTo: wire.Vector{500}, Limit: 10, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if p.State[0].First < 100 || len(p.Entries) == 0 || p.Entries[0].Seq != p.State[0].First {
		t.Fatalf("first %d, entries from %v: want the page to begin where the log does", p.State[0].First, seqs(p.Entries))
	}
}

func BenchmarkNewest(b *testing.B) {
	m := connected(b)
	for range 20 {
		batch := make([]wire.Message, 1000)
		for i := range batch {
			batch[i] = message(wire.User(fmt.Sprint("u", i%500)), "hello")
		}
		publish(b, m, batch...)
	}
	for b.Loop() {
		if _, err := m.Newest(b.Context(), []wire.Audience{wire.Broadcast(), wire.User("u7")}, nil, 20); err != nil {
			b.Fatal(err)
		}
	}
}
