package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Scheduler knows the messages that wait for their time, by the ids of their receipts.
// Its errors wrap wire.ErrUnavailable when the log is out of reach.
type Scheduler interface {
	Scheduled(ctx context.Context, id wire.EventID) (msg wire.Message, waiting bool, err error)
	Cancel(ctx context.Context, id wire.EventID) (cancelled bool, err error)
}

// Schedule is a message that waits for its time.
type Schedule struct {
	ID        string     `json:"id" doc:"The id of its receipt." example:"0-mi8kq1z2-2s"`
	DeliverAt *time.Time `json:"deliver_at,omitempty" doc:"When it is delivered. Missing if a publisher on NATS has scheduled it in another way than for one time."`
	Type      string     `json:"type" doc:"The event's type." example:"toast"`
	To        string     `json:"to" doc:"Whom it is for." enum:"user,broadcast,topic"`
}

type scheduled struct{ Body Schedule }

// kind is the sort of an audience: user, topic or broadcast.
func kind(a wire.Audience) string {
	name, _, _ := strings.Cut(a.To(), ":")
	return name
}

const nothingScheduled = "Nothing waits under this id: it was never there, or is delivered, about to be, or cancelled."

// getSchedule shows what waits under an id.
func (a *API) getSchedule(ctx context.Context, q *request) (*scheduled, error) {
	id, p := a.scheduleID(q.r)
	if p != nil {
		return nil, p
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	msg, waiting, err := a.publish.Scheduled(ctx, id)
	switch {
	case err != nil:
		return nil, a.logProblem(ctx, "reading a schedule", err, "The log did not answer in time. Try again.")
	case !waiting:
		return nil, problem(http.StatusNotFound, nothingScheduled)
	}
	s := Schedule{ID: id.String(), Type: msg.Envelope.Type, To: kind(msg.Audience)}
	if !msg.At.IsZero() {
		s.DeliverAt = &msg.At
	}
	return &scheduled{s}, nil
}

// deleteSchedule cancels what waits under an id.
func (a *API) deleteSchedule(ctx context.Context, q *request) (*struct{}, error) {
	id, p := a.scheduleID(q.r)
	if p != nil {
		return nil, p
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	cancelled, err := a.publish.Cancel(ctx, id)
	switch {
	case err != nil:
		return nil, a.logProblem(ctx, "cancelling a schedule", err, "The log did not answer in time, so it may be cancelled or not. Try again.")
	case !cancelled:
		return nil, problem(http.StatusNotFound, nothingScheduled)
	}
	return nil, nil
}

// scheduleID reads the id of a path, of somebody who may publish. Text that is no id
// names nothing.
func (a *API) scheduleID(r *http.Request) (wire.EventID, *Problem) {
	if _, p := a.publisher(r); p != nil {
		return wire.EventID{}, p
	}
	id, err := wire.ParseEventID(r.PathValue("id"))
	if err != nil {
		return id, problem(http.StatusNotFound, nothingScheduled)
	}
	return id, nil
}

func (a *API) scheduleOperation(method string, status int, text string, body *huma.Schema) huma.Operation {
	return huma.Operation{
		Method: method, Path: "/api/v1/ws/schedule/{id}", DefaultStatus: status, Tags: []string{"publish"},
		Security:   []map[string][]string{{schemeSecret: {}}, {schemeBearer: {}}},
		Parameters: []*huma.Param{{Name: "id", In: "path", Required: true, Description: "The id of the receipt.", Schema: &huma.Schema{Type: huma.TypeString}}},
		Responses:  responses(status, text, body, 401, 403, 404, 500, 503),
	}
}

func (a *API) getScheduleOperation(doc *huma.OpenAPI) huma.Operation {
	body := doc.Components.Schemas.Schema(reflect.TypeFor[Schedule](), true, "Schedule")
	op := a.scheduleOperation(http.MethodGet, http.StatusOK, "It waits.", body)
	op.OperationID, op.Summary = "get-schedule", "What waits for its time"
	return op
}

func (a *API) deleteScheduleOperation() huma.Operation {
	op := a.scheduleOperation(http.MethodDelete, http.StatusNoContent, "Cancelled: nobody receives it.", nil)
	op.OperationID, op.Summary = "cancel-schedule", "Cancel what waits for its time"
	op.Description = "Until half a second before its time; then it counts as delivered."
	return op
}
