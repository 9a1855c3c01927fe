package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// fakeEdges knows two edges on which ada is.
type fakeEdges struct {
	fail    error
	noLog   bool
	reason  string
	revoked time.Time
}

func (e *fakeEdges) Presence(_ context.Context, uids []string) (sessions []map[string]int, complete bool, err error) {
	for _, uid := range uids {
		if uid == "ada" {
			sessions = append(sessions, map[string]int{"edge-2": 1, "edge-1": 2})
		} else {
			sessions = append(sessions, nil)
		}
	}
	return sessions, true, e.fail
}

func (e *fakeEdges) Members(_ context.Context, topic string) (int, bool, error) {
	return len(topic), false, e.fail
}

func (e *fakeEdges) Disconnect(_ context.Context, _, reason string) (map[string]int, bool, error) {
	e.reason = reason
	return map[string]int{"edge-1": 2}, true, e.fail
}

func (e *fakeEdges) EdgeStatus(context.Context) ([]wire.EdgeStatus, bool, error) {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []wire.EdgeStatus{{
		Node: "edge-0", Version: "v1.2.0", Started: started, Sessions: 123, CaughtUp: true, RingBytes: 1, RingSpan: 12.5, Delivered: 991,
	}}, true, e.fail
}

func (e *fakeEdges) LogStatus(context.Context) (wire.LogStatus, error) {
	if e.noLog {
		return wire.LogStatus{}, wire.ErrUnavailable
	}
	return wire.LogStatus{Partitions: 1, Messages: 5, Bytes: 1234, Last: 5, Oldest: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, nil
}

func (e *fakeEdges) Revoke(_ context.Context, _ string, before time.Time) (time.Time, error) {
	e.revoked = before
	return before, e.fail
}

func TestControl(t *testing.T) {
	edges := &fakeEdges{}
	cfg := testConfig()
	cfg.Edges = edges
	a := newAPI(t, cfg, newFakeLog(), nil)
	ada, backend := "Authorization: Bearer "+token(t, "ada", false), "Authorization: Bearer "+token(t, "b", true)
	const presence, disconnect, revoke = "/api/v1/ws/presence", "/api/v1/ws/disconnect", "/api/v1/ws/revoke"
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprint("user=", i))
	}
	for _, tt := range []struct {
		path, body, header string
		status             int
		want               string // a part of the answer
	}{
		{presence + "?user=ada", "", withSecret, 200, `{"user":"ada","online":true,"devices":3,"edges":["edge-1","edge-2"],"complete":true}`},
		{presence + "?user=bob", "", backend, 200, `{"user":"bob","online":false,"devices":0,"edges":[],"complete":true}`},
		{presence + "?user=bob&user=ada", "", withSecret, 200, `{"users":[{"user":"bob","online":false,`},
		{presence + "?topic=chess", "", withSecret, 200, `{"topic":"chess","members":5,"complete":false}`},
		{presence + "?user=ada", "", ada, 200, `"devices":3`},
		{presence + "?user=ada&token=" + token(t, "ada", false), "", "X-None: 1", 200, `"devices":3`},
		{presence + "?user=bob", "", ada, 403, "oneself"},
		{presence + "?user=ada&user=bob", "", ada, 403, "oneself"},
		{presence + "?topic=chess", "", ada, 403, "oneself"},
		{presence + "?user=ada", "", "X-None: 1", 401, ""},
		{presence + "?user=ada", "", "X-SV-KEY: wrong", 401, ""},
		{presence, "", withSecret, 422, `"query"`},
		{presence + "?user=ada&topic=chess", "", withSecret, 422, `"query"`},
		{presence + "?user=", "", withSecret, 422, `"query.user"`},
		{presence + "?topic=", "", withSecret, 422, `"query.topic"`},
		{presence + "?user=%ff", "", withSecret, 422, `"query.user"`}, // no JSON could say of whom the answer is
		{presence + "?topic=%ff", "", withSecret, 422, `"query.topic"`},
		{presence + "?uid=ada", "", withSecret, 422, `"query.uid"`},
		{presence + "?" + strings.Join(many, "&"), "", withSecret, 422, "at most 100"},
		{presence + "?" + strings.Join(many[:100], "&"), "", withSecret, 200, `"user":"99"`},

		{disconnect, `{"user":"ada","reason":"spam"}`, withSecret, 200, `{"sessions":2,"edges":["edge-1"],"complete":true}`},
		{disconnect, `{"user":"ada"}`, ada, 403, ""},
		{disconnect, `{"reason":"` + strings.Repeat("x", 121) + `","who":1}`, withSecret, 422, `body.who`},
		{revoke, `{"user":"ada","before":1700000000.5}`, withSecret, 200, `{"user":"ada","before":"2023-11-14T22:13:20.5Z"}`},
		{revoke, `{"user":"ada","before":"2023-11-14T22:13:20Z"}`, withSecret, 200, `"before":"2023-11-14T22:13:20Z"`},
		{revoke, `{"user":"ada"}`, backend, 200, `"before":"2`},
		{revoke, `{"user":"ada","before":"2999-01-01T00:00:00Z"}`, withSecret, 422, `body.before`},
		{revoke, `{"user":"ada","before":true}`, withSecret, 422, `body.before`},
		{revoke, `{"user":7}`, withSecret, 422, `body.user`},
		{revoke, `{"user":"ada"}`, ada, 403, ""},
	} {
		method := http.MethodPost
		if tt.body == "" {
			method = http.MethodGet
		}
		w := call(t, a, method, tt.path, tt.body, tt.header)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.path, tt.body, w.Code, w.Body, tt.status, tt.want)
		}
	}
	if edges.reason != "spam" || time.Since(edges.revoked) > time.Minute {
		t.Errorf("reason %q, revoked before %v", edges.reason, edges.revoked)
	}
	edges.fail = wire.ErrUnavailable
	for _, w := range []int{
		call(t, a, "GET", presence+"?user=ada", "", withSecret).Code, call(t, a, "GET", presence+"?topic=a", "", withSecret).Code,
		call(t, a, "POST", disconnect, `{"user":"ada"}`, withSecret).Code, call(t, a, "POST", revoke, `{"user":"ada"}`, withSecret).Code,
	} {
		if w != http.StatusServiceUnavailable {
			t.Errorf("status %d while the edges are out of reach, want 503", w)
		}
	}
	var doc struct{ Paths map[string]any }
	if err := json.Unmarshal(call(t, a, "GET", "/openapi.json", "").Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{presence, disconnect, revoke} {
		if doc.Paths[path] == nil {
			t.Errorf("%s is not in the OpenAPI document", path)
		}
	}
}
