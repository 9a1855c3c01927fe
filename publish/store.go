package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// partsAtOnce is how many partitions are stored to at a time.
const partsAtOnce = 16

// pending is a message of a partition, and which of the receipts is its.
type pending struct {
	msg *nats.Msg
	at  int
}

// store puts checked messages into the log, with a receipt for each in their order.
func (p *Publisher) store(ctx context.Context, msgs []wire.Message) ([]Receipt, error) {
	if !p.log.NC.IsConnected() {
		return nil, fmt.Errorf("%w: NATS is not connected", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, message.AckTimeout)
	defer cancel()
	subjects, err := p.subjectsFor(ctx, msgs)
	if err != nil {
		return nil, p.explain(err)
	}
	receipts := make([]Receipt, len(msgs))
	parts := make([][]pending, subjects.Partitions())
	firsts, repeats := map[string]int{}, map[int]int{} // JetStream refuses a batch that repeats an id
	for i := range msgs {
		if id := msgs[i].MsgID; id != "" {
			if first, again := firsts[id]; again {
				repeats[i] = first
				continue
			}
			firsts[id] = i
		}
		msg, err := message.New(subjects, message.Mapped, &msgs[i])
		if err != nil {
			return nil, err
		}
		inject(ctx, i, msg)
		if receipts[i].Subject, err = subjects.Of(msgs[i].Audience); err != nil {
			return nil, err
		}
		if msg.Subject != receipts[i].Subject {
			receipts[i].DeliverAt = msgs[i].At
		}
		part := subjects.Partition(msgs[i].Audience)
		parts[part] = append(parts[part], pending{msg, i})
	}
	if err := p.storeParts(ctx, parts, receipts); err != nil {
		return nil, p.explain(err)
	}
	for i, first := range repeats {
		receipts[i] = receipts[first]
		receipts[i].Duplicate = true
	}
	return receipts, nil
}

// storeParts puts messages into their partitions, and returns when all have answered.
func (p *Publisher) storeParts(ctx context.Context, parts [][]pending, receipts []Receipt) error {
	errs := make([]error, len(parts))
	slots := make(chan struct{}, partsAtOnce)
	var all sync.WaitGroup
	for i, part := range parts {
		if len(part) == 0 {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			errs[i] = p.storePart(ctx, part, receipts)
			<-slots
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (p *Publisher) storePart(ctx context.Context, part []pending, receipts []Receipt) error {
	msgs := make([]*nats.Msg, len(part))
	for i := range part {
		msgs[i] = part[i].msg
	}
	acks, err := p.log.Store(ctx, msgs)
	for i, ack := range acks {
		r := &receipts[part[i].at]
		r.Stream, r.Seq, r.Duplicate = ack.Stream, ack.Seq, ack.Duplicate
	}
	return err
}

// Why JetStream refuses what the log's partitions do not allow; nats.go has no names for these.
const (
	errBatchIncomplete jetstream.ErrorCode = 10176 // a part of the batch came to another stream
	errScheduleTarget  jetstream.ErrorCode = 10190 // is of another stream
)

// explain adds to an error what this connection knows of it.
func (p *Publisher) explain(err error) error {
	switch message.Refusal(err) {
	case errBatchIncomplete, errScheduleTarget:
		p.partitions.Store(0) // the log was made anew, with another number of them
	}
	// The server says asynchronously, if at all, that a user may not publish to a subject.
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrAsyncPublishTimeout)
	if last := p.log.NC.LastError(); late && errors.Is(last, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w; the server has said to this connection: %w", err, last)
	}
	return err
}
