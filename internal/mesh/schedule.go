package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// dueMargin is how close to its time a message can no longer be cancelled: JetStream
// takes it out of the log before it stores it for its audience, and its clock is not ours.
const (
	dueMargin   = 500 * time.Millisecond
	clockMargin = 250 * time.Millisecond
)

// Scheduled finds the message that waits under the id of its receipt. waiting is false
// when there is none: it was never there, or is delivered, or cancelled. At is zero for a
// schedule that is not of Publish and not for one time.
func (m *Mesh) Scheduled(ctx context.Context, id wire.EventID) (msg wire.Message, waiting bool, err error) {
	if id.Seq == 0 || id.Partition >= len(m.parts) {
		return msg, false, nil
	}
	part := m.parts[id.Partition]
	state, err := part.states.get(ctx, m, time.Now())
	if err != nil || state.Life != id.Life {
		return msg, false, err
	}
	// The leader is asked, not a replica that may be behind.
	var answer struct {
		Message struct {
			Subject string `json:"subject"`
			Header  []byte `json:"hdrs"`
			Data    []byte `json:"data"`
		} `json:"message"`
	}
	err = m.jsAPI(ctx, "$JS.API.STREAM.MSG.GET."+m.parts[id.Partition].stream, map[string]any{"seq": id.Seq}, &answer)
	if message.Refusal(err) == jetstream.JSErrCodeMessageNotFound {
		return msg, false, nil
	}
	if err != nil {
		return msg, false, err
	}
	header, err := nats.DecodeHeadersMsg(answer.Message.Header)
	_, notForAnybody := m.cfg.Subjects.Parse(id.Partition, answer.Message.Subject)
	if err != nil || !errors.Is(notForAnybody, wire.ErrSchedule) || header.Get(jetstream.ScheduleHeader) == "" {
		return msg, false, nil
	}
	msg.MsgID, msg.Collapse = header.Get(wire.HeaderMsgID), header.Get(wire.HeaderCollapse)
	if at, ok := strings.CutPrefix(header.Get(jetstream.ScheduleHeader), message.ScheduleAt); ok {
		msg.At, _ = time.Parse(time.RFC3339, at) //nolint:errcheck // then it is zero
	}
	if ttl, err := time.ParseDuration(header.Get(jetstream.ScheduleTTLHeader) + "s"); err == nil {
		msg.TTL = ttl
	}
	// What was not published by Publish may be for nobody, or be malformed.
	msg.Audience, _ = m.cfg.Subjects.Parse(id.Partition, header.Get(jetstream.ScheduleTargetHeader)) //nolint:errcheck // as said
	msg.Envelope, _ = wire.ParseEnvelope(answer.Message.Data)                                        //nolint:errcheck // as said
	return msg, true, nil
}

// Cancel removes the message that waits under an id. cancelled is false when there is
// none, see Scheduled, and when there is not half a second left: it is then delivered. An
// error that wraps wire.ErrUnavailable leaves open which.
func (m *Mesh) Cancel(ctx context.Context, id wire.EventID) (cancelled bool, err error) {
	msg, waiting, err := m.Scheduled(ctx, id)
	if err != nil || !waiting {
		return false, err
	}
	if !msg.At.IsZero() && time.Until(msg.At) < dueMargin {
		return false, nil
	}
	var answer struct {
		Success bool `json:"success"`
	}
	err = m.jsAPI(ctx, "$JS.API.STREAM.MSG.DELETE."+m.parts[id.Partition].stream, map[string]any{"seq": id.Seq, "no_erase": true}, &answer)
	if message.Refusal(err) != 0 { // perhaps because it is not there any more
		_, waiting, again := m.Scheduled(ctx, id)
		if again == nil && !waiting {
			return false, nil
		}
	}
	if err != nil {
		return false, err
	}
	if !answer.Success {
		return false, fmt.Errorf("%w: the log did not remove a schedule", wire.ErrUnavailable)
	}
	if !msg.At.IsZero() && time.Until(msg.At) < clockMargin {
		return false, fmt.Errorf("%w: the answer came so late that the message may be delivered", wire.ErrUnavailable)
	}
	return true, nil
}

// jsAPI makes a request of JetStream's API. Its error wraps wire.ErrUnavailable, and the
// *jetstream.APIError if there is an answer.
func (m *Mesh) jsAPI(ctx context.Context, subject string, question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	msg, err := m.pub.nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return unavailable(err)
	}
	var refused struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &refused); err != nil {
		return fmt.Errorf("the log's answer: %w", err)
	}
	if refused.Error != nil {
		return unavailable(refused.Error)
	}
	return json.Unmarshal(msg.Data, answer)
}
