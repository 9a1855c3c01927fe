package mesh

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Publish stores messages in the log and returns when all are acknowledged, with a
// receipt for each in their order. Those of one partition are stored as one: all or
// none. Each partition is by itself.
//
// A message whose time is in the future is stored as a schedule, and its receipt has
// the id of that (see Cancel); any other is delivered now. If not all are known to be
// stored, the error wraps wire.ErrUnavailable; publishing all of them again with the
// same MsgIDs within the dedup window stores what is missing, and nothing twice.
func (m *Mesh) Publish(ctx context.Context, msgs []wire.Message) (receipts []wire.Receipt, err error) {
	ctx, span := m.tracePublish(ctx, msgs)
	defer func() { span.End(receipts, err) }()
	if !m.pub.nc.IsConnected() {
		return nil, fmt.Errorf("%w: NATS is not connected", wire.ErrUnavailable)
	}
	receipts = make([]wire.Receipt, len(msgs))
	parts := make([][]pending, m.cfg.Subjects.Partitions())
	originals := make(map[original]int) // JetStream refuses a batch that repeats one
	repeats := make(map[int]int)
	for i := range msgs {
		p := m.cfg.Subjects.Partition(msgs[i].Audience)
		if id := (original{p, msgs[i].MsgID}); id.msgID != "" {
			if first, again := originals[id]; again {
				repeats[i] = first
				continue
			}
			originals[id] = i
		}
		msg, err := message.New(m.cfg.Subjects, message.Stored, &msgs[i])
		if err != nil {
			return nil, err
		}
		trace.Carry(ctx, i, msg.Header.Set)
		if receipts[i].Subject, err = m.cfg.Subjects.Of(msgs[i].Audience); err != nil {
			return nil, err
		}
		parts[p] = append(parts[p], pending{msg, &receipts[i]})
	}
	if err := m.storeParts(ctx, parts); err != nil {
		return nil, err
	}
	for i, first := range repeats {
		receipts[i] = receipts[first]
		receipts[i].Duplicate = true
	}
	return receipts, nil
}

// pending is a message on its way into the log, and where its receipt goes.
type pending struct {
	msg     *nats.Msg
	receipt *wire.Receipt
}

// original is what a partition knows a message by.
type original struct {
	partition int
	msgID     string
}

// partsAtOnce is how many partitions are stored to at a time. One that is not replicated
// stages each batch in files of its own, so one after the other would be slow.
const partsAtOnce = 16

// storeParts puts messages into their partitions, and returns when all have answered.
func (m *Mesh) storeParts(ctx context.Context, parts [][]pending) error {
	errs := make([]error, len(parts))
	slots := make(chan struct{}, partsAtOnce)
	var all sync.WaitGroup
	for p, part := range parts {
		switch {
		case len(part) == 0:
		case len(parts) == 1:
			errs[p] = m.store(ctx, p, part)
		default:
			slots <- struct{}{}
			all.Go(func() {
				errs[p] = m.store(ctx, p, part)
				<-slots
			})
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// store puts messages into one partition.
func (m *Mesh) store(ctx context.Context, p int, part []pending) (err error) {
	ctx, span := m.traceStore(ctx, p, len(part))
	defer func() { span.End(err) }()
	s := stamp{m: m, partition: p, part: m.parts[p]}
	if s.state, err = s.part.states.get(ctx, m, anyAge); err != nil {
		return err
	}
	msgs := make([]*nats.Msg, len(part))
	for i := range part {
		msgs[i] = part[i].msg
	}
	acks, err := message.Log{NC: m.pub.nc.Conn, JS: m.pub.js}.Store(ctx, msgs)
	for i, ack := range acks {
		if err == nil {
			err = s.put(ctx, part[i].receipt, ack.Seq, ack.Duplicate)
		}
	}
	return err
}

// stamp turns JetStream's acknowledgements for one partition into receipts.
type stamp struct {
	m         *Mesh
	partition int
	part      *partition
	state     wire.LogState // of before the messages
}

// put writes a receipt for the message with a sequence.
func (s *stamp) put(ctx context.Context, r *wire.Receipt, seq uint64, duplicate bool) (err error) {
	if seq <= s.state.Last && !duplicate {
		// Sequences do not go back within one life of a stream.
		s.part.states.forget()
		if s.state, err = s.part.states.get(ctx, s.m, anyAge); err != nil {
			return err
		}
		s.state.Last = 0 // it is of after these messages
	}
	r.ID = wire.EventID{Partition: s.partition, Position: wire.Position{Life: s.state.Life, Seq: seq}}
	r.Duplicate = duplicate
	s.part.states.reached(r.ID.Position)
	return nil
}
