package edge

import (
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Entries whose trace is sampled are marked in the ring. What has no mark costs the
// delivery a comparison; what has one is looked up in a table of the last of them.

// maxTraced is how many sampled entries an edge follows at once.
const maxTraced = 1024

// traced is a sampled entry on its way.
type traced struct {
	*trace.Delivery
	gen *generation
	pos uint64
}

// tracing is the table of them. It is nil where nothing is recorded, and marks nothing.
type tracing struct {
	recorder *trace.Recorder
	subjects wire.Subjects
	loops    int
	next     int // the slot to use; the tail's own
	slots    [maxTraced]atomic.Pointer[traced]
}

func newTracing(cfg *Config) *tracing {
	if cfg.Trace == nil {
		return nil
	}
	return &tracing{recorder: cfg.Trace, subjects: cfg.Subjects, loops: cfg.Loops}
}

// traceEntry begins to follow an entry that is about to be appended, if its trace is
// sampled, and returns its mark. What the tail reads of the past, when it begins, is
// nobody's delivery: each restart of an edge would tell of all it holds once more.
func (e *Edge) traceEntry(g *generation, entry *wire.Entry) uint16 {
	t := e.traces
	if t == nil || !entry.Trace.Sampled() || e.cfg.CaughtUp != nil && !e.cfg.CaughtUp() {
		return 0
	}
	d := t.recorder.Deliver(entry, t.subjects, t.loops)
	if d == nil {
		return 0
	}
	slot := &t.slots[t.next]
	t.next = (t.next + 1) % maxTraced
	if old := slot.Load(); old != nil {
		old.Abandon("too many are followed")
	}
	slot.Store(&traced{Delivery: d, gen: g, pos: g.ring.Head() + 1})
	return uint16((t.next+maxTraced-1)%maxTraced) + 1
}

// find is the entry with a mark at a position of a ring; nil if it is not followed any more.
func (t *tracing) find(g *generation, pos uint64, mark uint16) *traced {
	if entry := t.slots[mark-1].Load(); entry != nil && entry.gen == g && entry.pos == pos {
		return entry
	}
	return nil
}

// abandon ends the spans of entries of a ring that some loop will never come to, those
// from one position to another, and lets go of them.
func (t *tracing) abandon(g *generation, from, to uint64, why string) {
	if t == nil {
		return
	}
	for i := range t.slots {
		if entry := t.slots[i].Load(); entry != nil && entry.gen == g && entry.pos >= from && entry.pos <= to {
			entry.Abandon(why)
			t.slots[i].CompareAndSwap(entry, nil) // or it keeps the ring, until the table is full again
		}
	}
}

// follow notes a marked entry that this loop has routed.
func (d *deliverer) follow(pos uint64, mark uint16) {
	if entry := d.loop.edge.traces.find(d.gen, pos, mark); entry != nil {
		d.traced = append(d.traced, entry)
	}
}

// unfollow tells of the entries that every live session of this loop has.
func (d *deliverer) unfollow() {
	n := 0
	for n < len(d.traced) && d.traced[n].pos <= d.done {
		d.traced[n].LoopDone()
		n++
	}
	rest := copy(d.traced, d.traced[n:])
	clear(d.traced[rest:])
	d.traced = d.traced[:rest]
}

// wrote notes that a session got a marked entry, and makes it an example of its latency.
func (d *deliverer) wrote(pos uint64, mark uint16, bucket int, took, now int64) {
	entry := d.loop.edge.traces.find(d.gen, pos, mark)
	if entry == nil {
		return
	}
	at := time.Unix(0, now)
	entry.Wrote(at)
	// One of each entry and bucket is enough: a broadcast has very many.
	slot := &d.loop.counters.latency.examples[bucket]
	if old := slot.Load(); old == nil || old.entry != entry.Delivery {
		slot.Store(&example{entry: entry.Delivery, seconds: float64(max(took, 0)) / 1e9, at: at})
	}
}

// example is a delivery whose trace can be looked at.
type example struct {
	entry   *trace.Delivery
	seconds float64
	at      time.Time
}
