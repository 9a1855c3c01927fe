package mesh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Sink takes the log in, from one goroutine at a time.
type Sink interface {
	// Begin says where the tail starts, or starts over: the life of the log, which
	// may be the same, and the sequence before the next entry.
	Begin(life, after uint64)
	Append(entry *wire.Entry)
	// Skip passes over a message that no client receives.
	Skip(seq uint64)
}

const (
	watchInterval = 2 * time.Second  // how often the tail looks whether it is still right
	stuckAfter    = 15 * time.Second // without progress, although there is something to read
)

// tail is the state of following the log.
type tail struct {
	life    uint64
	seq     atomic.Uint64 // of the last message taken in
	last    atomic.Uint64 // of the log, as far as known
	caught  atomic.Bool   // it has reached the head once
	entries atomic.Uint64
	skipped skips
}

// Follow brings every message of the log to a sink, in order, until ctx ends.
// It begins warm messages in the past, so that the ring is filled. It starts over
// when what it has brought is no longer what the log holds, or what comes next is
// gone: then only a cursor can tell what a session lacks.
func (m *Mesh) Follow(ctx context.Context, sink Sink, warm uint64) error {
	began := false
	for ctx.Err() == nil {
		state, err := m.State(ctx)
		if err != nil {
			m.log.Warn("the tail waits for the log", "err", err)
			pause(ctx, time.Second)
			continue
		}
		seq := m.tail.seq.Load()
		if !began || state.Life != m.tail.life || state.Last < seq || state.First > seq+1 {
			if began {
				m.log.Error("the log began a new life, lost its end or removed what was not read: every session starts over",
					"old", time.UnixMilli(int64(m.tail.life)), "new", time.UnixMilli(int64(state.Life)),
					"after", seq, "first", state.First, "last", state.Last)
			}
			m.begin(sink, state, warm)
			began = true
		}
		err = m.followOnce(ctx, sink)
		if gone, ok := errors.AsType[*goneError](err); ok {
			m.pass(sink, gone.through)
		} else if err != nil && ctx.Err() == nil {
			m.log.Warn("the tail starts again", "after", m.tail.seq.Load(), "err", err)
			pause(ctx, 500*time.Millisecond)
		}
	}
	return nil
}

func (m *Mesh) begin(sink Sink, state wire.LogState, warm uint64) {
	after := state.First - 1
	if state.Last > warm {
		after = max(after, state.Last-warm)
	}
	m.tail.life = state.Life
	m.tail.seq.Store(after)
	m.tail.last.Store(state.Last)
	m.tail.caught.Store(false)
	sink.Begin(state.Life, after)
	// After Begin: who sees it true may ask the sink. An empty log has no message
	// that would set it.
	m.tail.caught.Store(after >= state.Last)
}

// goneError: the log goes on to a sequence, but holds nothing up to there.
type goneError struct{ through uint64 }

func (e *goneError) Error() string {
	return fmt.Sprintf("the messages up to %d were deleted or have expired", e.through)
}

// pass brings the tail to the end of the log when the messages there are gone.
func (m *Mesh) pass(sink Sink, through uint64) {
	if m.tail.seq.Load() < through {
		sink.Skip(through)
		m.tail.seq.Store(through)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// followOnce follows the log with one ordered consumer until something is wrong
// with it. nats.go restarts the consumer after lost messages and server changes;
// what it cannot notice, the watch does.
func (m *Mesh) followOnce(ctx context.Context, sink Sink) error {
	create, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cons, err := m.follow.js.OrderedConsumer(create, m.StreamName(), jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       m.tail.seq.Load() + 1,
		InactiveThreshold: 30 * time.Second,
	})
	if err != nil {
		return unavailable(err)
	}
	failed := make(chan error, 1)
	var gate gate
	cc, err := cons.Consume(func(msg jetstream.Msg) {
		gate.mu.Lock()
		defer gate.mu.Unlock()
		if gate.shut {
			return
		}
		if err := m.take(ctx, sink, msg); err != nil {
			gate.shut = true // nothing may come behind what was not taken
			offer(failed, err)
		}
	}, jetstream.PullMaxMessages(4096), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		m.log.Debug("tail", "err", err)
		if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrOrderedConsumerNotCreated) {
			offer(failed, err)
		}
	}))
	if err != nil {
		return unavailable(err)
	}
	defer gate.close(cc)
	return m.watch(ctx, failed)
}

// gate lets messages through to the sink, which belongs to one goroutine at a
// time. nats.go runs the callbacks of a consumer and of the one that replaces it
// on two, and may run one after Stop, or while Closed says that it is over.
type gate struct {
	mu   sync.Mutex
	shut bool
}

// stopPatience bounds the wait for nats.go, whose Stop waits while it tries to
// create a consumer.
const stopPatience = 5 * time.Second

func (g *gate) close(cc jetstream.ConsumeContext) {
	g.mu.Lock()
	g.shut = true
	g.mu.Unlock()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		cc.Stop()
		<-cc.Closed()
	}()
	select {
	case <-stopped:
	case <-time.After(stopPatience):
	}
}

func offer(ch chan error, err error) {
	select {
	case ch <- err:
	default:
	}
}

// watch returns when the consumer fails, the log is not the one that was followed
// any more, or the tail does not move although the log does.
func (m *Mesh) watch(ctx context.Context, failed <-chan error) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	seen, since := m.tail.seq.Load(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
		seq := m.tail.seq.Load() // before the state, which is then at least as far
		state, err := m.State(ctx)
		if err != nil {
			continue // NATS is out of reach: the consumer comes back with it
		}
		m.tail.last.Store(state.Last)
		switch {
		case state.Life != m.tail.life || state.Last < seq:
			return errors.New("the log began a new life, or lost its end")
		case seq >= state.Last:
			m.tail.caught.Store(true)
			seen, since = seq, time.Now()
		case seq != seen:
			seen, since = seq, time.Now()
		case time.Since(since) > stuckAfter:
			return fmt.Errorf("no progress since %s at %d, the log is at %d", since.Format(time.TimeOnly), seq, state.Last)
		default:
			next, err := m.next(ctx, m.cfg.Subjects.Log(0), seq+1)
			if err == nil && (next == 0 || next > state.Last) {
				return &goneError{state.Last}
			}
		}
	}
}

// take brings one message to the sink.
func (m *Mesh) take(ctx context.Context, sink Sink, msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	seq, last := meta.Sequence.Stream, m.tail.seq.Load()
	if seq <= last {
		return fmt.Errorf("sequence %d after %d: the log may have begun a new life", seq, last)
	}
	if seq > last+1 {
		if err := m.missing(ctx, last, seq); err != nil {
			return err
		}
	}
	entry, err := m.parseEntry(msg.Subject(), msg.Data(), wire.Position{Life: m.tail.life, Seq: seq}, meta.Timestamp)
	if err != nil {
		m.skip(seq, msg.Subject(), err)
		sink.Skip(seq)
	} else {
		m.tail.entries.Add(1)
		sink.Append(&entry)
	}
	m.tail.seq.Store(seq)
	if meta.NumPending == 0 {
		m.tail.last.Store(max(seq, m.tail.last.Load()))
		m.tail.caught.Store(true)
	}
	return nil
}

// missing looks into sequences that did not come. Messages that were deleted or
// have expired are nobody's loss; ones that are still there, or that retention
// removed before the tail saw them, must not be passed over.
func (m *Mesh) missing(ctx context.Context, last, seq uint64) error {
	next, err := m.next(ctx, m.cfg.Subjects.Log(0), last+1)
	if err != nil {
		return err
	}
	if next != 0 && next < seq {
		return fmt.Errorf("%d came instead of %d", seq, next)
	}
	state, err := m.State(ctx)
	if err != nil {
		return err
	}
	if state.First > last+1 {
		return fmt.Errorf("retention removed %d to %d before they were read", last+1, state.First-1)
	}
	return nil
}

// skip counts a message that is passed over and logs it with its sequence, at
// most skipLogs a minute: who floods the log with nonsense must not flood logs.
func (m *Mesh) skip(seq uint64, subject string, err error) {
	skipped, ok := errors.AsType[*skipError](err)
	if !ok {
		return
	}
	m.tail.skipped.count(skipped.reason)
	if now := time.Now(); now.Sub(m.tail.skipped.window) > time.Minute {
		m.tail.skipped.window, m.tail.skipped.logged = now, 0
	}
	if m.tail.skipped.logged++; m.tail.skipped.logged <= skipLogs {
		m.log.Warn("a message of the log is malformed and was skipped",
			"seq", seq, "subject", subject, "reason", skipped.reason, "err", err)
	}
}

const skipLogs = 100

// skips counts what was passed over, by reason.
type skips struct {
	subject, envelope, payload atomic.Uint64

	// Owned by the tail.
	window time.Time
	logged int
}

func (s *skips) count(reason string) {
	switch reason {
	case skipSubject:
		s.subject.Add(1)
	case skipEnvelope:
		s.envelope.Add(1)
	default:
		s.payload.Add(1)
	}
}

// Lag is how many messages the tail is behind the log, as far as known.
func (m *Mesh) Lag() uint64 {
	last, seq := m.tail.last.Load(), m.tail.seq.Load()
	if seq >= last {
		return 0
	}
	return last - seq
}

// CaughtUp reports whether the tail has reached the head of the log since it
// began.
func (m *Mesh) CaughtUp() bool { return m.tail.caught.Load() }
