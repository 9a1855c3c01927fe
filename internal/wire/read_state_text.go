package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxReadState is the largest text of a read state, in bytes.
const MaxReadState = 128 << 10

// ErrReadState is returned for text that is not a read state.
var ErrReadState = errors.New("wire: not a read state")

// maxMillis is the latest time that every reader of JSON can hold exactly.
const maxMillis = 1 << 53

// readStateText is a read state as the log holds it. Times are in milliseconds since
// 1970.
type readStateText struct {
	Marks  []readMarkText   `json:"marks,omitempty"`
	Read   map[string]int64 `json:"read,omitempty"` // by event id
	Unread map[string]int64 `json:"unread,omitempty"`
}

type readMarkText struct {
	At   int64  `json:"at"`
	UpTo string `json:"up_to"` // a cursor
}

// MarshalJSON writes the state as the log holds it; the same state has one text.
func (s ReadState) MarshalJSON() ([]byte, error) {
	text := readStateText{Read: map[string]int64{}, Unread: map[string]int64{}}
	for _, m := range s.marks {
		text.Marks = append(text.Marks, readMarkText{m.at, m.upTo.String()})
	}
	for id, f := range s.flags {
		if f.read {
			text.Read[id.String()] = f.at
		} else {
			text.Unread[id.String()] = f.at
		}
	}
	return json.Marshal(text)
}

// ParseReadState reads a read state. Fields that it does not know are an error: who
// wrote them would lose them when the state is written again.
func ParseReadState(data []byte) (ReadState, error) {
	if len(data) > MaxReadState {
		return ReadState{}, fmt.Errorf("%w: it has more than %d bytes", ErrReadState, MaxReadState)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var text *readStateText
	if err := d.Decode(&text); err != nil {
		return ReadState{}, fmt.Errorf("%w: %w", ErrReadState, err)
	}
	if _, err := d.Token(); text == nil || !errors.Is(err, io.EOF) {
		return ReadState{}, fmt.Errorf("%w: it is one JSON object", ErrReadState)
	}
	if len(text.Marks) > MaxReadMarks || len(text.Read)+len(text.Unread) > MaxReadFlags {
		return ReadState{}, fmt.Errorf("%w: it has too many marks or events", ErrReadState)
	}
	var s ReadState
	for _, m := range text.Marks {
		upTo, err := ParseCursor(m.UpTo)
		if err != nil {
			return ReadState{}, fmt.Errorf("%w: up_to: %w", ErrReadState, err)
		}
		if err := checkMillis(m.At); err != nil {
			return ReadState{}, err
		}
		s = s.Merge(ReadState{marks: []readMark{{m.At, upTo}}})
	}
	flags, err := text.flags()
	if err != nil {
		return ReadState{}, err
	}
	return s.Merge(ReadState{flags: flags}), nil
}

func (text *readStateText) flags() (map[EventID]readFlag, error) {
	flags := make(map[EventID]readFlag, len(text.Read)+len(text.Unread))
	for _, list := range []struct {
		at   map[string]int64
		read bool
	}{{text.Read, true}, {text.Unread, false}} {
		for key, at := range list.at {
			id, err := ParseEventID(key)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrReadState, err)
			}
			if err := checkMillis(at); err != nil {
				return nil, err
			}
			if _, twice := flags[id]; twice {
				return nil, fmt.Errorf("%w: %s is both read and unread", ErrReadState, key)
			}
			flags[id] = readFlag{at, list.read}
		}
	}
	return flags, nil
}

func checkMillis(at int64) error {
	if at <= 0 || at > maxMillis {
		return fmt.Errorf("%w: %d is no time in milliseconds since 1970", ErrReadState, at)
	}
	return nil
}
