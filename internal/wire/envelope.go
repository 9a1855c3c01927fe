package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// MaxEnvelope is the largest envelope, in bytes, that the mesh accepts. It is
// below every default limit on its way: NATS 1 MiB, one segment of the ring.
const MaxEnvelope = 64 << 10

// MaxDepth is how deep a payload may nest, itself being the first level. Readers of JSON
// stop somewhere: at 64 levels in .NET, at about 1,000 in Python, at 10,000 in Go. One that
// stops within a page of the history loses all of it, so what is stored stays well below,
// with the frame and the page around it.
const MaxDepth = 32

// MaxCollapse is the largest length of a collapse key, in bytes.
const MaxCollapse = 64

// ErrCollapse is returned for text that is not a collapse key.
var ErrCollapse = errors.New("wire: a collapse key is 1 to 64 of A-Z, a-z, 0-9 and _.:/-")

// CheckCollapse reports whether text can be a collapse key. It needs no escaping in JSON.
func CheckCollapse(key string) error {
	if len(key) == 0 || len(key) > MaxCollapse {
		return ErrCollapse
	}
	for i := range len(key) {
		if c := key[i]; !plainID(key[i:i+1]) && c != '.' && c != ':' && c != '/' {
			return ErrCollapse
		}
	}
	return nil
}

// Headers of a message on NATS.
const (
	HeaderMsgID    = "Nats-Msg-Id" // idempotency within the log's dedup window
	HeaderTTL      = "Nats-TTL"    // expiry, seconds or a Go duration
	HeaderCollapse = "Sv-Collapse" // a newer message with this key replaces the older
)

// Headers of a signal on NATS.
const (
	HeaderFrom    = "Sv-From"    // the encoded id of the user whose client sent it
	HeaderSession = "Sv-Session" // and which of that user's sessions it was
)

// TypeToast is the event type of a toast; its payload is schemas/toast.json.
const TypeToast = "toast"

// Errors of ParseEnvelope.
var (
	ErrEnvelopeSize = fmt.Errorf("wire: an envelope has at most %d bytes", MaxEnvelope)
	ErrEnvelope     = errors.New("wire: not an envelope")
	ErrDepth        = fmt.Errorf("%w: payload nests deeper than %d levels", ErrEnvelope, MaxDepth)
	ErrEventType    = errors.New("wire: an event type is [a-z][a-z0-9_.-]{0,63} and not the name of another frame")
)

// Envelope is what NATS carries: the type of an event and its payload, a JSON
// object that the mesh passes on unread. It nests at most 32 levels deep.
type Envelope struct {
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
}

// ParseEnvelope reads an envelope. The payload it returns is compact, valid
// UTF-8 and always an object: text that is put inside a frame as it stands.
func ParseEnvelope(data []byte) (Envelope, error) {
	if len(data) > MaxEnvelope {
		return Envelope{}, ErrEnvelopeSize
	}
	// encoding/json lets bytes pass that are not UTF-8; a client must fail the
	// connection when it meets them in a text frame (RFC 6455, 8.1).
	if !utf8.Valid(data) {
		return Envelope{}, fmt.Errorf("%w: not valid UTF-8", ErrEnvelope)
	}
	var e Envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	if err := CheckEventType(e.Type); err != nil {
		return Envelope{}, err
	}
	if len(e.Payload) == 0 || e.Payload[0] != '{' {
		return Envelope{}, fmt.Errorf("%w: payload is not an object", ErrEnvelope)
	}
	var compact bytes.Buffer
	compact.Grow(len(e.Payload))
	if err := json.Compact(&compact, e.Payload); err != nil {
		return Envelope{}, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	e.Payload = compact.Bytes()
	if nestsDeeper(e.Payload, MaxDepth) {
		return Envelope{}, ErrDepth
	}
	return e, nil
}

// nestsDeeper reports whether valid JSON has more levels of objects and arrays.
func nestsDeeper(text []byte, most int) bool {
	if bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) <= most {
		return false // nearly every payload, without a look at each byte
	}
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++ // what is escaped ends no string
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// CheckEventType reports whether a type can name an event: the names of the
// protocol's own frames cannot.
func CheckEventType(t string) error {
	ok := len(t) > 0 && len(t) <= 64 && t[0] >= 'a' && t[0] <= 'z' && !slices.Contains(reservedTypes, t)
	for i := 0; ok && i < len(t); i++ {
		c := t[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		return fmt.Errorf("%w: %.80q", ErrEventType, t)
	}
	return nil
}

// Message is one thing to publish. Envelope must have passed ParseEnvelope.
type Message struct {
	Audience Audience
	Envelope Envelope
	MsgID    string // idempotency key within the dedup window; empty: none
	// TTL is how long it is kept and shown, in whole seconds; 0: as long as the log keeps it.
	TTL time.Duration
	// Collapse is a key that passes CheckCollapse, or empty: the message takes the place
	// of earlier ones with the same key and audience.
	Collapse string
	// At is when it is to be delivered; zero: now. Until then it is on a subject of
	// Subjects.Schedule.
	At time.Time
}

// Receipt is the log's acknowledgement of a Message.
type Receipt struct {
	ID        EventID
	Subject   string
	Duplicate bool // stored before under the same MsgID; ID is the original's
}

// Errors that whoever speaks to the log returns, wrapped.
var (
	// ErrUnavailable: the log is out of reach; the same call may succeed later.
	ErrUnavailable = errors.New("the log is out of reach")
	// ErrForeignEvent: an event id of another log, or of another life of this one.
	ErrForeignEvent = errors.New("the event is not one of this log")
)
