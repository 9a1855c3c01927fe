package mesh

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Headers of an atomic batch publish (NATS ADR-50).
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence" // from 1
	headerBatchCommit = "Nats-Batch-Commit"   // "1" on the last
)

// Error codes of JetStream that nats.go has no names for.
const (
	errIDInProcess    jetstream.ErrorCode = 10158 // a message with this id is being stored
	errTTLDisabled    jetstream.ErrorCode = 10166
	errRollup         jetstream.ErrorCode = 10111
	errAtomicDisabled jetstream.ErrorCode = 10174
	errIDInBatch      jetstream.ErrorCode = 10201 // the batch has the id of a stored message
	errManyBatches    jetstream.ErrorCode = 10210
)

const (
	batchStride = 256 << 10 // bytes of a batch that may be sent without an answer
	batchPause  = 20 * time.Millisecond
)

// storeBatch stores messages of one partition: all or none. JetStream refuses a batch
// that has one message it knows already, and does not say which. So those are looked
// for, and the others are stored, again all or none.
func (m *Mesh) storeBatch(ctx context.Context, s *stamp, msgs []pending) error {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	for len(msgs) > 1 {
		last, err := m.sendBatch(ctx, msgs)
		if err == nil {
			return s.run(ctx, msgs, last)
		}
		switch refusal(err) {
		case errIDInBatch:
			before := len(msgs)
			if msgs, err = m.findStored(ctx, s, msgs); err != nil {
				return err
			}
			if len(msgs) < before {
				continue
			}
			err = errors.New("the log refuses a batch for a duplicate that it does not have")
		case errIDInProcess, errManyBatches: // another process is just storing it, or others
		default:
			return publishError(err)
		}
		if pause(ctx, batchPause); ctx.Err() != nil {
			return unavailable(errors.Join(ctx.Err(), err))
		}
	}
	if len(msgs) == 0 {
		return nil
	}
	for _, name := range []string{headerBatchID, headerBatchSeq, headerBatchCommit} {
		msgs[0].msg.Header.Del(name)
	}
	return m.storeOne(ctx, s, msgs[0])
}

// refusal is why JetStream refused; 0 for an error of another kind.
func refusal(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

// run writes the receipts of a batch: its messages follow one another in the stream.
func (s *stamp) run(ctx context.Context, msgs []pending, last uint64) error {
	seq := last - uint64(len(msgs))
	for i := range msgs {
		seq++
		if err := s.put(ctx, msgs[i].receipt, seq, false); err != nil {
			return err
		}
	}
	return nil
}

// sendBatch publishes messages as one atomic batch, of which JetStream keeps nothing
// before it has the last. It returns the stream sequence of the last. Its error is a
// *jetstream.APIError where the server refused, or wraps wire.ErrUnavailable.
func (m *Mesh) sendBatch(ctx context.Context, msgs []pending) (last uint64, err error) {
	id, sent := rand.Text(), 0
	for i := range msgs {
		msg := msgs[i].msg
		msg.Header.Set(headerBatchID, id)
		msg.Header.Set(headerBatchSeq, strconv.Itoa(i+1))
		msg.Header.Del(headerBatchCommit)
		commit := i == len(msgs)-1
		if commit {
			msg.Header.Set(headerBatchCommit, "1")
		}
		sent += msg.Size()
		// The first is answered, too: whether there is room for a batch.
		if i > 0 && !commit && sent < batchStride {
			if err := m.pub.nc.PublishMsg(msg); err != nil {
				return 0, unavailable(err)
			}
			continue
		}
		sent = 0
		answer, err := m.pub.nc.RequestMsgWithContext(ctx, msg)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return 0, err
		case err != nil:
			return 0, unavailable(err)
		}
		if last, err = batchAnswer(answer.Data, commit, len(msgs)); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// batchAnswer reads what the server says to a message of a batch: nothing, before the
// commit.
func batchAnswer(data []byte, commit bool, count int) (seq uint64, err error) {
	if len(data) == 0 && !commit {
		return 0, nil
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
		Count int                 `json:"count"`
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		return 0, unavailable(fmt.Errorf("the answer to a batch: %w", err))
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Count != count || ack.Seq < uint64(count) {
		return 0, unavailable(fmt.Errorf("a batch of %d was acknowledged as %d that end at %d", count, ack.Count, ack.Seq))
	}
	return ack.Seq, nil
}

// findStored writes the receipts of those messages that the log holds already, and
// returns the others. It asks with the same message ids, and with a header that JetStream
// refuses, which it looks at only after it has looked for duplicates: nothing is stored.
func (m *Mesh) findStored(ctx context.Context, s *stamp, msgs []pending) (missing []pending, err error) {
	futures := make([]jetstream.PubAckFuture, len(msgs))
	for i := range msgs {
		id := msgs[i].msg.Header.Get(wire.HeaderMsgID)
		if id == "" {
			continue
		}
		probe := nats.NewMsg(msgs[i].msg.Subject)
		probe.Header.Set(wire.HeaderMsgID, id)
		probe.Header.Set(jetstream.MsgRollup, "probe")
		if futures[i], err = m.pub.js.PublishMsgAsync(probe); err != nil {
			return nil, unavailable(err)
		}
	}
	for i, f := range futures {
		if f == nil {
			missing = append(missing, msgs[i])
			continue
		}
		select {
		case ack := <-f.Ok():
			if !ack.Duplicate {
				return nil, unavailable(errors.New("the log stored what it should have refused"))
			}
			if err := s.put(ctx, msgs[i].receipt, ack.Sequence, true); err != nil {
				return nil, err
			}
		case err := <-f.Err():
			if code := refusal(err); code != errRollup && code != errIDInProcess {
				return nil, publishError(err)
			}
			missing = append(missing, msgs[i])
		case <-ctx.Done():
			return nil, unavailable(ctx.Err())
		}
	}
	return missing, nil
}
