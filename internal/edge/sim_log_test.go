package edge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// simLog is the log of a simulation: what is true. Partitions forget their oldest
// entries and begin new lives; the truth about the past is kept for the checks.
type simLog struct {
	mu    sync.Mutex // jobs read while the simulation's own goroutine waits
	parts []*simPart
	past  map[simLife]*simPart
}

// simLife names one life of one partition.
type simLife struct {
	part int
	life uint64
}

type simPart struct {
	life    uint64
	first   uint64      // sequence of the oldest entry that is still held
	entries []simStored // entries[i].Seq == i+1
}

// simStored is an entry and what became of it.
type simStored struct {
	wire.Entry
	malformed bool   // no client receives it
	over      uint64 // the sequence that took its place; 0: none
}

func newSimLog(parts int) *simLog {
	g := &simLog{past: map[simLife]*simPart{}}
	for i := range parts {
		g.parts = append(g.parts, nil)
		g.begin(i)
	}
	return g
}

// begin starts a new life of a partition.
func (g *simLog) begin(part int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := &simPart{life: 1, first: 1}
	if old := g.parts[part]; old != nil {
		p.life = old.life + 1
	}
	g.parts[part] = p
	g.past[simLife{part, p.life}] = p
}

func (p *simPart) last() uint64 { return uint64(len(p.entries)) }

// add stores an entry and gives it its place in the log.
func (g *simLog) add(e wire.Entry, malformed bool) wire.EventID {
	g.mu.Lock()
	defer g.mu.Unlock()
	e.Partition = wire.Subjects{}.Partitioned(len(g.parts)).Partition(e.Audience)
	p := g.parts[e.Partition]
	e.Position = wire.Position{Life: p.life, Seq: p.last() + 1}
	e.Time = time.Now()
	for i := len(p.entries) - 1; i >= 0 && e.Collapse != ""; i-- {
		if o := &p.entries[i]; o.Collapse == e.Collapse && o.Audience == e.Audience {
			o.over = e.Seq
			break
		}
	}
	p.entries = append(p.entries, simStored{Entry: e, malformed: malformed})
	return e.ID()
}

// forget is retention: a partition drops its oldest entries.
func (g *simLog) forget(part int, n uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.parts[part]
	p.first = min(p.first+n, p.last()+1)
}

func (g *simLog) state() []wire.LogState {
	var s []wire.LogState
	for _, p := range g.parts {
		s = append(s, wire.LogState{Life: p.life, First: p.first, Last: p.last()})
	}
	return s
}

// simHistory is one edge's way to the log, which can be slow, fail, or bring little. It
// keeps the promises that History makes, no more.
type simHistory struct {
	log   *simLog       // whose lock also guards what follows
	fails time.Time     // until then, calls fail
	slow  time.Duration // between the entries of a page and the state of the log
	most  int           // entries of a page; 0: as many as are wanted
	stale []uint64      // a replica that has come to these sequences only; nil: to all
}

// set changes how the way to the log is.
func (h *simHistory) set(change func(h *simHistory)) {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	change(h)
}

func (h *simHistory) mend() {
	h.set(func(h *simHistory) { h.fails, h.slow, h.most, h.stale = time.Time{}, 0, 0, nil })
}

func (h *simHistory) failing() error {
	if time.Now().Before(h.fails) {
		return fmt.Errorf("simulated: %w", wire.ErrUnavailable)
	}
	return nil
}

func (h *simHistory) State(context.Context) ([]wire.LogState, error) {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	return h.log.state(), h.failing()
}

// visible reports whether a reader finds an entry that the log holds.
func (s *simStored) visible(audiences []wire.Audience, now time.Time) bool {
	return !s.malformed && !s.Expired(now) && slices.Contains(audiences, s.Audience)
}

func (h *simHistory) Page(ctx context.Context, req wire.PageRequest) (wire.Page, error) {
	page, slow, err := h.entries(req)
	if err != nil {
		return page, err
	}
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return page, fmt.Errorf("%w: %w", wire.ErrUnavailable, ctx.Err())
		}
	}
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	page.State = h.log.state()
	return page, h.failing()
}

// entries are those of a page, and how long the answer takes.
func (h *simHistory) entries(req wire.PageRequest) (wire.Page, time.Duration, error) {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	page := wire.Page{Through: slices.Clone(req.UpTo)}
	var all []*simStored
	for i, p := range h.log.parts {
		upTo := req.UpTo[i]
		if h.stale != nil {
			upTo = min(upTo, max(h.stale[i], req.After[i]))
			page.Through[i] = upTo
		}
		for seq := max(req.After[i]+1, p.first); seq <= min(upTo, p.last()); seq++ {
			if s := &p.entries[seq-1]; s.visible(req.Audiences, time.Now()) {
				all = append(all, s)
			}
		}
	}
	if page.Through.Covers(req.UpTo) || !slices.Equal(page.Through, req.After) {
		h.cut(&page, all, req)
		return page, h.slow, h.failing()
	}
	return page, 0, fmt.Errorf("a replica is behind: %w", wire.ErrUnavailable) // as mesh has it
}

// cut puts as much into a page as it may hold, in the order of time, and of what has
// one key the last.
func (h *simHistory) cut(page *wire.Page, all []*simStored, req wire.PageRequest) {
	slices.SortStableFunc(all, func(a, b *simStored) int { return a.Time.Compare(b.Time) })
	most, size := req.Limit, 0
	if h.most > 0 {
		most = min(most, h.most)
	}
	for i, s := range all {
		if i == most || size >= req.MaxBytes {
			for _, rest := range slices.Backward(all[i:]) {
				page.Through[rest.Partition] = rest.Seq - 1
			}
			break
		}
		size += len(s.Payload)
		page.Entries = append(page.Entries, s.Entry)
	}
	page.Entries = slices.DeleteFunc(page.Entries, func(e wire.Entry) bool {
		over := h.log.parts[e.Partition].entries[e.Seq-1].over
		return over > 0 && slices.ContainsFunc(page.Entries, func(o wire.Entry) bool { return o.Partition == e.Partition && o.Seq == over })
	})
}

func (h *simHistory) NewestUpTo(_ context.Context, audiences []wire.Audience, upTo wire.Cursor, limit int) ([]wire.Entry, error) {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	var all []wire.Entry
	for i, p := range h.log.parts {
		if p.life != upTo[i].Life {
			return nil, fmt.Errorf("another life: %w", wire.ErrUnavailable)
		}
		for seq := p.first; seq <= min(p.last(), upTo[i].Seq); seq++ {
			if s := &p.entries[seq-1]; s.over == 0 && s.visible(audiences, time.Now()) {
				all = append(all, s.Entry)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b wire.Entry) int { return a.Time.Compare(b.Time) })
	slices.Reverse(all)
	return all[:min(len(all), limit)], h.failing()
}

// simTokens takes "name" as a token, or "name@duration" for one that ends. Names
// with a w have to be waited for.
type simTokens struct{}

func (simTokens) Verify(_ context.Context, token string) (auth.Identity, error) {
	name, lasts, dated := strings.Cut(token, "@")
	id := auth.Identity{UID: name, Expires: time.Now().Add(24 * time.Hour)}
	if dated {
		d, err := time.ParseDuration(lasts)
		if err != nil {
			return id, fmt.Errorf("%w: %w", auth.ErrToken, err)
		}
		id.Expires = time.Now().Add(d)
	}
	return id, nil
}

func (k simTokens) VerifyNow(token string) (auth.Identity, error) {
	if strings.HasPrefix(token, "w") {
		return auth.Identity{}, auth.ErrWait
	}
	return k.Verify(context.Background(), token)
}
