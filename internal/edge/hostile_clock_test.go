package edge

import (
	"log/slog"
	"testing"
	"time"
	"unsafe"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

// stepped is a time whose wall clock was set by whole seconds while the monotonic
// one went on, as NTP or a person does. Package time has no such operation: the
// seconds begin at the 30th bit of its first word.
func stepped(t *testing.T, at time.Time, by time.Duration) time.Time {
	t.Helper()
	was := at
	wall := (*uint64)(unsafe.Pointer(&at))
	*wall += uint64(int64(by/time.Second)) << 30
	if got := at.Round(0).Sub(was.Round(0)); got != by || at.Sub(was) != 0 {
		t.Fatalf("the wall clock went by %v and the monotonic one by %v, want %v and 0", got, at.Sub(was), by)
	}
	return at
}

// TestWallClockSteps: when somebody sets the clock, nobody's ping comes due, nor
// anything else in the wheel, and no loop sleeps for longer; and the tokens that
// come afterwards last as long as they say.
func TestWallClockSteps(t *testing.T) {
	for _, by := range []time.Duration{-10 * time.Hour, -time.Hour, time.Hour, 10 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			e, err := New(Config{Loops: 1}, nil, nil, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(e.closePollers)
			l := e.loops[0]
			t.Cleanup(func() { netloop.CloseFD(l.spare) })
			l.wheel.Add(1, int64(l.clock())+5)
			ticks, sleep := l.clock(), l.wheel.Until(l.now)
			const life = 30 * time.Minute
			before := l.clockOf(l.now.Add(life).Round(0))

			l.now = stepped(t, l.now, by)
			if got := l.clock(); got != ticks {
				t.Errorf("the loop's clock went from %d to %d", ticks, got)
			}
			if got := l.wheel.Until(l.now); got != sleep {
				t.Errorf("the loop sleeps for %v, want %v", got, sleep)
			}
			l.wheel.Advance(l.now, func(uint64) { t.Error("what is due in 5 s came up") })
			expires := l.now.Add(life).Round(0) // tokens know the wall clock only
			if after := l.clockOf(expires); after != before {
				t.Errorf("a token of %v lasts until second %d of the loop, want %d", life, after, before)
			}
		})
	}
}
