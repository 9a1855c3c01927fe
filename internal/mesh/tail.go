package mesh

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sync/errgroup"
)

// Sink takes the log in, from one goroutine at a time.
type Sink interface {
	// Begin says where the tail starts, or starts over: the life of each partition, which
	// may be the same, and the place before the next entries.
	Begin(lives []uint64, after wire.Vector)
	Append(entry *wire.Entry)
	// Skip passes over messages of a partition, up to a sequence, that no client receives.
	Skip(partition int, seq uint64)
}

// tail is the state of following the log.
type tail struct {
	mu      sync.Mutex // around the sink: partitions come one by one
	entries atomic.Uint64
	skipped skips
}

// errAnew: a partition is no longer what was followed of it. Only a cursor can tell
// what a session lacks.
var errAnew = errors.New("the log began a new life, lost its end or removed what was not read")

// Follow brings every message of the log to a sink, each partition in its order, until
// ctx ends. It begins warm messages in the past, so that the ring is filled. It starts
// over when what it has brought is no longer what the log holds, or what comes next is
// gone.
func (m *Mesh) Follow(ctx context.Context, sink Sink, warm uint64) error {
	for ctx.Err() == nil {
		log, err := m.State(ctx)
		if err != nil {
			m.log.Warn("the tail waits for the log", "err", err)
			pause(ctx, time.Second)
			continue
		}
		m.begin(sink, log, warm/uint64(len(log)))
		group, each := errgroup.WithContext(ctx)
		for _, p := range m.parts {
			group.Go(func() error { return m.followPartition(each, p, sink) })
		}
		if err := group.Wait(); err != nil && ctx.Err() == nil {
			m.log.Error("every session starts over", "err", err)
		}
	}
	return nil
}

func (m *Mesh) begin(sink Sink, log []wire.LogState, warm uint64) {
	after := make(wire.Vector, len(log))
	for i, state := range log {
		after[i] = max(state.First, 1) - 1
		if state.Last > warm {
			after[i] = max(after[i], state.Last-warm)
		}
		m.parts[i].tail.begin(state, after[i])
	}
	sink.Begin(wire.Lives(log), slices.Clone(after))
	// After Begin: who sees it true may ask the sink. An empty log has no message
	// that would set it.
	for i, state := range log {
		m.parts[i].tail.caught.Store(after[i] >= state.Last)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// take brings one message of a partition to the sink.
func (m *Mesh) take(ctx context.Context, p *partition, sink Sink, msg *arrival) error {
	seq, last := msg.seq, p.tail.seq.Load()
	if seq <= last {
		return errors.New("sequences go back: the log may have begun a new life")
	}
	if seq > last+1 {
		if err := m.missing(ctx, p, last, msg); err != nil {
			return err
		}
	}
	entry, err := m.parseEntry(p, p.tail.life.Load(), &msg.stored)
	m.tail.mu.Lock()
	if err != nil {
		m.skip(seq, msg.subject, err)
		sink.Skip(p.index, seq)
	} else {
		m.tail.entries.Add(1)
		entry.Trace = wire.TraceOf(msg.header)
		sink.Append(&entry)
	}
	m.tail.mu.Unlock()
	p.tail.seq.Store(seq)
	p.tail.before = msg.sending
	if msg.pending == 0 {
		p.tail.last.Store(max(seq, p.tail.last.Load()))
		p.tail.caught.Store(true)
	}
	return nil
}

// pass brings the tail to the end of a partition when the messages there are gone.
func (m *Mesh) pass(p *partition, sink Sink, through uint64) {
	if p.tail.seq.Load() < through {
		m.tail.mu.Lock()
		sink.Skip(p.index, through)
		m.tail.mu.Unlock()
		p.tail.seq.Store(through)
	}
}

// Lag is how many messages the tail is behind the log, as far as known.
func (m *Mesh) Lag() (lag uint64) {
	for _, p := range m.parts {
		if last, seq := p.tail.last.Load(), p.tail.seq.Load(); seq < last {
			lag += last - seq
		}
	}
	return lag
}

// CaughtUp reports whether the tail has reached the head of every partition since it
// began.
func (m *Mesh) CaughtUp() bool {
	return !slices.ContainsFunc(m.parts, func(p *partition) bool { return !p.tail.caught.Load() })
}
