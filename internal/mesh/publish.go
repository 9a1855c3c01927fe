package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Publish stores messages in the log and returns when all are acknowledged. If
// some were not, the error wraps wire.ErrUnavailable; publishing all of them
// again with the same MsgIDs within the dedup window stores none twice.
func (m *Mesh) Publish(ctx context.Context, msgs []wire.Message) ([]wire.Receipt, error) {
	if !m.pub.nc.IsConnected() {
		return nil, fmt.Errorf("%w: NATS is not connected", wire.ErrUnavailable)
	}
	state, err := m.states.get(ctx, m, anyAge)
	if err != nil {
		return nil, err
	}
	futures := make([]jetstream.PubAckFuture, len(msgs))
	receipts := make([]wire.Receipt, len(msgs))
	for i := range msgs {
		msg, err := m.natsMsg(&msgs[i])
		if err != nil {
			return nil, err
		}
		receipts[i].Subject = msg.Subject
		if futures[i], err = m.pub.js.PublishMsgAsync(msg); err != nil {
			return nil, unavailable(err)
		}
	}
	for i, f := range futures {
		select {
		case ack := <-f.Ok():
			receipts[i].ID = wire.EventID{Position: wire.Position{Life: state.Life, Seq: ack.Sequence}}
			receipts[i].Duplicate = ack.Duplicate
			if ack.Sequence <= state.Last && !ack.Duplicate {
				// Sequences do not go back within one life of a stream.
				m.states.forget()
				if state, err = m.states.get(ctx, m, anyAge); err != nil {
					return nil, err
				}
				receipts[i].ID.Life = state.Life
				state.Last = 0 // it is of after these messages
			}
			m.states.reached(receipts[i].ID.Position)
		case err := <-f.Err():
			return nil, publishError(err)
		case <-ctx.Done():
			return nil, unavailable(ctx.Err())
		}
	}
	return receipts, nil
}

func (m *Mesh) natsMsg(msg *wire.Message) (*nats.Msg, error) {
	subject, err := m.cfg.Subjects.Of(msg.Audience)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(msg.Envelope)
	if err != nil {
		return nil, err
	}
	out := nats.NewMsg(subject)
	out.Data = data
	if msg.MsgID != "" {
		out.Header.Set(wire.HeaderMsgID, msg.MsgID)
	}
	return out, nil
}

func publishError(err error) error {
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		return fmt.Errorf("%w: no stream stores this subject; run `vibemesh provision`", wire.ErrUnavailable)
	}
	return unavailable(err)
}
