package ring_test

import (
	"testing"

	"github.com/socialvibes/vibemesh/internal/ring"
)

// TestCapacityDoesNotShrink: however much went by, the ring goes on holding what
// its cap allows. Entries fill a segment's bytes long before its table.
func TestCapacityDoesNotShrink(t *testing.T) {
	for _, size := range []int{60, 300, 2000} {
		r := ring.New(256<<10, []uint64{0})
		e := entry(1, "a", size)
		for i := range 100_000 {
			e.Seq = uint64(i + 1)
			r.Append(e)
		}
		v := r.View()
		if s := v.Stats(); s.Bytes < 128<<10 || s.Bytes > 300<<10 {
			t.Errorf("entries of %d bytes: the ring holds %d bytes of %d", size, s.Bytes, 256<<10)
		}
	}
}

// TestStatsPassOverSkips: an entry that no client receives has no time; the age
// of the ring must not be counted from it.
func TestStatsPassOverSkips(t *testing.T) {
	r := ring.New(64<<10, []uint64{0})
	r.Append(entry(1, "a", 100))
	for seq := uint64(2); seq < 2000; seq++ {
		r.Append(ring.Entry{Seq: seq, Kind: ring.KindSkip})
	}
	v := r.View()
	if s := v.Stats(); s.Oldest.Unix() < 0 {
		t.Errorf("the oldest entry is of %v", s.Oldest)
	}
}
