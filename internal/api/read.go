package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// ReadStates keeps what people have read. Errors wrap wire.ErrUnavailable when the log
// is out of reach.
type ReadStates interface {
	// ReadState may lack what was done a moment ago.
	ReadState(ctx context.Context, uid string) (wire.ReadState, error)
	// Mark adds a change and returns all that the person has read then. Its error wraps
	// wire.ErrForeignEvent when change.Through is not of this log.
	Mark(ctx context.Context, uid string, change wire.Change) (wire.ReadState, error)
	// Unread counts the events up to a place, nil: all, that a person has, by a state of
	// theirs, not read.
	Unread(ctx context.Context, uid string, state wire.ReadState, upTo wire.Cursor) (int, error)
}

// ReadView is a read frame without its type and cursor.
type ReadView struct {
	UpTo   []string `json:"up_to,omitempty" nullable:"false" doc:"All up to these events is read, but what is in unread. There is at most one event a partition of the log, which is what an id begins with."`
	Read   []string `json:"read,omitempty" nullable:"false" doc:"Events that are read besides."`
	Unread []string `json:"unread,omitempty" nullable:"false" doc:"Events that are unread although up_to covers them."`
}

// ReadAnswer is what a person has read after a change.
type ReadAnswer struct {
	Read   ReadView `json:"read"`
	Unread int      `json:"unread" doc:"How many events are unread, at most 1000." example:"3"`
}

type readAnswer struct{ Body ReadAnswer }

// postRead changes what the signed-in person has read. A body that changes nothing
// asks for the state.
func (a *API) postRead(ctx context.Context, q *request) (*readAnswer, error) {
	who, p := a.reader(q.r)
	if p != nil {
		return nil, p
	}
	body, p := readBody(q.r)
	if p != nil {
		return nil, p
	}
	change, p := parseChange(body)
	if p != nil {
		return nil, p
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	state, err := a.history.Mark(ctx, who.UID, change)
	if errors.Is(err, wire.ErrForeignEvent) {
		f := faults{{Location: "body.up_to", Message: "is not an event of this log, which may have begun anew"}}
		return nil, f.problem()
	}
	if err != nil {
		return nil, a.logProblem(ctx, "storing what was read", err, "The log did not acknowledge in time. Try again; with the same `at` nothing changes by being done twice.")
	}
	unread, err := a.history.Unread(ctx, who.UID, state, nil)
	if err != nil {
		return nil, a.logProblem(ctx, "counting what is unread", err, "The log is out of reach. Try again.")
	}
	view := state.View()
	return &readAnswer{ReadAnswer{Read: ReadView{UpTo: view.UpTo, Read: view.Read, Unread: view.Unread}, Unread: unread}}, nil
}

// parseChange reads the body of postRead.
func parseChange(body object) (c wire.Change, p *Problem) {
	var f faults
	body.unknown(&f, "body", "all", "up_to", "read", "unread", "at")
	if raw, ok := body["all"]; ok && (json.Unmarshal(raw, &c.All) != nil || string(raw) == "null") {
		f.add("body.all", "must be true or false", raw)
	}
	if raw, ok := body["up_to"]; ok {
		c.Through = parseEventID(&f, "body.up_to", raw)
	}
	if raw, ok := body["at"]; ok {
		var err error
		if c.At, err = strconv.ParseInt(string(raw), 10, 64); err != nil || c.At < 0 {
			f.add("body.at", "must be a time in milliseconds since 1970; leave it out for now", raw)
		}
	}
	c.Read = parseEventIDs(&f, "body.read", body["read"])
	c.Unread = parseEventIDs(&f, "body.unread", body["unread"])
	if n := len(c.Read) + len(c.Unread); n > wire.MaxReadIDs {
		f.add("body", fmt.Sprintf("names %d events in read and unread; at most %d are allowed", n, wire.MaxReadIDs), nil)
	}
	return c, f.problem()
}

func parseEventIDs(f *faults, location string, raw json.RawMessage) (ids []wire.EventID) {
	if raw == nil {
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		f.add(location, "must be an array of event ids", raw)
		return nil
	}
	for i, item := range items {
		if id := parseEventID(f, fmt.Sprintf("%s[%d]", location, i), item); id != nil {
			ids = append(ids, *id)
		}
	}
	return ids
}

func parseEventID(f *faults, location string, raw json.RawMessage) *wire.EventID {
	text, _ := asString(raw)
	id, err := wire.ParseEventID(text)
	if err != nil {
		f.add(location, "must be the id of an event", raw)
		return nil
	}
	return &id
}
