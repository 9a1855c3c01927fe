package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// MaxClientFrame is the largest frame, and the largest message of several
// fragments, that an edge accepts from a client, in bytes.
const MaxClientFrame = 64 << 10

// MaxTopics is how many topics one session may hold.
const MaxTopics = 64

// ClientFrame is any frame that a client sends; Type says which fields count.
type ClientFrame struct {
	Type   string   `json:"type"`
	Token  string   `json:"token,omitempty"`  // auth
	Topic  string   `json:"topic,omitempty"`  // subscribe, unsubscribe, signal
	UpTo   string   `json:"up_to,omitempty"`  // read: an event id
	All    bool     `json:"all,omitempty"`    // read: all that this session has been sent
	Read   []string `json:"read,omitempty"`   // read: event ids
	Unread []string `json:"unread,omitempty"` // read: event ids
	// At is when the person did it, milliseconds since 1970; 0: now. A device that was
	// offline says it afterwards.
	At      int64           `json:"at,omitempty"`      // read
	Name    string          `json:"name,omitempty"`    // signal
	Payload json.RawMessage `json:"payload,omitempty"` // signal: an object, or nothing
}

// Limits of what a client says in one frame.
const (
	MaxReadIDs       = 256     // event ids of one read frame
	MaxSignalPayload = 1 << 10 // bytes
)

// RefusedFrameError is a client frame that was refused; Code is one of errors.json's
// "frame" codes.
type RefusedFrameError struct {
	Code    string
	Message string
}

func (e *RefusedFrameError) Error() string { return "wire: " + e.Code + ": " + e.Message }

// ParseClientFrame reads a text frame of a client. Its error is a *RefusedFrameError,
// ready to be sent back as an Error frame.
func ParseClientFrame(text []byte) (ClientFrame, error) {
	var f ClientFrame
	if !utf8.Valid(text) {
		return f, &RefusedFrameError{FrameErrMalformed, "the frame is not valid UTF-8"}
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, &RefusedFrameError{FrameErrMalformed, "the frame is not a JSON object of the protocol"}
	}
	switch f.Type {
	case FramePing:
	case FrameAuth:
		if f.Token == "" {
			return f, &RefusedFrameError{FrameErrMalformed, "auth needs a token"}
		}
	case FrameSubscribe, FrameUnsubscribe:
		if _, err := EncodeID(f.Topic); err != nil {
			return f, &RefusedFrameError{FrameErrMalformed, f.Type + " needs a topic of 1 to 128 bytes"}
		}
	case FrameRead:
		ids := slices.Concat(f.Read, f.Unread)
		if len(ids) > MaxReadIDs {
			return f, &RefusedFrameError{FrameErrMalformed, fmt.Sprintf("read names at most %d events", MaxReadIDs)}
		}
		if f.At < 0 {
			return f, &RefusedFrameError{FrameErrMalformed, "at is in milliseconds since 1970"}
		}
		if f.UpTo != "" {
			ids = append(ids, f.UpTo)
		}
		for _, id := range ids {
			if _, err := ParseEventID(id); err != nil {
				return f, &RefusedFrameError{FrameErrMalformed, fmt.Sprintf("%.80q is not an event id", id)}
			}
		}
	case FrameSignal:
		if _, err := EncodeID(f.Topic); err != nil {
			return f, &RefusedFrameError{FrameErrMalformed, "signal needs a topic of 1 to 128 bytes"}
		}
		if err := CheckEventType(f.Name); err != nil {
			return f, &RefusedFrameError{FrameErrMalformed, "signal needs a name such as typing"}
		}
		var compact bytes.Buffer
		if len(f.Payload) > 0 {
			_ = json.Compact(&compact, f.Payload) //nolint:errcheck // it was read as JSON
			f.Payload = compact.Bytes()
		}
		if p := f.Payload; len(p) > MaxSignalPayload || len(p) > 0 && p[0] != '{' || nestsDeeper(p, MaxDepth) {
			return f, &RefusedFrameError{FrameErrMalformed, fmt.Sprintf("the payload of a signal is an object of at most %d bytes and %d levels", MaxSignalPayload, MaxDepth)}
		}
	case "":
		return f, &RefusedFrameError{FrameErrMalformed, "the frame has no type"}
	default:
		return f, &RefusedFrameError{FrameErrUnknownType, fmt.Sprintf("unknown frame type %.80q", f.Type)}
	}
	return f, nil
}
