package message

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

// AckTimeout is how long a message may wait for its acknowledgement.
const AckTimeout = 10 * time.Second

// Log is a connection that stores messages. JS is to have AckTimeout as the limit of
// its asynchronous publishes.
type Log struct {
	NC *nats.Conn
	JS jetstream.JetStream
}

// Ack is the log's acknowledgement of a message.
type Ack struct {
	Stream    string
	Seq       uint64
	Duplicate bool // stored before under the same id; Seq is the original's
}

// one is a message, and where its acknowledgement goes.
type one struct {
	msg *nats.Msg
	ack *Ack
}

// Store puts messages of one partition into it, all or none, and returns when that is
// acknowledged. Its error wraps wire.ErrUnavailable, and the *jetstream.APIError of a
// refusal. Once ctx has ended nothing is sent.
func (l Log) Store(ctx context.Context, msgs []*nats.Msg) ([]Ack, error) {
	if err := ctx.Err(); err != nil {
		return nil, Explain(err)
	}
	acks := make([]Ack, len(msgs))
	all := make([]one, len(msgs))
	for i := range msgs {
		all[i] = one{msgs[i], &acks[i]}
	}
	var err error
	switch len(msgs) {
	case 0:
	case 1:
		err = l.storeOne(ctx, all[0])
	default:
		err = l.storeBatch(ctx, all)
	}
	if err != nil {
		return nil, Explain(err)
	}
	return acks, nil
}

// storeOne stores a message that comes alone. While another process is storing it under
// the same id, it waits for that.
func (l Log) storeOne(ctx context.Context, m one) error {
	for {
		f, err := l.JS.PublishMsgAsync(m.msg)
		if err != nil {
			return err
		}
		select {
		case ack := <-f.Ok():
			*m.ack = Ack{ack.Stream, ack.Sequence, ack.Duplicate}
			return nil
		case err = <-f.Err():
		case <-ctx.Done():
			return ctx.Err()
		}
		if Refusal(err) != errIDInProcess {
			return err
		}
		pause(ctx)
	}
}

// storeBatch stores messages of one partition: all or none. JetStream refuses a batch
// that has one message it knows already, and does not say which. So those are looked
// for, and the others are stored, again all or none.
func (l Log) storeBatch(ctx context.Context, msgs []one) error {
	ctx, cancel := context.WithTimeout(ctx, AckTimeout)
	defer cancel()
	for len(msgs) > 1 {
		err := l.sendBatch(ctx, msgs)
		if err == nil {
			return nil
		}
		switch Refusal(err) {
		case errIDInBatch:
			before := len(msgs)
			if msgs, err = l.findStored(ctx, msgs); err != nil {
				return err
			}
			if len(msgs) < before {
				continue
			}
			err = errors.New("the log refuses a batch for a duplicate that it does not have")
		case errIDInProcess, errManyBatches: // another process is just storing it, or others
		default:
			return err
		}
		if pause(ctx); ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
	if len(msgs) == 0 {
		return nil
	}
	for _, name := range []string{headerBatchID, headerBatchSeq, headerBatchCommit} {
		msgs[0].msg.Header.Del(name)
	}
	return l.storeOne(ctx, msgs[0])
}

// pause waits a little, or until ctx ends.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(batchPause):
	}
}

// Refusal is why JetStream refused; 0 for an error of another kind.
func Refusal(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

// Explain wraps an error of publishing in wire.ErrUnavailable, and says what to do where
// that is known.
func Explain(err error) error {
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		return fmt.Errorf("%w: no stream stores this subject; run `vibemesh provision`", wire.ErrUnavailable)
	}
	switch Refusal(err) {
	case errAtomicDisabled, errTTLDisabled, jetstream.JSErrCodeMessageSchedulesDisabled:
		return fmt.Errorf("%w: %w; run `vibemesh provision`", wire.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", wire.ErrUnavailable, err)
}

// sendBatch publishes messages as one atomic batch, of which JetStream keeps nothing
// before it has the last. Where the server refused, its error is a *jetstream.APIError.
func (l Log) sendBatch(ctx context.Context, msgs []one) error {
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
			if err := l.NC.PublishMsg(msg); err != nil {
				return err
			}
			continue
		}
		sent = 0
		answer, err := l.NC.RequestMsgWithContext(ctx, msg)
		if err != nil {
			return err
		}
		last, err := batchAnswer(answer.Data, commit, len(msgs))
		if err != nil {
			return err
		}
		if commit { // the messages of a batch follow one another in the stream
			for j := range msgs {
				*msgs[j].ack = Ack{Stream: last.Stream, Seq: last.Seq - uint64(len(msgs)-1-j)}
			}
		}
	}
	return nil
}

// batchAnswer reads what the server says to a message of a batch: nothing, before the
// commit.
func batchAnswer(data []byte, commit bool, count int) (last Ack, err error) {
	if len(data) == 0 && !commit {
		return Ack{}, nil
	}
	var ack struct {
		Error  *jetstream.APIError `json:"error"`
		Stream string              `json:"stream"`
		Seq    uint64              `json:"seq"`
		Count  int                 `json:"count"`
	}
	if err := json.Unmarshal(data, &ack); err != nil {
		return Ack{}, fmt.Errorf("the answer to a batch: %w", err)
	}
	if ack.Error != nil {
		return Ack{}, ack.Error
	}
	if ack.Count != count || ack.Seq < uint64(count) {
		return Ack{}, fmt.Errorf("a batch of %d was acknowledged as %d that end at %d", count, ack.Count, ack.Seq)
	}
	return Ack{Stream: ack.Stream, Seq: ack.Seq}, nil
}

// findStored takes the acknowledgements of those messages that the log holds already, and
// returns the others. It asks with the same message ids, and with a header that JetStream
// refuses, which it looks at only after it has looked for duplicates: nothing is stored.
func (l Log) findStored(ctx context.Context, msgs []one) (missing []one, err error) {
	futures := make([]jetstream.PubAckFuture, len(msgs))
	for i := range msgs {
		id := msgs[i].msg.Header.Get(wire.HeaderMsgID)
		if id == "" {
			continue
		}
		probe := nats.NewMsg(msgs[i].msg.Subject)
		probe.Header.Set(wire.HeaderMsgID, id)
		probe.Header.Set(jetstream.MsgRollup, "probe")
		if futures[i], err = l.JS.PublishMsgAsync(probe); err != nil {
			return nil, err
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
				return nil, errors.New("the log stored what it should have refused")
			}
			*msgs[i].ack = Ack{ack.Stream, ack.Sequence, true}
		case err := <-f.Err():
			if code := Refusal(err); code != errRollup && code != errIDInProcess {
				return nil, err
			}
			missing = append(missing, msgs[i])
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return missing, nil
}
