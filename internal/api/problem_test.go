package api

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/socialvibes/vibemesh/internal/wire"
)

var update = flag.Bool("update", false, "write the golden problem documents anew")

// TestGoldenProblems pins whole answers, one a file of testdata.
func TestGoldenProblems(t *testing.T) {
	const toast, events = "/api/v1/ws/toast", "/api/v1/ws/events"
	out := newFakeLog()
	out.fail = wire.ErrUnavailable
	panics := newFakeLog()
	panics.panics = true
	for _, tc := range []struct {
		name, method, path, body string
		log                      *fakeLog
		headers                  []string
		status                   int
	}{
		{"400-syntax", "POST", toast, `{"title":"Hi",}`, nil, []string{withSecret}, 400},
		{"400-empty", "POST", toast, " \n", nil, []string{withSecret}, 400},
		{"400-utf8", "POST", toast, "{\"title\":\"\xff\"}", nil, []string{withSecret}, 400},
		{"400-encoding", "POST", toast, "\x1f\x8b", nil, []string{withSecret, "Content-Encoding: gzip"}, 400},
		{"401-missing", "POST", toast, `{}`, nil, nil, 401},
		{"401-secret", "POST", toast, `{}`, nil, []string{"X-SV-KEY: guess"}, 401},
		{"401-token", "GET", "/api/v1/ws/history?token=a.b.c", "", nil, nil, 401},
		{"403", "POST", toast, `{}`, nil, []string{"Authorization: Bearer " + token(t, "ada", false)}, 403},
		{"404", "GET", "/api/v1/nothing", "", nil, nil, 404},
		{"405", "GET", toast, "", nil, nil, 405},
		{"413", "POST", toast, strings.Repeat(" ", wire.MaxEnvelope+1), nil, []string{withSecret}, 413},
		{"422-toast", "POST", toast, `{"title":"","image_url":"http://a/b.png","action_url":"javascript://x","teaser":7,"shape":"round","to":{"user":"","users":[]}}`, nil, []string{withSecret, "Idempotency-Key: a b"}, 422},
		{"422-query", "POST", toast + "?User=ada&topic=&user_id=ada&key=x", `{"title":"Hi"}`, nil, []string{withSecret}, 422},
		{"422-not-an-object", "POST", toast, `[{"title":"Hi"}]`, nil, []string{withSecret}, 422},
		{"422-events", "POST", events, `{"dry":true,"events":[{"type":"toast","payload":{"title":"fine"}},{"type":"toast","payload":{"teaser":1},"to":{"user":"a","topic":"b"}},7,{"type":"hello","payload":[]},{"kind":"x"}]}`, nil, []string{withSecret}, 422},
		{"422-history", "GET", "/api/v1/ws/history?limit=0&before=x&token=" + token(t, "ada", false), "", nil, nil, 422},
		{"404-no-edge", "GET", "/api/v1/ws", "", nil, []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"}, 404},
		{"426", "GET", "/api/v1/ws", "", nil, nil, 426},
		{"500", "POST", toast, `{"title":"Hi"}`, panics, []string{withSecret, "X-Request-Id: r-1"}, 500},
		{"503", "POST", toast, `{"title":"Hi"}`, out, []string{withSecret}, 503},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := tc.log
			if l == nil {
				l = newFakeLog()
			}
			w := call(t, newAPI(t, testConfig(), l, nil), tc.method, tc.path, tc.body, tc.headers...)
			if w.Code != tc.status || w.Header().Get("Content-Type") != problemType {
				t.Errorf("%d %s", w.Code, w.Header())
			}
			if len(l.stored) != 0 {
				t.Errorf("stored %v", l.stored)
			}
			got, file := indent(t, w.Body), filepath.Join("testdata", tc.name+".json")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestHostile: no body may store anything, panic, or be told anything but a
// problem document of status 400, 413 or 422 that names the field.
func TestHostile(t *testing.T) {
	long := strings.Repeat("x", 129)
	deep := strings.Repeat("[", 20000)
	l := newFakeLog()
	a := newAPI(t, testConfig(), l, nil)
	for _, tc := range []struct{ path, body, field string }{
		{"toast", `null`, "body"},
		{"toast", `"title"`, "body"},
		{"toast", `5`, "body"},
		{"toast", `{"title":"x"} {"title":"y"}`, ""},
		{"toast", deep, ""},
		{"toast", `{"title":` + strings.Repeat(`{"a":`, 9000) + `1` + strings.Repeat(`}`, 9000) + `}`, "body.title"},
		{"toast", `{"Title":"x"}`, "body.Title"},
		{"toast", `{"TITLE":"x"}`, "body.title"},
		{"toast", `{"title":"x","TO":{"user":"a"}}`, "body.TO"},
		{"toast", `{"title":null}`, "body.title"},
		{"toast", `{"title":["x"]}`, "body.title"},
		{"toast", `{"title":1e999}`, "body.title"},
		{"toast", `{"title":"x","to":null}`, "body.to"},
		{"toast", `{"title":"x","to":{}}`, "body.to"},
		{"toast", `{"title":"x","to":"ada"}`, "body.to"},
		{"toast", `{"title":"x","to":[]}`, "body.to"},
		{"toast", `{"title":"x","to":{"user":null}}`, "body.to.user"},
		{"toast", `{"title":"x","to":{"user":["a"]}}`, "body.to.user"},
		{"toast", `{"title":"x","to":{"user":"` + long + `"}}`, "body.to.user"},
		{"toast", `{"title":"x","to":{"topic":""}}`, "body.to.topic"},
		{"toast", `{"title":"x","to":{"everybody":true}}`, "body.to.everybody"},
		{"toast", `{"title":"x","to":{"user":"a","User":"b"}}`, "body.to.User"},
		{"toast", `{"title":"x","to":{"users":[]}}`, "body.to.users"},
		{"toast", `{"title":"x","to":{"users":"a"}}`, "body.to.users"},
		{"toast", `{"title":"x","to":{"users":null}}`, "body.to.users"},
		{"toast", `{"title":"x","to":{"users":["a","b","a"]}}`, "body.to.users[2]"},
		{"toast", `{"title":"x","to":{"users":["a",7]}}`, "body.to.users[1]"},
		{"toast", `{"title":"x","to":{"users":[` + strings.Repeat(`"a",`, maxUsers) + `"b"]}}`, "body.to.users"},
		{"toast", `{"title":"x","image_url":"https://"}`, "body.image_url"},
		{"toast", `{"title":"x","image_url":"data:image/png;base64,AA"}`, "body.image_url"},
		{"toast", `{"title":"x","action_url":"//evil.example"}`, "body.action_url"},
		{"toast", `{"title":"x","action_url":"intent://x"}`, "body.action_url"},
		{"toast", `{"title":"x","action_url":"https://a\u0000b\n"}`, "body.action_url"},
		{"toast", `{"title":"x","__proto__":{"a":1}}`, "body.__proto__"},
		{"toast", `{"title":"x","` + strings.Repeat("é", 300) + `":1}`, ""},
		{"toast", `{"title":"x","":1}`, "body."},
		{"events", `{}`, "body.events"},
		{"events", `{"events":null}`, "body.events"},
		{"events", `{"events":{}}`, "body.events"},
		{"events", `{"events":[]}`, "body.events"},
		{"events", `{"events":[` + strings.Repeat(`{},`, maxEvents) + `{}]}`, "body.events"},
		{"events", `{"events":[null]}`, "body.events[0]"},
		{"events", `{"events":[{"type":"pong","payload":{}}]}`, "body.events[0].type"},
		{"events", `{"events":[{"type":"A","payload":{}}]}`, "body.events[0].type"},
		{"events", `{"events":[{"type":"a\"b","payload":{}}]}`, "body.events[0].type"},
		{"events", `{"events":[{"type":["toast"],"payload":{}}]}`, "body.events[0].type"},
		{"events", `{"events":[{"type":"a","payload":null}]}`, "body.events[0].payload"},
		{"events", `{"events":[{"type":"a","payload":"{}"}]}`, "body.events[0].payload"},
		{"events", `{"events":[{"type":"toast","payload":{"title":"ok"}},{"type":"toast","payload":{}}]}`, "body.events[1].payload.title"},
		{"events", `{"events":[` + strings.TrimSuffix(strings.Repeat(`{"type":"a","payload":{},"to":{"users":["1","2","3","4","5","6","7","8","9","10","11"]}},`, 91), ",") + `]}`, "body.events"},
	} {
		w := call(t, a, "POST", "/api/v1/ws/"+tc.path, tc.body, withSecret)
		name := fmt.Sprintf("%s %.80s", tc.path, tc.body)
		if len(l.stored) != 0 {
			t.Errorf("%s: stored", name)
		}
		if w.Code != 400 && w.Code != 413 && w.Code != 422 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
			continue
		}
		p := decode[Problem](t, w)
		found := tc.field == ""
		for _, e := range p.Errors {
			found = found || e.Location == tc.field && e.Message != ""
		}
		if !found {
			t.Errorf("%s: %q not in %s", name, tc.field, w.Body)
		}
	}
}

func TestErrorsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `"f%d":1,`, i)
	}
	w := call(t, newAPI(t, testConfig(), newFakeLog(), nil), "POST", "/api/v1/ws/toast", "{"+b.String()+`"title":"x"}`, withSecret)
	p := decode[Problem](t, w)
	if w.Code != 422 || len(p.Errors) != maxErrors || !strings.Contains(p.Detail, "5000 fields") {
		t.Errorf("%d, %d errors, %s", w.Code, len(p.Errors), p.Detail)
	}
}

func TestIdempotencyKeyRefused(t *testing.T) {
	l := newFakeLog()
	a := newAPI(t, testConfig(), l, nil)
	for _, headers := range [][]string{
		{"Idempotency-Key: "},
		{"Idempotency-Key: " + strings.Repeat("x", 129)},
		{"Idempotency-Key: a b"},
		{"Idempotency-Key: é"},
		{"Idempotency-Key: a\x7f"},
		{"Idempotency-Key: a", "Idempotency-Key: a"},
	} {
		w := call(t, a, "POST", "/api/v1/ws/toast", `{"title":"x"}`, append(headers, withSecret)...)
		if p := decode[Problem](t, w); w.Code != http.StatusUnprocessableEntity || len(p.Errors) != 1 || p.Errors[0].Location != "header.Idempotency-Key" {
			t.Errorf("%q: %d %s", headers, w.Code, w.Body)
		}
	}
	if w := call(t, a, "POST", "/api/v1/ws/toast", `{"title":"x"}`, "Idempotency-Key: "+strings.Repeat("~", 128), withSecret); w.Code != 201 || len(l.stored) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
