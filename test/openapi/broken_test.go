package openapi_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/socialvibes/vibemesh/internal/api"
	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/schema"
	"github.com/socialvibes/vibemesh/internal/wire"
)

var errBroken = errors.New("broken")

// brokenLog fails at everything, in a way that waiting does not mend.
type brokenLog struct{}

func (brokenLog) Publish(context.Context, []wire.Message) ([]wire.Receipt, error) {
	return nil, errBroken
}

func (brokenLog) Scheduled(context.Context, wire.EventID) (wire.Message, bool, error) {
	return wire.Message{}, false, errBroken
}

func (brokenLog) Cancel(context.Context, wire.EventID) (bool, error) { return false, errBroken }

func (brokenLog) Newest(context.Context, []wire.Audience, *wire.EventID, int) ([]wire.Entry, error) {
	return nil, errBroken
}

func (brokenLog) ReadState(context.Context, string) (wire.ReadState, error) {
	return wire.ReadState{}, errBroken
}

func (brokenLog) Mark(context.Context, string, wire.Change) (wire.ReadState, error) {
	return wire.ReadState{}, errBroken
}

func (brokenLog) Unread(context.Context, string, wire.ReadState, wire.Cursor) (int, error) {
	return 0, errBroken
}

type brokenEdges struct{}

func (brokenEdges) Presence(context.Context, []string) ([]map[string]int, bool, error) {
	return nil, false, errBroken
}

func (brokenEdges) Members(context.Context, string) (int, bool, error) { return 0, false, errBroken }

func (brokenEdges) Disconnect(context.Context, string, string) (map[string]int, bool, error) {
	return nil, false, errBroken
}

func (brokenEdges) Revoke(context.Context, string, time.Time) (time.Time, error) {
	return time.Time{}, errBroken
}

func (brokenEdges) EdgeStatus(context.Context) ([]wire.EdgeStatus, bool, error) {
	return nil, false, errBroken
}

func (brokenEdges) LogStatus(context.Context) (wire.LogStatus, error) {
	return wire.LogStatus{}, errBroken
}

// broken is the API over parts that fail: a fault of a server.
func broken(r *record, document []byte) {
	schemas, err := schema.New()
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := api.New(api.Config{
		Secrets: []string{mainSecret}, HistorySize: 50, Version: "dev", Edges: brokenEdges{}, MaxDelay: 720 * time.Hour,
	}, auth.NewDev(auth.DevProject, "publisher"), brokenLog{}, brokenLog{}, schemas, quiet())
	if err != nil {
		r.t.Fatal(err)
	}
	srv := httptest.NewServer(a)
	defer srv.Close()
	sameDocument(r.t, document, r.call(srv.URL, "GET", "/openapi.json", "").answer)
	everything(r, srv.URL, http.StatusInternalServerError)
}
