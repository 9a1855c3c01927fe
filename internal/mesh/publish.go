package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
func (m *Mesh) Publish(ctx context.Context, msgs []wire.Message) ([]wire.Receipt, error) {
	if !m.pub.nc.IsConnected() {
		return nil, fmt.Errorf("%w: NATS is not connected", wire.ErrUnavailable)
	}
	receipts := make([]wire.Receipt, len(msgs))
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
		msg, err := m.natsMsg(&msgs[i])
		if err != nil {
			return nil, err
		}
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
func (m *Mesh) store(ctx context.Context, p int, msgs []pending) error {
	s := stamp{m: m, partition: p, part: m.parts[p]}
	var err error
	if s.state, err = s.part.states.get(ctx, m, anyAge); err != nil {
		return err
	}
	if len(msgs) > 1 {
		return m.storeBatch(ctx, &s, msgs)
	}
	return m.storeOne(ctx, &s, msgs[0])
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

// storeOne stores a message that comes alone. While another process is storing it under
// the same id, it waits for that.
func (m *Mesh) storeOne(ctx context.Context, s *stamp, one pending) error {
	for {
		f, err := m.pub.js.PublishMsgAsync(one.msg)
		if err != nil {
			return unavailable(err)
		}
		select {
		case ack := <-f.Ok():
			return s.put(ctx, one.receipt, ack.Sequence, ack.Duplicate)
		case err = <-f.Err():
		case <-ctx.Done():
			return unavailable(ctx.Err())
		}
		if refusal(err) != errIDInProcess {
			return publishError(err)
		}
		pause(ctx, batchPause)
	}
}

// natsMsg is a message as NATS carries it. It is published to the subject that the log
// stores it under, so that who publishes here needs no subject mapping.
func (m *Mesh) natsMsg(msg *wire.Message) (*nats.Msg, error) {
	subject, err := m.cfg.Subjects.Stored(msg.Audience)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(msg.Envelope)
	if err != nil {
		return nil, err
	}
	if len(data) > wire.MaxEnvelope {
		return nil, wire.ErrEnvelopeSize
	}
	out := nats.NewMsg(subject)
	out.Data = data
	if msg.MsgID != "" {
		out.Header.Set(wire.HeaderMsgID, msg.MsgID)
	}
	if msg.Collapse != "" {
		if err := wire.CheckCollapse(msg.Collapse); err != nil {
			return nil, err
		}
		out.Header.Set(wire.HeaderCollapse, msg.Collapse)
	}
	if msg.At.After(time.Now()) {
		return out, m.schedule(out, msg)
	}
	if msg.TTL > 0 {
		out.Header.Set(wire.HeaderTTL, wholeSeconds(msg.TTL))
	}
	return out, nil
}

// wholeSeconds is a duration as JetStream takes it, never less than it was.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

func publishError(err error) error {
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		return fmt.Errorf("%w: no stream stores this subject; run `vibemesh provision`", wire.ErrUnavailable)
	}
	switch refusal(err) {
	case errAtomicDisabled, errTTLDisabled, jetstream.JSErrCodeMessageSchedulesDisabled:
		return fmt.Errorf("%w: %w; run `vibemesh provision`", wire.ErrUnavailable, err)
	}
	return unavailable(err)
}
