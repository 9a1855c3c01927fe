package netloop

import "time"

// Wheel is a coarse timer for very many items: one tick a slot, eight bytes an
// item, no removal. An item that is no longer due when its slot comes round is
// simply put back: the owner decides. It belongs to one goroutine.
type Wheel struct {
	tick  time.Duration
	start time.Time
	now   int64 // ticks since start that have been worked off
	slots [][]uint64
	count int
}

// NewWheel makes a wheel that turns once in slots ticks; a longer delay goes
// round in several steps.
func NewWheel(tick time.Duration, slots int, start time.Time) *Wheel {
	return &Wheel{tick: tick, start: start, slots: make([][]uint64, slots)}
}

// Add has Advance report id once delay has passed, or earlier if the delay is
// longer than the wheel: an owner compares with its own deadline.
func (w *Wheel) Add(id uint64, delay time.Duration) {
	ticks := max(int64((delay+w.tick-1)/w.tick), 1)
	ticks = min(ticks, int64(len(w.slots)-1))
	slot := &w.slots[(w.now+ticks)%int64(len(w.slots))]
	*slot = append(*slot, id)
	w.count++
}

// Advance reports every item whose slot has come by now. due may call Add.
func (w *Wheel) Advance(now time.Time, due func(id uint64)) {
	for target := int64(now.Sub(w.start) / w.tick); w.now < target; {
		if w.count == 0 {
			w.now = target
			return
		}
		w.now++
		slot := &w.slots[w.now%int64(len(w.slots))]
		ids := *slot
		*slot = nil // due may add to this very slot; big slices go back to the collector
		w.count -= len(ids)
		for _, id := range ids {
			due(id)
		}
	}
}

// Until is how long a loop may sleep before the next tick matters: negative
// when no item waits.
func (w *Wheel) Until(now time.Time) time.Duration {
	if w.count == 0 {
		return -1
	}
	return max(w.start.Add(time.Duration(w.now+1)*w.tick).Sub(now), 0)
}
