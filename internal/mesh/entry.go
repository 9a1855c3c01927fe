package mesh

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Checker says what is wrong with the payload of an event; nil if nothing is.
type Checker func(wire.Envelope) error

// Reasons for which a message of the log is passed over.
const (
	skipSubject  = "subject"
	skipEnvelope = "envelope"
	skipPayload  = "payload"
)

// skipError is a message that no client receives, and why.
type skipError struct {
	reason string
	err    error
}

func (e *skipError) Error() string { return e.err.Error() }
func (e *skipError) Unwrap() error { return e.err }

// parseEntry makes an entry of a stored message. Its error is wire.ErrSchedule, with
// which nothing is wrong but that nobody receives it, or a *skipError.
func (m *Mesh) parseEntry(p *partition, life uint64, s *stored) (wire.Entry, error) {
	aud, err := m.cfg.Subjects.Parse(p.index, s.subject)
	if errors.Is(err, wire.ErrSchedule) {
		return wire.Entry{}, err
	}
	if err != nil {
		return wire.Entry{}, &skipError{skipSubject, err}
	}
	if aud.Kind == wire.KindRead {
		return readEntry(p.index, aud, s.data, wire.Position{Life: life, Seq: s.seq}, s.at)
	}
	env, err := wire.ParseEnvelope(s.data)
	if err != nil {
		return wire.Entry{}, &skipError{skipEnvelope, err}
	}
	if m.cfg.Check != nil {
		if err := m.cfg.Check(env); err != nil {
			return wire.Entry{}, &skipError{skipPayload, fmt.Errorf("%s: %w", env.Type, err)}
		}
	}
	e := wire.Entry{
		Partition: p.index, Position: wire.Position{Life: life, Seq: s.seq}, Time: s.at, Audience: aud, Envelope: env,
		Collapse: s.header.Get(wire.HeaderCollapse),
	}
	if e.Collapse != "" && wire.CheckCollapse(e.Collapse) != nil {
		return wire.Entry{}, &skipError{skipEnvelope, wire.ErrCollapse}
	}
	if ttl := lifetime(s.header.Get(wire.HeaderTTL)); ttl > 0 {
		e.Expires = s.at.Add(ttl)
	}
	return e, nil
}

// lifetime reads a message's TTL as JetStream does: seconds, or a Go duration; 0 when
// it has none, or is never to expire.
func lifetime(text string) time.Duration {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return d
}
