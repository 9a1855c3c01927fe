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

// HistoryEvent is an event frame without its cursor: history is not a position
// from which a session could go on.
type HistoryEvent struct {
	Type    string          `json:"type" example:"toast"`
	ID      string          `json:"id" doc:"The event's id; the same event has the same id on a socket." example:"0-mi8kq1z2-2s"`
	TS      int64           `json:"ts" doc:"When it was stored, milliseconds since 1970." example:"1764000000000"`
	To      string          `json:"to" doc:"user or broadcast." example:"user"`
	Payload json.RawMessage `json:"payload" doc:"As its publisher wrote it."`
}

// HistoryPage is one page of a person's history.
type HistoryPage struct {
	Events []HistoryEvent `json:"events" doc:"Newest first."`
	Next   string         `json:"next,omitempty" doc:"Pass it as before to get the next page; absent on the last."`
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
	// One more than asked for tells whether there is a next page.
	entries, err := a.history.Newest(ctx, []wire.Audience{wire.User(who.UID), wire.Broadcast()}, before, limit+1)
	if errors.Is(err, wire.ErrForeignEvent) {
		f := faults{{Location: "query.before", Message: "is not an event of this log, which may have begun anew; ask without before"}}
		return nil, f.problem()
	}
	if err != nil {
		return nil, a.logProblem("reading the history", err, "The log is out of reach. Try again.")
	}
	if len(entries) > limit {
		entries = entries[:limit]
		answer.Body.Next = entries[limit-1].ID().String()
	}
	for _, e := range entries {
		answer.Body.Events = append(answer.Body.Events, HistoryEvent{
			Type: e.Type, ID: e.ID().String(), TS: e.Time.UnixMilli(), To: e.Audience.To(), Payload: e.Payload,
		})
	}
	return answer, nil
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
