package mesh

import (
	"errors"
	"fmt"
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

// errMarker is a read marker: nothing is wrong with it, but it is no event.
var errMarker = errors.New("a read marker")

// parseEntry makes an entry of a stored message. Its error is errMarker or a
// *skipError.
func (m *Mesh) parseEntry(subject string, data []byte, pos wire.Position, at time.Time) (wire.Entry, error) {
	aud, err := m.cfg.Subjects.Parse(0, subject)
	if err != nil {
		return wire.Entry{}, &skipError{skipSubject, err}
	}
	if aud.Kind == wire.KindRead {
		return wire.Entry{}, errMarker
	}
	env, err := wire.ParseEnvelope(data)
	if err != nil {
		return wire.Entry{}, &skipError{skipEnvelope, err}
	}
	if m.cfg.Check != nil {
		if err := m.cfg.Check(env); err != nil {
			return wire.Entry{}, &skipError{skipPayload, fmt.Errorf("%s: %w", env.Type, err)}
		}
	}
	return wire.Entry{Position: pos, Time: at, Audience: aud, Envelope: env}, nil
}
