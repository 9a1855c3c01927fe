package publish

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	maxEvents = 1000 // of one batch: what JetStream takes
	maxTTL    = 30 * 24 * time.Hour
	maxDelay  = 365 * 24 * time.Hour
	maxKeyLen = 128
)

// InvalidError is everything that is wrong with what was to be published. Nothing was sent.
type InvalidError struct{ Fields []FieldError }

// FieldError is one thing that is wrong.
type FieldError struct {
	// Field is "to", "from", "type", "payload", a field of the payload such as "title", or an
	// option: "expires_in", "collapse", "at", "idempotency_key". In a batch it begins
	// with the event, "events[3].title".
	Field   string
	Message string // what it must be, in plain English
}

func (e *InvalidError) Error() string {
	all := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		all[i] = f.Field + " " + f.Message
	}
	return "publish: " + strings.Join(all, "; ")
}

func (e *InvalidError) add(field, message string) {
	e.Fields = append(e.Fields, FieldError{field, message})
}

// single takes the name of the only event from the fields.
func (e *InvalidError) single() {
	for i := range e.Fields {
		e.Fields[i].Field = strings.TrimPrefix(e.Fields[i].Field, "events[0].")
	}
}

// messages checks events and makes of them what is published. err is nil if nothing is wrong.
func (p *Publisher) messages(events []Event) (msgs []wire.Message, err *InvalidError) {
	var found InvalidError
	if n := len(events); n < 1 || n > maxEvents {
		found.add("events", fmt.Sprintf("are %d; 1 to %d are allowed", n, maxEvents))
		return nil, &found
	}
	for i := range events {
		msgs = append(msgs, p.message(&found, fmt.Sprintf("events[%d].", i), &events[i]))
	}
	if found.Fields != nil {
		return nil, &found
	}
	return msgs, nil
}

// message checks one event; in names it.
func (p *Publisher) message(found *InvalidError, in string, e *Event) wire.Message {
	msg := wire.Message{Audience: e.to.to, At: e.at}
	subject := p.audience(found, in, e.to)
	if e.ttl != nil {
		if msg.TTL = *e.ttl; msg.TTL < time.Second || msg.TTL > maxTTL {
			found.add(in+"expires_in", fmt.Sprintf("is %s; a second to 30 days are allowed", msg.TTL))
		}
	}
	if e.collapse != nil {
		if msg.Collapse = *e.collapse; wire.CheckCollapse(msg.Collapse) != nil {
			found.add(in+"collapse", fmt.Sprintf("must be 1 to %d of A-Z, a-z, 0-9 and _ . : / -", wire.MaxCollapse))
		}
	}
	if time.Until(e.at) > maxDelay {
		found.add(in+"at", "must be within a year from now")
	}
	if e.key != nil {
		if !validKey(*e.key) {
			found.add(in+"idempotency_key", fmt.Sprintf("must be 1 to %d visible ASCII characters", maxKeyLen))
		}
		// A key is for one audience, and the log knows messages by their ids alone. No
		// end of a subject has an @, so no two keys and audiences make the same id.
		msg.MsgID = *e.key + "@" + strings.TrimPrefix(subject, p.subjects.Prefix()+".ws.")
	}
	msg.Envelope = p.envelope(found, in, e.eventType, e.payload)
	return msg
}

// audience is the subject of an audience, if that is one.
func (p *Publisher) audience(found *InvalidError, in string, a Audience) string {
	if a == (Audience{}) {
		found.add(in+"to", "is missing: use ToUser, ToTopic or ToEverybody")
		return ""
	}
	subject, err := p.subjects.Of(a.to)
	switch {
	case err != nil:
		found.add(in+"to", fmt.Sprintf("has an id of %d bytes; 1 to %d are allowed", len(a.to.ID), wire.MaxIDLen))
	case !utf8.ValidString(a.to.ID):
		found.add(in+"to", "has an id that is not UTF-8") // nobody signs in with one, and no topic has such a name
	}
	return subject
}

func validKey(key string) bool {
	ok := len(key) >= 1 && len(key) <= maxKeyLen
	for i := 0; ok && i < len(key); i++ {
		ok = key[i] > ' ' && key[i] <= '~'
	}
	return ok
}

// envelope checks a type and its payload, and makes the envelope that the log carries.
func (p *Publisher) envelope(found *InvalidError, in, eventType string, payload any) wire.Envelope {
	if wire.CheckEventType(eventType) != nil {
		found.add(in+"type", "must be 1 to 64 characters of a-z, 0-9, _ . and -, a letter first, and not the name of a protocol frame")
		return wire.Envelope{}
	}
	text, err := json.Marshal(payload)
	if err != nil {
		found.add(in+"payload", "cannot be written as JSON: "+err.Error())
		return wire.Envelope{}
	}
	if text[0] != '{' {
		found.add(in+"payload", "must be an object")
		return wire.Envelope{}
	}
	for _, f := range p.schemas.Check(eventType, text) {
		found.add(in+cmp.Or(f.Field, "payload"), f.Message)
	}
	env, err := wire.ParseEnvelope(fmt.Appendf(nil, `{"type":%q,"payload":%s}`, eventType, text))
	switch {
	case errors.Is(err, wire.ErrEnvelopeSize):
		found.add(in+"payload", fmt.Sprintf("is too large: an event has at most %d bytes", wire.MaxEnvelope))
	case errors.Is(err, wire.ErrDepth):
		found.add(in+"payload", fmt.Sprintf("must nest at most %d levels deep", wire.MaxDepth))
	case err != nil:
		found.add(in+"payload", "is no payload: "+err.Error())
	}
	return env
}
