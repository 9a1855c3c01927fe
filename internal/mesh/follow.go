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

const (
	watchInterval = 2 * time.Second // how often the tail looks whether it is still right
	stuckAfter    = 5 * time.Second // without progress, although there is something to read
	heartbeat     = time.Second     // of a consumer with nothing to send; two that are missing are its end
	pullBatch     = 4096            // messages of a partition that wait to be taken
)

// follower is the state of following one partition.
type follower struct {
	life   atomic.Uint64
	before sending       // of the message before
	seq    atomic.Uint64 // of the last message taken in
	last   atomic.Uint64 // of the partition, as far as known
	caught atomic.Bool   // it has reached the head once
}

func (f *follower) begin(state wire.LogState, after uint64) {
	f.life.Store(state.Life)
	f.seq.Store(after)
	f.last.Store(state.Last)
	f.caught.Store(false)
}

// arrival is a message of the log, as it came from the consumer.
type arrival struct {
	stored
	sending
	pending uint64 // messages behind it, when it was sent
	came    time.Time
}

// followPartition brings a partition to the sink until ctx ends, or until it is no
// longer what it was: errAnew.
func (m *Mesh) followPartition(ctx context.Context, p *partition, sink Sink) error {
	for ctx.Err() == nil {
		state, err := p.states.get(ctx, m, time.Now())
		if err != nil {
			m.log.Warn("the tail waits for the log", "stream", p.stream, "err", err)
			pause(ctx, time.Second)
			continue
		}
		if seq := p.tail.seq.Load(); state.Life != p.tail.life.Load() || state.Last < seq || state.First > seq+1 {
			return fmt.Errorf("%w: %s was at %d in the life of %s, and holds %d to %d in that of %s", errAnew, p.stream, seq,
				time.UnixMilli(int64(p.tail.life.Load())), state.First, state.Last, time.UnixMilli(int64(state.Life)))
		}
		err = m.followOnce(ctx, p, sink)
		if gone, ok := errors.AsType[*goneError](err); ok {
			m.pass(p, sink, gone.through)
		} else if err != nil && ctx.Err() == nil {
			m.log.Warn("the tail starts again", "stream", p.stream, "after", p.tail.seq.Load(), "err", err)
			pause(ctx, 500*time.Millisecond)
		}
	}
	return nil
}

// goneError: the log goes on to a sequence, but holds nothing up to there.
type goneError struct{ through uint64 }

func (e *goneError) Error() string {
	return fmt.Sprintf("the messages up to %d were deleted or have expired", e.through)
}

// followOnce follows a partition with one ordered consumer until something is wrong
// with it. nats.go restarts the consumer after lost messages and server changes;
// what it cannot notice, the watch does.
func (m *Mesh) followOnce(ctx context.Context, p *partition, sink Sink) error {
	create, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cons, err := m.follow.js.OrderedConsumer(create, p.stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       p.tail.seq.Load() + 1,
		InactiveThreshold: 30 * time.Second,
	})
	if err != nil {
		return unavailable(err)
	}
	// What was not taken ends with this call: nothing may come behind it.
	ctx, stop := context.WithCancel(ctx)
	var taker sync.WaitGroup
	defer taker.Wait()
	defer stop()
	failed := make(chan error, 1)
	arrivals := make(chan *arrival, pullBatch)
	taker.Go(func() {
		for {
			select {
			case a := <-arrivals:
				if err := m.take(ctx, p, sink, a); err != nil {
					offer(failed, err)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	cc, err := cons.Consume(func(msg jetstream.Msg) {
		a, err := arrived(msg)
		if err != nil {
			offer(failed, err)
			return
		}
		select {
		case arrivals <- a:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(pullBatch), jetstream.PullHeartbeat(heartbeat), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		m.log.Debug("tail", "stream", p.stream, "err", err)
		if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrOrderedConsumerNotCreated) {
			offer(failed, err)
		}
	}))
	if err != nil {
		return unavailable(err)
	}
	defer stopConsumer(cc)
	defer stop() // before: a callback may wait to hand its message over
	return m.watch(ctx, p, failed)
}

func arrived(msg jetstream.Msg) (*arrival, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	return &arrival{
		stored:  stored{subject: msg.Subject(), seq: meta.Sequence.Stream, at: meta.Timestamp, header: msg.Headers(), data: msg.Data()},
		sending: sending{consumer: meta.Consumer, number: meta.Sequence.Consumer},
		pending: meta.NumPending, came: time.Now(),
	}, nil
}

// stopPatience bounds the wait for nats.go, whose Stop waits while it tries to
// create a consumer.
const stopPatience = 5 * time.Second

func stopConsumer(cc jetstream.ConsumeContext) {
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

// watch returns when the consumer fails, the partition is not the one that was followed
// any more, or the tail does not move although the log does.
func (m *Mesh) watch(ctx context.Context, p *partition, failed <-chan error) error {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	seen, since := p.tail.seq.Load(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-tick.C:
		}
		seq := p.tail.seq.Load() // before the state, which is then at least as far
		state, err := p.states.get(ctx, m, time.Now())
		if err != nil {
			continue // NATS is out of reach: the consumer comes back with it
		}
		p.tail.last.Store(state.Last)
		switch {
		case state.Life != p.tail.life.Load() || state.Last < seq:
			return errors.New("the log began a new life, or lost its end")
		case seq >= state.Last:
			p.tail.caught.Store(true)
			seen, since = seq, time.Now()
		case seq != seen:
			seen, since = seq, time.Now()
		case time.Since(since) > stuckAfter:
			return fmt.Errorf("no progress since %s at %d, the log is at %d", since.Format(time.TimeOnly), seq, state.Last)
		default:
			next, err := m.next(ctx, p, m.cfg.Subjects.Log(p.index), seq+1)
			if err == nil && (next == 0 || next > state.Last) {
				return &goneError{state.Last}
			}
		}
	}
}

// missing looks into sequences that did not come. Deleted or expired one by one, they
// are nobody's loss; ones that are still there, or that retention removed before the
// tail saw them, must not be passed over.
//
// What a consumer sends, it numbers: if this message and the one before it have
// numbers in a row, the log held nothing between them. And one state of the log, asked
// for after a message came, tells of all that came before what retention has removed.
// So a start over very many that have expired costs few requests.
func (m *Mesh) missing(ctx context.Context, p *partition, last uint64, msg *arrival) error {
	if !msg.follows(p.tail.before) {
		next, err := m.next(ctx, p, m.cfg.Subjects.Log(p.index), last+1)
		if err != nil {
			return err
		}
		if next != 0 && next < msg.seq {
			return fmt.Errorf("%d came instead of %d", msg.seq, next)
		}
	}
	state, err := p.states.get(ctx, m, msg.came)
	if err != nil {
		return err
	}
	if state.First > last+1 {
		return fmt.Errorf("retention removed %d to %d before they were read", last+1, state.First-1)
	}
	return nil
}

// sending is a message as a consumer counts it.
type sending struct {
	consumer string
	number   uint64
}

func (s sending) follows(before sending) bool {
	return s.consumer == before.consumer && s.number == before.number+1
}
