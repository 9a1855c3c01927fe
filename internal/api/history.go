package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// maxReading is how many histories are read at the same time. The log answers some hundred
// a second when it is cold: beyond a second or two of that, waiting helps nobody.
const maxReading = 512

// HistoryEvent is an event frame without its cursor: history is not a position
// from which a session could go on.
type HistoryEvent struct {
	Type string `json:"type" example:"toast"`
	ID   string `json:"id" doc:"The event's id; the same event has the same id on a socket." example:"0-mi8kq1z2-2s"`
	TS   int64  `json:"ts" doc:"When it was stored, milliseconds since 1970." example:"1764000000000"`
	To   string `json:"to" doc:"user or broadcast." example:"user"`
	Read bool   `json:"read" doc:"The person has read it, on whatever device."`
	// As in an event frame.
	Collapse string          `json:"collapse,omitempty" doc:"It takes the place of earlier events with the same key and the same to, which the history does not hold any more."`
	Expires  int64           `json:"expires,omitempty" doc:"When it is no longer to be shown, milliseconds since 1970."`
	Payload  json.RawMessage `json:"payload" doc:"As its publisher wrote it."`
}

// HistoryPage is one page of a person's history.
type HistoryPage struct {
	Events []HistoryEvent `json:"events" nullable:"false" doc:"Newest first."`
	Next   string         `json:"next,omitempty" doc:"Pass it as before to get the next page; absent on the last."`
	Unread *int           `json:"unread,omitempty" doc:"How many events are unread, on this page and beyond it, at most 1000; on a page without before only." example:"3"`
}

type historyAnswer struct{ Body HistoryPage }

// getHistory answers what was sent to the signed-in person and to everybody.
func (a *API) getHistory(ctx context.Context, q *request) (*historyAnswer, error) {
	who, p := a.reader(q.r)
	if p != nil {
		return nil, p
	}
	limit, before, p := a.page(q.r)
	if p != nil {
		return nil, p
	}
	answer := &historyAnswer{HistoryPage{Events: []HistoryEvent{}}}
	if a.cfg.HistorySize == 0 {
		return answer, nil
	}
	select {
	case a.reading <- struct{}{}:
		defer func() { <-a.reading }()
	default:
		a.logOf(ctx).Warn("too many histories are being read", "limit", maxReading)
		return nil, unavailable("Too many histories are being read. Try again.")
	}
	state, err := a.history.ReadState(ctx, who.UID)
	if err != nil {
		return nil, a.logProblem(ctx, "reading what was read", err, "The log is out of reach. Try again.")
	}
	count := func() (*int, error) { return nil, nil }
	if before == nil {
		count = a.countUnread(ctx, who.UID, state)
	}
	// One more than asked for tells whether there is a next page.
	entries, err := a.history.Newest(ctx, []wire.Audience{wire.User(who.UID), wire.Broadcast()}, before, limit+1)
	unread, countErr := count()
	if errors.Is(err, wire.ErrForeignEvent) {
		f := faults{{Location: "query.before", Message: "is not an event of this log, which may have begun anew; ask without before"}}
		return nil, f.problem()
	}
	if err = errors.Join(err, countErr); err != nil {
		return nil, a.logProblem(ctx, "reading the history", err, "The log is out of reach. Try again.")
	}
	answer.Body.Unread = unread
	if len(entries) > limit {
		entries = entries[:limit]
		answer.Body.Next = entries[limit-1].ID().String()
	}
	for i := range entries {
		answer.Body.Events = append(answer.Body.Events, historyEvent(&entries[i], state))
	}
	return answer, nil
}

func historyEvent(e *wire.Entry, state wire.ReadState) HistoryEvent {
	ev := e.Event(nil)
	return HistoryEvent{
		Type: ev.Type, ID: ev.ID, TS: ev.TS, To: ev.To, Read: state.IsRead(e.ID()),
		Collapse: ev.Collapse, Expires: ev.Expires, Payload: ev.Payload,
	}
}

// countUnread counts beside the reading of a page; what it returns waits for the
// count.
func (a *API) countUnread(ctx context.Context, uid string, state wire.ReadState) func() (*int, error) {
	var n int
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err = a.history.Unread(ctx, uid, state, nil)
	}()
	return func() (*int, error) {
		<-done
		return &n, err
	}
}

// page reads limit and before. A limit above the operator's is not an error: the
// page is as large as it may be, and next goes on.
func (a *API) page(r *http.Request) (limit int, before *wire.EventID, p *Problem) {
	var f faults
	query := r.URL.Query()
	limit = a.cfg.HistorySize
	if query.Has("limit") {
		n, err := strconv.ParseUint(query.Get("limit"), 10, 31)
		if err != nil || n == 0 {
			f = append(f, WrongField{Location: "query.limit", Message: fmt.Sprintf("must be a number from 1 to %d", max(1, limit))})
		}
		limit = min(limit, int(n))
	}
	if query.Has("before") {
		id, err := wire.ParseEventID(query.Get("before"))
		if err != nil {
			f = append(f, WrongField{Location: "query.before", Message: "must be the id of an event"})
		}
		before = &id
	}
	if p := f.problem(); p != nil {
		return 0, nil, p
	}
	return limit, before, nil
}
