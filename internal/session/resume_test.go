package session_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
	"pgregory.net/rapid"
)

const life = 1764000000000

func cursor(life, seq uint64) string { return wire.Cursor{{Life: life, Seq: seq}}.String() }

func TestPlan(t *testing.T) {
	// The ring holds 101 to 200 of a log that reaches 200.
	window := session.Window{Lives: []uint64{life}, Floor: wire.Vector{100}, Head: wire.Vector{200}}
	atHead := session.Start{Source: session.FromHead, After: wire.Vector{200}}
	unknown := session.Start{Source: session.FromHead, After: wire.Vector{200}, Gap: wire.GapUnknown}
	resumed := func(source session.Source, after uint64) session.Start {
		return session.Start{Source: source, After: wire.Vector{after}, Newest: 50, Resumed: true}
	}
	newest := func(n int) session.Start {
		return session.Start{Source: session.FromRing, After: wire.Vector{100}, Newest: n}
	}
	for _, c := range []struct {
		name string
		ask  session.Ask
		want session.Start
	}{
		{"new", session.Ask{}, atHead},
		{"new, wants the newest", session.Ask{Replay: 7}, newest(7)},
		{"new, wants as many as there may be", session.Ask{Replay: 50}, newest(50)},
		{"new, wants more than there may be", session.Ask{Replay: 51}, newest(50)},
		{"new, wants fewer than none", session.Ask{Replay: -1}, atHead},
		{"has seen all", session.Ask{Cursor: cursor(life, 200)}, resumed(session.FromHead, 200)},
		{"has missed one", session.Ask{Cursor: cursor(life, 199)}, resumed(session.FromRing, 199)},
		{"has missed what the ring holds", session.Ask{Cursor: cursor(life, 100)}, resumed(session.FromRing, 100)},
		{"has missed one more", session.Ask{Cursor: cursor(life, 99)}, resumed(session.FromStream, 99)},
		{"has seen nothing", session.Ask{Cursor: cursor(life, 0)}, resumed(session.FromStream, 0)},
		{"is ahead by one", session.Ask{Cursor: cursor(life, 201)}, resumed(session.FromAhead, 201)},
		{"is ahead of any log", session.Ask{Cursor: cursor(life, math.MaxUint64)}, resumed(session.FromAhead, math.MaxUint64)},
		{"resumes and asks for a replay: the cursor counts", session.Ask{Cursor: cursor(life, 150), Replay: 3}, resumed(session.FromRing, 150)},
		{"another life of the log", session.Ask{Cursor: cursor(life+1, 150)}, unknown},
		{"an earlier life, ahead", session.Ask{Cursor: cursor(life-1, 900)}, unknown},
		{"another life, and asks for a replay", session.Ask{Cursor: cursor(life+1, 150), Replay: 3}, unknown},
		{"two partitions", session.Ask{Cursor: wire.Cursor{{Life: life, Seq: 150}, {Life: life, Seq: 150}}.String()}, unknown},
		{"no partition", session.Ask{Cursor: wire.Cursor{}.String()}, unknown},
		{"an event id", session.Ask{Cursor: wire.EventID{Position: wire.Position{Life: life, Seq: 150}}.String()}, unknown},
		{"words", session.Ask{Cursor: "yesterday"}, unknown},
		{"a line feed behind it", session.Ask{Cursor: cursor(life, 150) + "\n"}, unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, session.Plan(c.ask, window, 50)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Before the log has its first entry, everybody is at its head.
func TestPlanOnAnEmptyLog(t *testing.T) {
	window := session.Window{Lives: []uint64{life}, Floor: wire.Vector{0}, Head: wire.Vector{0}}
	for _, c := range []struct {
		ask  session.Ask
		want session.Start
	}{
		{session.Ask{}, session.Start{Source: session.FromHead, After: wire.Vector{0}}},
		{session.Ask{Cursor: cursor(life, 0)}, session.Start{Source: session.FromHead, After: wire.Vector{0}, Newest: 50, Resumed: true}},
		{session.Ask{Cursor: cursor(life, 1)}, session.Start{Source: session.FromAhead, After: wire.Vector{1}, Newest: 50, Resumed: true}},
		{session.Ask{Cursor: cursor(life-1, 1)}, session.Start{Source: session.FromHead, After: wire.Vector{0}, Gap: wire.GapUnknown}},
	} {
		if diff := cmp.Diff(c.want, session.Plan(c.ask, window, 50)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.ask, diff)
		}
	}
}

// Whatever a client asks: it is continued exactly where it was or is told of a
// gap, from a source that holds what follows, within the limit.
func TestPlanNeverSkipsSilently(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.IntRange(1, 4).Draw(t, "partitions")
		w := session.Window{Lives: make([]uint64, parts), Floor: make(wire.Vector, parts), Head: make(wire.Vector, parts)}
		for i := range parts {
			w.Lives[i] = life + uint64(i)
			w.Head[i] = rapid.Uint64Range(0, 60).Draw(t, "head")
			w.Floor[i] = rapid.Uint64Range(0, w.Head[i]).Draw(t, "floor")
		}
		limit := rapid.IntRange(1, 40).Draw(t, "limit")
		ask := session.Ask{Replay: rapid.IntRange(-2, 60).Draw(t, "replay")}
		var seen wire.Cursor
		valid := false
		switch rapid.SampledFrom([]string{"none", "cursor", "text"}).Draw(t, "asks with") {
		case "cursor":
			seen = wire.At(w.Lives, make(wire.Vector, parts))
			for i := range seen {
				seen[i].Seq = rapid.OneOf(rapid.Uint64Range(0, 70), rapid.Uint64()).Draw(t, "seq")
			}
			valid = true
			switch rapid.IntRange(0, 9).Draw(t, "of another log") {
			case 0:
				seen[rapid.IntRange(0, parts-1).Draw(t, "partition")].Life--
				valid = false
			case 1:
				seen = append(seen, wire.Position{Life: life})
				valid = false
			}
			ask.Cursor = seen.String()
		case "text":
			ask.Cursor = rapid.StringN(1, -1, -1).Draw(t, "cursor")
		}
		s := session.Plan(ask, w, limit)

		if s.Resumed != valid || (s.Gap != "") != (ask.Cursor != "" && !valid) {
			t.Fatalf("resumed %t, gap %q", s.Resumed, s.Gap)
		}
		if ask.Cursor != "" && s.Gap == "" && !slices.Equal(s.After, seen.Seqs()) {
			t.Fatalf("has seen %v, is continued after %d, and no gap is said", seen, s.After)
		}
		if s.Newest < 0 || s.Newest > limit || !s.Resumed && s.Newest > max(ask.Replay, 0) {
			t.Fatalf("the newest %d of a limit of %d", s.Newest, limit)
		}
		if s.Resumed && s.Newest != limit {
			t.Fatalf("a resume is limited to %d, not to %d", s.Newest, limit)
		}
		within := w.Head.Covers(s.After)
		holds := map[session.Source]bool{
			session.FromHead: slices.Equal(s.After, w.Head), session.FromRing: s.After.Covers(w.Floor) && within,
			session.FromStream: !s.After.Covers(w.Floor) && within, session.FromAhead: !within,
		}
		if !holds[s.Source] {
			t.Fatalf("source %d does not hold what follows %d: the ring holds what comes after %d, up to %d", s.Source, s.After, w.Floor, w.Head)
		}
		if s.Source == session.FromHead && s.Newest > 0 && !s.Resumed {
			t.Fatalf("asked for the newest %d and is put at the head", s.Newest)
		}
		if again := session.Plan(ask, w, limit); !cmp.Equal(again, s) {
			t.Fatalf("%+v, then %+v", s, again)
		}
	})
}
