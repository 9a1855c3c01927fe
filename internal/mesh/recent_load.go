package mesh

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	// recentFirst is how many messages are looked for at first: about what a page has.
	recentFirst = 128
	// recentWait bounds the reading of all: where broadcasts are rare, that is the whole
	// partition, cold.
	recentWait = 2 * time.Minute
)

// Remember reads what was sent to everybody, before anybody asks for it. It tries until it
// has it, or ctx ends.
func (m *Mesh) Remember(ctx context.Context) {
	p := m.of(wire.Broadcast())
	for ctx.Err() == nil {
		state, err := p.states.get(ctx, m, time.Now())
		if err == nil {
			_, err = m.recent.upTo(ctx, state, func(*recentView) bool { return false })
		}
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// recentLoad is one step of reading what is to be remembered. It goes on when nobody
// waits any more: the next who asks has the use of it.
type recentLoad struct {
	next chan struct{} // closed when the view has got more, or nothing more is coming
	err  error         // set before next is closed
}

// load begins to read, or joins who does, and returns the step that is under way.
func (r *recent) load(state wire.LogState) *recentLoad {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loading == nil {
		r.loading = &recentLoad{next: make(chan struct{})}
		go r.readBack(state)
	}
	return r.loading
}

// step ends the step that is under way; more says that another one follows.
func (r *recent) step(more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := r.loading
	r.loading = nil
	if more {
		r.loading = &recentLoad{next: make(chan struct{})}
	}
	done.err = err
	close(done.next)
}

// readBack reads the newest messages, and then those before them. The log can only be read
// forward: how far back to begin is told by how many there are.
func (r *recent) readBack(state wire.LogState) {
	ctx, cancel := context.WithTimeout(r.ctx, recentWait)
	defer cancel()
	total, err := r.count(ctx)
	if err != nil {
		r.step(false, err)
		return
	}
	first := max(state.First, 1) - 1
	span := max(state.Last, first) - first
	length := stretchFor(recentFirst, span, total)
	for {
		all, err := r.extend(ctx, state, first, length)
		r.step(!all && err == nil, err)
		if all || err != nil {
			return
		}
		length = max(length*stretchGrowth, stretchFor(recentMsgs, span, total))
	}
}

// stretchFor is how long a stretch of the log is that probably holds some messages of a
// subject that has total in span.
func stretchFor(msgs int, span, total uint64) uint64 {
	if total == 0 {
		return span + 1
	}
	return firstStretch + uint64(1.25*float64(msgs)*float64(span)/float64(total))
}

// count is how many messages there are for everybody. The server knows that without
// looking at them.
func (r *recent) count(ctx context.Context) (uint64, error) {
	subject, err := r.m.cfg.Subjects.Stored(wire.Broadcast())
	if err != nil {
		return 0, err
	}
	s, err := r.m.read.js.Stream(ctx, r.part.stream)
	if err != nil {
		return 0, unavailable(err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return 0, unavailable(err)
	}
	return info.State.Subjects[subject], nil
}

// extend takes a stretch before the view into it, or begins a view. all says that nothing
// is left to do.
func (r *recent) extend(ctx context.Context, state wire.LogState, first, length uint64) (all bool, err error) {
	upTo := state.Last
	began := r.view.Load()
	if began != nil {
		upTo = began.from
	}
	after := first
	if upTo > first && upTo-first > length {
		after = upTo - length
	}
	old := recentView{life: state.Life, from: after, through: after, removed: r.part.states.removed.Load(), began: time.Now()}
	for old.through < upTo {
		got, err := r.m.runOfLog(ctx, r.part, wire.Broadcast(), old.through, upTo, maxBatch, stretchBytes)
		if err != nil {
			return false, err
		}
		old.msgs = append(old.msgs, r.parse(got.msgs, state.Life)...)
		old.through = got.through
		old.trim()
	}
	if err := r.take(ctx); err != nil {
		return false, err
	}
	defer r.leave()
	v := r.view.Load()
	switch {
	case v == nil && began != nil, v != nil && (v.life != state.Life || v.from != upTo):
		return true, nil // forgotten meanwhile, or it has grown too long at its other end
	case v != nil:
		old.through, old.removed, old.began = v.through, v.removed, v.began
		old.msgs = append(old.msgs, v.msgs...)
		old.trim()
	}
	old.all = old.all || old.from <= first
	r.view.Store(&old)
	return old.all, nil
}
