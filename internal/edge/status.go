package edge

import (
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Status is what the edge knows of itself. Node, version and what concerns the tail are
// for the caller to add.
func (e *Edge) Status() wire.EdgeStatus {
	s := wire.EdgeStatus{Draining: e.Draining()}
	for _, l := range e.loops {
		s.Sessions += int(l.counters.live.Load())
		s.Delivered += l.counters.delivered.Load()
	}
	g := e.gen.Load()
	if g == nil {
		return s
	}
	view := g.ring.View()
	stats := view.Stats()
	s.RingBytes = stats.Bytes
	if !stats.Oldest.IsZero() {
		s.RingSpan = max(time.Since(stats.Oldest).Seconds(), 0) // two machines' clocks differ
	}
	return s
}
