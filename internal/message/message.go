// Package message is a message on its way into the log: how NATS carries what is
// published, and how the messages of a partition are stored all or none. Who serves the
// API and who publishes from a backend do it alike.
package message

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// ScheduleAt begins the value of Nats-Schedule that names one time, RFC 3339.
const ScheduleAt = "@at "

// Way is how a message gets to its partition of the log.
type Way int

const (
	// Stored: it is published to the subject that the log stores it under, so that who
	// publishes needs no subject mapping of the server, and must know the partitions.
	Stored Way = iota
	// Mapped: it is published below prefix.ws, and the server maps it to its partition.
	Mapped
)

// New is a message as NATS carries it. One whose time has not come is a schedule.
// Its errors are those of wire.EncodeID and wire.CheckCollapse, and wire.ErrEnvelopeSize.
func New(s wire.Subjects, way Way, msg *wire.Message) (*nats.Msg, error) {
	subject, err := s.Of(msg.Audience)
	if err == nil && way == Stored {
		subject, err = s.Stored(msg.Audience)
	}
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
		return out, schedule(out, s, way, msg)
	}
	if msg.TTL > 0 {
		out.Header.Set(wire.HeaderTTL, wholeSeconds(msg.TTL))
	}
	return out, nil
}

// schedule makes of a message one that waits for its time: JetStream then stores it for
// its audience, without what is about the schedule, and removes the schedule.
func schedule(out *nats.Msg, s wire.Subjects, way Way, msg *wire.Message) error {
	// The same MsgID is the same subject, on which the newest schedule takes the place of
	// an older one: a repetition after the dedup window is not delivered twice either.
	id := msg.MsgID
	if id == "" {
		id = rand.Text()
	}
	subject, err := s.Schedule(msg.Audience, id)
	if way == Mapped {
		subject, err = mappedSchedule(s, msg.Audience, id)
	}
	if err != nil {
		return err
	}
	target, err := s.Stored(msg.Audience) // the server does not map what is in a header
	if err != nil {
		return err
	}
	out.Header.Set(jetstream.ScheduleHeader, ScheduleAt+msg.At.UTC().Format(time.RFC3339Nano))
	out.Header.Set(jetstream.ScheduleTargetHeader, target)
	if msg.TTL > 0 {
		out.Header.Set(jetstream.ScheduleTTLHeader, wholeSeconds(msg.TTL))
	}
	// Retention by age must not remove it before it is due.
	out.Header.Set(wire.HeaderTTL, "never")
	out.Subject = subject
	return nil
}

// mappedSchedule is a subject for a schedule which the server maps to the partition of
// its audience. The mapping goes by the last token, so one is looked for that leads there.
func mappedSchedule(s wire.Subjects, a wire.Audience, id string) (string, error) {
	// A backend's ids may be longer than a token's.
	sum := sha256.Sum256([]byte(id))
	name := base64.RawURLEncoding.EncodeToString(sum[:])
	token := name
	for i := 1; s.Partition(wire.User(token)) != s.Partition(a); i++ {
		token = fmt.Sprint(name, "-", i)
	}
	return s.Partitioned(1).Schedule(a, token)
}

// wholeSeconds is a duration as JetStream takes it, never less than it was.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
