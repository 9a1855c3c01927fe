package netloop

import "time"

// Wheel is a coarse timer for very many items: one tick a slot, eight bytes an
// item, no removal. An owner that no longer wants an item when it comes up
// ignores it. It belongs to one goroutine.
type Wheel struct {
	tick  time.Duration
	start time.Time
	now   int64 // the tick that was worked off last
	slots [][]uint64
	count int
}

// NewWheel makes a wheel that turns once in slots ticks.
func NewWheel(tick time.Duration, slots int, start time.Time) *Wheel {
	return &Wheel{tick: tick, start: start, slots: make([][]uint64, slots)}
}

// Tick is the number of the tick a time falls in.
func (w *Wheel) Tick(t time.Time) int64 { return int64(t.Sub(w.start) / w.tick) }

// Add has Advance report id at a tick; at the next one if that has passed, and
// after one turn of the wheel if it is farther away.
func (w *Wheel) Add(id uint64, tick int64) {
	tick = min(max(tick, w.now+1), w.now+int64(len(w.slots))-1)
	slot := &w.slots[tick%int64(len(w.slots))]
	*slot = append(*slot, id)
	w.count++
}

// Advance reports every item whose tick has come by now. due may call Add.
func (w *Wheel) Advance(now time.Time, due func(id uint64)) {
	for target := w.Tick(now); w.now < target; {
		if w.count == 0 {
			w.now = target
			return
		}
		w.now++
		slot := &w.slots[w.now%int64(len(w.slots))]
		ids := *slot
		*slot = nil // big slices go back to the collector
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
