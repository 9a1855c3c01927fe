package chaos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// fabricate makes a ledger of two subjects with ten acknowledged messages each, and
// one more begun on the second. Number n of the first has the sequence 10n, of the
// second 10n+5.
func fabricate(t *testing.T) *Ledger {
	t.Helper()
	l := &Ledger{Subjects: []*Subject{
		{Index: 0, Name: "sv.ws.user.a", Audience: wire.User("a")},
		{Index: 1, Name: "sv.ws.broadcast", Audience: wire.Broadcast()},
	}}
	for i, s := range l.Subjects {
		for n := range 10 {
			if got := s.Begin(); got != uint32(n+1) {
				t.Fatalf("begun %d, want %d", got, n+1)
			}
			if err := s.Acknowledge(seqOf(i, uint32(n+1)), time.Duration(n+1)*time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.Subjects[1].Begin()
	return l
}

func seqOf(subject int, number uint32) uint64 { return uint64(10*number) + 5*uint64(subject) }

// play gives a record what a text says: "a1" is number 1 of the first subject, "b1" of
// the second; "a1*" came although the cursor covered it, "a1+" under another id, "a1~" is
// a repetition that is allowed.
func play(t *testing.T, l *Ledger, text string) *Record {
	t.Helper()
	r := NewRecord("s", l.Subjects)
	for i, word := range strings.Fields(text) {
		at := time.Duration(i) * time.Second
		if reason, ok := strings.CutPrefix(word, "gap:"); ok {
			r.gapSaid(reason, at)
			continue
		}
		name := word[0]
		word, covered := strings.CutSuffix(word[1:], "*")
		word, other := strings.CutSuffix(word, "+")
		var n uint32
		if _, err := fmt.Sscan(strings.TrimSuffix(word, "~"), &n); err != nil {
			t.Fatal(err)
		}
		seq := seqOf(int(name-'a'), n)
		if other {
			seq += 1000
		}
		r.receive(arrival{subject: l.Subjects[name-'a'], number: n, seq: seq, covered: covered, at: at})
	}
	return r
}

const (
	allA = "a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 "
	allB = "b1 b2 b3 b4 b5 b6 b7 b8 b9 b10 "
)

func TestCheckFindsWhatBreaksThePromise(t *testing.T) {
	for name, c := range map[string]struct {
		received string
		removed  uint64 // through this sequence, at 0
		want     []string
	}{
		"everything once, in order":           {received: allA + allB},
		"subjects mixed":                      {received: "b1 b2 a1 b3 a2 a3 b4 a4 a5 b5 a6 a7 b6 b7 b8 b9 a8 a9 a10 b10"},
		"one that was never acknowledged too": {received: allA + allB + "b11"},
		"sent again beyond the cursor":        {received: allA + allB + "a9~ a10~"},
		"the last is lost":                    {received: "a1 a2 a3 a4 a5 a6 a7 a8 a9 " + allB, want: []string{"lost sv.ws.user.a 10-10"}},
		"all is lost":                         {received: allA, want: []string{"lost sv.ws.broadcast 1-10"}},
		"some in the middle are lost":         {received: "a1 a2 a5 a6 a7 a8 a9 a10 " + allB, want: []string{"lost sv.ws.user.a 3-4"}},
		"the first is lost":                   {received: "a2 a3 a4 a5 a6 a7 a8 a9 a10 " + allB, want: []string{"lost sv.ws.user.a 1-1"}},
		"two that changed places":             {received: "a1 a3 a2 a4 a5 a6 a7 a8 a9 a10 " + allB, want: []string{"disordered sv.ws.user.a 2-2"}},
		"late and still lost":                 {received: "a1 a5 a3 a6 a7 a8 a9 a10 " + allB, want: []string{"lost sv.ws.user.a 2-2", "lost sv.ws.user.a 4-4", "disordered sv.ws.user.a 3-3"}},
		"sent again before the cursor":        {received: allA + "a4* " + allB, want: []string{"repeated sv.ws.user.a 4-4"}},
		"in the log twice":                    {received: allA + "a4+ " + allB, want: []string{"doubled sv.ws.user.a 4-4"}},
		"only the second copy came":           {received: "a1 a2+ a3 a4 a5 a6 a7 a8 a9 a10 " + allB, want: []string{"doubled sv.ws.user.a 2-2"}},
		"a gap without cause":                 {received: allA + "gap:retention " + allB, want: []string{"gap"}},
		"a gap does not excuse a loss":        {received: "gap:retention a2 a3 a4 a5 a6 a7 a8 a9 a10 " + allB, want: []string{"lost sv.ws.user.a 1-1", "gap"}},
		"removed, and said":                   {removed: 30, received: "a1 gap:retention a4 a5 a6 a7 a8 a9 a10 b3 b4 b5 b6 b7 b8 b9 b10"},
		"removed, and not said":               {removed: 30, received: "a1 a4 a5 a6 a7 a8 a9 a10 " + allB, want: []string{"lost sv.ws.user.a 2-3"}},
		"more is missing than was removed":    {removed: 30, received: "a1 gap:retention a5 a6 a7 a8 a9 a10 " + allB, want: []string{"lost sv.ws.user.a 4-4"}},
		"a gap for another reason":            {removed: 30, received: allA + "gap:limit " + allB, want: []string{"gap"}},
		"never published":                     {received: allA + "a11 " + allB, want: []string{"strange"}},
		"far beyond what was published":       {received: allA + allB + "b13", want: []string{"strange"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := fabricate(t)
			if c.removed > 0 {
				l.Remove(Removal{Through: c.removed})
			}
			var got []string
			for _, f := range Check(l, []*Record{play(t, l, c.received)}) {
				text := string(f.Kind)
				if f.Subject != "" {
					text = fmt.Sprintf("%s %s %d-%d", f.Kind, f.Subject, f.From, f.To)
				}
				got = append(got, text)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckFindsWhatIsForSomebodyElse(t *testing.T) {
	l := fabricate(t)
	r := NewRecord("s", l.Subjects[1:])
	for n := range uint32(10) {
		r.receive(arrival{subject: l.Subjects[1], number: n + 1, seq: seqOf(1, n+1)})
	}
	r.receive(arrival{subject: l.Subjects[0], number: 1, seq: 10})
	got := Check(l, []*Record{r})
	if len(got) != 1 || got[0].Kind != Strange || !strings.Contains(got[0].Text, "for somebody else") {
		t.Errorf("found %v", got)
	}
}

// What is said of a loss names the subject, the numbers, the session, when the
// messages were acknowledged, and what happened to the session.
func TestFindingsSayEverything(t *testing.T) {
	l := fabricate(t)
	r := play(t, l, "a1 a2 a6 a7 a8 a9 a10 "+allB)
	r.happened(4500*time.Millisecond, "connected to edge 2")
	got := Check(l, []*Record{r})
	want := "lost: session s: sv.ws.user.a 3 to 5 (3 messages), acknowledged at 00:03.000 to 00:05.000 (sequences 30 to 50 of the log)\n    00:04.500 connected to edge 2"
	if len(got) != 1 || got[0].Text != want {
		t.Errorf("said %v", got)
	}
}

func TestMissingCountsWhatHasNotComeYet(t *testing.T) {
	l := fabricate(t)
	r := play(t, l, "a1 a2 a5 b1")
	for _, c := range []struct {
		upTo []uint32
		want int
	}{{[]uint32{2, 1}, 0}, {[]uint32{3, 1}, 1}, {[]uint32{4, 1}, 2}, {[]uint32{5, 1}, 2}, {[]uint32{6, 1}, 3}, {[]uint32{10, 10}, 16}} {
		if got := r.missing(c.upTo); got != c.want {
			t.Errorf("up to %v: %d are missing, want %d", c.upTo, got, c.want)
		}
	}
}

// A client that has a message before its publisher has the acknowledgement must
// have it under the same id.
func TestAcknowledgedUnderAnotherID(t *testing.T) {
	l := fabricate(t)
	s := l.Subjects[1]
	play(t, l, allB+"b11")
	if err := s.Acknowledge(seqOf(1, 11)+1000, 0); err == nil {
		t.Error("acknowledged under another sequence than clients received it with, and nothing was said")
	}
	if err := s.Acknowledge(seqOf(1, 11), 0); err == nil {
		t.Error("acknowledged twice, and nothing was said")
	}
}
