package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/schema"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// logging is an API whose log is kept.
func logging(t *testing.T, cfg Config, level slog.Level) (*API, *bytes.Buffer) {
	t.Helper()
	schemas, err := schema.New()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l := newFakeLog()
	cfg.Edges = &fakeEdges{}
	a, err := New(cfg, auth.NewDev(auth.DevProject, "publisher"), l, l, schemas, slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level})))
	if err != nil {
		t.Fatal(err)
	}
	return a, &out
}

func TestAccessLog(t *testing.T) {
	cfg := testConfig()
	cfg.AccessLog = true
	a, out := logging(t, cfg, slog.LevelInfo)
	person, publisher := token(t, "ada-the-person", false), token(t, "bob-the-backend", true)
	for _, tt := range []struct{ method, path, body, header, want string }{
		{"POST", "/api/v1/ws/toast", `{"title":"x"}`, withSecret, "POST /api/v1/ws/toast 201 secret-2"},
		{"POST", "/api/v1/ws/toast", `{"title":"x"}`, "X-SV-KEY: an older secret", "POST /api/v1/ws/toast 201 secret-1"},
		{"POST", "/api/v1/ws/toast", `{"title":"x"}`, "X-SV-KEY: a guessed secret", "POST /api/v1/ws/toast 401 none"},
		{"POST", "/api/v1/ws/events", `{`, "Authorization: Bearer " + publisher, "POST /api/v1/ws/events 400 token"},
		{"POST", "/api/v1/ws/events", `{`, "Authorization: Bearer " + person, "POST /api/v1/ws/events 403 token"},
		{"GET", "/api/v1/ws/history?token=" + person, "", "X-None: 1", "GET /api/v1/ws/history 200 token"},
		{"GET", "/api/v1/ws/presence?user=ada-the-person&token=" + person, "", "X-None: 1", "GET /api/v1/ws/presence 200 token"},
		{"GET", "/api/v1/ws/schedule/bob-the-backend", "", withSecret, "GET /api/v1/ws/schedule/{id} 404 secret-2"},
		{"GET", "/api/v1/" + person, "", "X-None: 1", "GET other 404 none"},
		{strings.ReplaceAll(person, ".", ""), "/api/v1/ws/toast", "", "X-None: 1", "other other 405 none"},
	} {
		out.Reset()
		w := call(t, a, tt.method, tt.path, tt.body, tt.header, "X-Request-Id: r-1")
		var line struct {
			Level, Msg, Method, Route, Caller, Client string
			ID                                        string `json:"request_id"`
			Status, Bytes                             int
			Took                                      int64
		}
		if err := json.Unmarshal(out.Bytes(), &line); err != nil {
			t.Fatalf("not one line: %s: %v", out, err)
		}
		if got := fmt.Sprint(line.Method, " ", line.Route, " ", line.Status, " ", line.Caller); got != tt.want ||
			line.Level != "INFO" || line.Msg != "request" || line.ID != "r-1" || line.Bytes != w.Body.Len() || line.Took <= 0 || line.Client == "" {
			t.Errorf("%s, want %s: %s", got, tt.want, out)
		}
		for _, secret := range []string{testSecret, "older secret", "guessed", person, strings.ReplaceAll(person, ".", ""), publisher, "ada-the-person", "bob-the-backend", "token="} {
			if strings.Contains(out.String(), secret) {
				t.Errorf("the log has %q: %s", secret, out)
			}
		}
	}
}

// TestDebugLog: without the setting a request is logged for debugging only.
func TestDebugLog(t *testing.T) {
	a, out := logging(t, testConfig(), slog.LevelInfo)
	call(t, a, "GET", "/openapi.json", "")
	if out.Len() > 0 {
		t.Errorf("logged: %s", out)
	}
	a, out = logging(t, testConfig(), slog.LevelDebug)
	call(t, a, "GET", "/openapi.json", "")
	if !strings.Contains(out.String(), `"level":"DEBUG","msg":"request"`) {
		t.Errorf("logged: %s", out)
	}
}

// TestFaultsNameTheirRequest: who has the X-Request-Id of an answer that is our fault, or of
// what is out of reach, finds it in the log, although requests are not logged.
func TestFaultsNameTheirRequest(t *testing.T) {
	for _, fault := range []error{wire.ErrUnavailable, errors.New("broken")} {
		a, out := logging(t, testConfig(), slog.LevelInfo)
		l, edges := a.publish.(*fakeLog), a.edges.(*fakeEdges)
		l.fail, l.failRead, edges.fail, edges.noLog = fault, fault, fault, true
		for _, tt := range []struct{ method, path, body string }{
			{"POST", "/api/v1/ws/toast", `{"title":"x"}`},
			{"GET", "/api/v1/ws/history", ""},
			{"POST", "/api/v1/ws/read", `{"all":true}`},
			{"GET", "/api/v1/ws/schedule/0-mi8kq1z2-2s", ""},
			{"DELETE", "/api/v1/ws/schedule/0-mi8kq1z2-2s", ""},
			{"GET", "/api/v1/ws/presence?user=ada", ""},
			{"GET", "/api/v1/ws/presence?topic=news", ""},
			{"POST", "/api/v1/ws/disconnect", `{"user":"ada"}`},
			{"POST", "/api/v1/ws/revoke", `{"user":"ada"}`},
			{"GET", "/api/v1/ws/status", ""},
		} {
			out.Reset()
			w := call(t, a, tt.method, tt.path, tt.body, "Authorization: Bearer "+token(t, "ada", true), "X-Request-Id: r-1")
			lines := strings.Count(out.String(), "\n")
			if w.Code < 500 || lines == 0 || strings.Count(out.String(), `"request_id":"r-1"`) != lines {
				t.Errorf("%s %s: %d, logged: %s", tt.method, tt.path, w.Code, out)
			}
		}
	}
}

// TestRequestIDOfErrors: every error names its request, over a real connection.
func TestRequestIDOfErrors(t *testing.T) {
	a, _ := logging(t, testConfig(), slog.LevelInfo)
	srv := httptest.NewServer(a)
	defer srv.Close()
	for path, status := range map[string]int{"/api/v1/nothing": 404, "/api/v1/ws/toast": 405, "/api/v1/ws/history": 401, "/api/v1/ws": 426} {
		for given, kept := range map[string]bool{"order-7.a_b": true, "": false, "has space": false} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Request-Id", given)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if id := resp.Header.Get("X-Request-Id"); resp.StatusCode != status || id == "" || (id == given) != kept {
				t.Errorf("%s with %q: %d, id %q", path, given, resp.StatusCode, id)
			}
		}
	}
}
