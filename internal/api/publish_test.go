package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestToast(t *testing.T) {
	users := []string{}
	for i := range maxUsers {
		users = append(users, fmt.Sprintf(`"u%d"`, i))
	}
	for _, tc := range []struct {
		name, body, payload string
		to                  []wire.Audience
		list                bool
	}{
		{"everybody", `{"title":"Hi"}`, `{"title":"Hi"}`, []wire.Audience{wire.Broadcast()}, false},
		{"user", `{"title":"Hi","to":{"user":"ada"}}`, `{"title":"Hi"}`, []wire.Audience{wire.User("ada")}, false},
		{"user with a dot", `{"title":"Hi","to":{"user":"a.*.>"}}`, `{"title":"Hi"}`, []wire.Audience{wire.User("a.*.>")}, false},
		{"users", `{"title":"Hi","to":{"users":["ada","bob"]}}`, `{"title":"Hi"}`, []wire.Audience{wire.User("ada"), wire.User("bob")}, true},
		{"one of users", `{"title":"Hi","to":{"users":["ada"]}}`, `{"title":"Hi"}`, []wire.Audience{wire.User("ada")}, true},
		{"topic", `{"title":"Hi","to":{"topic":"chess"}}`, `{"title":"Hi"}`, []wire.Audience{wire.Topic("chess")}, false},
		{"old client's nulls", `{"title":"Hi","teaser":null,"image_url":null,"action_url":null,"action_label":null,"description":null}`, `{"title":"Hi"}`, []wire.Audience{wire.Broadcast()}, false},
		{"markup is text", `{"title":"<b>&</b>"}`, `{"title":"<b>&</b>"}`, []wire.Audience{wire.Broadcast()}, false},
		{"of two the last", `{"title":5,"title":"x"}`, `{"title":"x"}`, []wire.Audience{wire.Broadcast()}, false},
		{"white space", " {\n\"title\" : \"x\" }\n", `{"title":"x"}`, []wire.Audience{wire.Broadcast()}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newFakeLog()
			a := newAPI(t, testConfig(), l, nil)
			w := call(t, a, "POST", "/api/v1/ws/toast", tc.body, withSecret)
			if w.Code != http.StatusCreated || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s %s", w.Code, w.Header(), w.Body)
			}
			var got []wire.Audience
			for _, m := range l.stored {
				got = append(got, m.Audience)
				if string(m.Envelope.Payload) != tc.payload || m.Envelope.Type != "toast" || m.MsgID != "" {
					t.Errorf("stored %s %s %q, want %s", m.Envelope.Type, m.Envelope.Payload, m.MsgID, tc.payload)
				}
			}
			if diff := cmp.Diff(tc.to, got); diff != "" {
				t.Error(diff)
			}
			if tc.list {
				if n := len(decode[[]Receipt](t, w)); n != len(tc.to) {
					t.Errorf("%d receipts", n)
				}
			}
		})
	}
	l := newFakeLog()
	a := newAPI(t, testConfig(), l, nil)
	w := call(t, a, "POST", "/api/v1/ws/toast", `{"title":"Hi","to":{"users":[`+strings.Join(users, ",")+`]}}`, withSecret)
	if n := len(decode[[]Receipt](t, w)); n != maxUsers || len(l.stored) != maxUsers {
		t.Errorf("%d receipts, %d stored", n, len(l.stored))
	}
	if n := testutil.ToFloat64(a.metrics.published.WithLabelValues("user")); n != maxUsers {
		t.Errorf("counted %v", n)
	}
}

func TestToastReceipt(t *testing.T) {
	w := call(t, newAPI(t, testConfig(), newFakeLog(), nil), "POST", "/api/v1/ws/toast", `{"title":"Hi","to":{"user":"a b"}}`, withSecret)
	want := `{"id":"0-midc1z40-1","seq":1,"subject":"sv.ws.user.=YSBi","duplicate":false}` + "\n"
	if w.Body.String() != want {
		t.Errorf("got  %swant %s", w.Body, want)
	}
}

func TestCredentials(t *testing.T) {
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	foreign, err := auth.MintDev(auth.DevClaims{UID: "eve", ProjectID: "demo-other", Publisher: true}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	expired, err := auth.MintDev(auth.DevClaims{UID: "eve", Publisher: true, TTL: time.Minute}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	noSecrets := testConfig()
	noSecrets.Secrets = nil
	for _, tc := range []struct {
		name      string
		cfg       Config
		headers   []string
		status    int
		challenge string
	}{
		{"secret", testConfig(), []string{withSecret}, 201, ""},
		{"older secret", testConfig(), []string{"X-SV-KEY: an older secret"}, 201, ""},
		{"publisher's token", testConfig(), []string{bearer(token(t, "ada", true))}, 201, ""},
		{"scheme in any case", testConfig(), []string{"Authorization: bEARER " + token(t, "ada", true)}, 201, ""},
		{"nothing", testConfig(), nil, 401, `Bearer realm="vibemesh"`},
		{"wrong secret", testConfig(), []string{"X-SV-KEY: " + testSecret + "!"}, 401, `Bearer realm="vibemesh"`},
		{"empty secret", testConfig(), []string{"X-SV-KEY: "}, 401, `Bearer realm="vibemesh"`},
		{"wrong secret, good token", testConfig(), []string{"X-SV-KEY: x", bearer(token(t, "ada", true))}, 401, `Bearer realm="vibemesh"`},
		{"two secrets", testConfig(), []string{withSecret, withSecret}, 401, `Bearer realm="vibemesh"`},
		{"no secret configured", noSecrets, []string{withSecret}, 401, `Bearer realm="vibemesh"`},
		{"no secret configured, empty given", noSecrets, []string{"X-SV-KEY: "}, 401, `Bearer realm="vibemesh"`},
		{"basic", testConfig(), []string{"Authorization: Basic YTpi"}, 401, `Bearer realm="vibemesh"`},
		{"garbage", testConfig(), []string{bearer("garbage")}, 401, `Bearer realm="vibemesh", error="invalid_token"`},
		{"other project", testConfig(), []string{bearer(foreign)}, 401, `Bearer realm="vibemesh", error="invalid_token"`},
		{"expired", testConfig(), []string{bearer(expired)}, 401, `Bearer realm="vibemesh", error="invalid_token"`},
		{"no claim", testConfig(), []string{bearer(token(t, "ada", false))}, 403, `Bearer realm="vibemesh", error="insufficient_scope"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, path := range []string{"/api/v1/ws/toast", "/api/v1/ws/events"} {
				body := `{"title":"Hi"}`
				if path == "/api/v1/ws/events" {
					body = `{"events":[{"type":"toast","payload":{"title":"Hi"}}]}`
				}
				l := newFakeLog()
				w := call(t, newAPI(t, tc.cfg, l, nil), "POST", path, body, tc.headers...)
				if w.Code != tc.status || w.Header().Get("WWW-Authenticate") != tc.challenge {
					t.Errorf("%s: %d %q %s", path, w.Code, w.Header().Get("WWW-Authenticate"), w.Body)
				}
				if stored := len(l.stored) > 0; stored != (tc.status == 201) {
					t.Errorf("%s: status %d, %d stored", path, w.Code, len(l.stored))
				}
			}
		})
	}
}

type failingVerifier struct{ err error }

func (v failingVerifier) Verify(context.Context, string) (auth.Identity, error) {
	return auth.Identity{}, v.err
}

func TestOutOfReach(t *testing.T) {
	good := `{"title":"Hi"}`
	for _, tc := range []struct {
		name   string
		log    error
		verify error
		status int
	}{
		{"log", fmt.Errorf("publish: %w", wire.ErrUnavailable), nil, 503},
		{"log too slow", fmt.Errorf("publish: %w", context.DeadlineExceeded), nil, 503},
		{"log broken", errors.New("nats: internal host 10.0.0.1"), nil, 500},
		{"certificates", nil, fmt.Errorf("x: %w", auth.ErrUnavailable), 503},
		{"verifier broken", nil, errors.New("internal host 10.0.0.1"), 500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newFakeLog()
			l.fail = tc.log
			var v auth.Verifier
			if tc.verify != nil {
				v = failingVerifier{tc.verify}
			}
			a := newAPI(t, testConfig(), l, v)
			for _, r := range []*httptest.ResponseRecorder{
				call(t, a, "POST", "/api/v1/ws/toast", good, "Authorization: Bearer "+token(t, "ada", true)),
				call(t, a, "GET", "/api/v1/ws/history", "", "Authorization: Bearer "+token(t, "ada", false)),
			} {
				if r.Code != tc.status || (r.Header().Get("Retry-After") != "") != (tc.status == 503) {
					t.Errorf("%d %v %s", r.Code, r.Header(), r.Body)
				}
				if strings.Contains(r.Body.String(), "10.0.0.1") {
					t.Errorf("the answer tells of the inside: %s", r.Body)
				}
			}
		})
	}
}

func TestIdempotency(t *testing.T) {
	l := newFakeLog()
	a := newAPI(t, testConfig(), l, nil)
	post := func(path, body, key string, headers ...string) []Receipt {
		t.Helper()
		w := call(t, a, "POST", path, body, append(headers, "Idempotency-Key: "+key)...)
		if w.Code != 201 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if w.Body.Bytes()[0] == '[' {
			return decode[[]Receipt](t, w)
		}
		return []Receipt{decode[Receipt](t, w)}
	}
	const toast = "/api/v1/ws/toast"
	ada, secretive := "Authorization: Bearer "+token(t, "ada", true), "Authorization: Bearer "+token(t, "secret", true)
	first := post(toast, `{"title":"Hi"}`, "k1", withSecret)[0]
	again := post(toast, `{"title":"Hi"}`, "k1", withSecret)[0]
	if first.Duplicate || !again.Duplicate || again.ID != first.ID || len(l.stored) != 1 {
		t.Errorf("first %+v, again %+v, %d stored", first, again, len(l.stored))
	}
	// None of these is the same request.
	for name, receipts := range map[string][]Receipt{
		"another key":              post(toast, `{"title":"Hi"}`, "k2", withSecret),
		"another publisher":        post(toast, `{"title":"Hi"}`, "k1", ada),
		"a user named secret":      post(toast, `{"title":"Hi"}`, "k1", secretive),
		"another recipient":        post(toast, `{"title":"Hi","to":{"user":"bob"}}`, "k1", withSecret),
		"a topic of the same name": post(toast, `{"title":"Hi","to":{"topic":"bob"}}`, "k1", withSecret),
		"several recipients":       post(toast, `{"title":"Hi","to":{"users":["x","y"]}}`, "k1", withSecret),
		"two equal events":         post("/api/v1/ws/events", `{"events":[{"type":"toast","payload":{"title":"Hi"}},{"type":"toast","payload":{"title":"Hi"}}]}`, "k1", withSecret),
	} {
		for _, r := range receipts {
			if r.Duplicate {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	// A retry with one more recipient stores only what is new.
	if got := post(toast, `{"title":"Hi","to":{"users":["x","y","z"]}}`, "k1", withSecret); !got[0].Duplicate || !got[1].Duplicate || got[2].Duplicate {
		t.Errorf("%+v", got)
	}
	for _, m := range l.stored {
		if len(m.MsgID) != 43 || strings.Contains(m.MsgID, "k1") {
			t.Errorf("message id %q", m.MsgID)
		}
	}
}

func TestEvents(t *testing.T) {
	l := newFakeLog()
	w := call(t, newAPI(t, testConfig(), l, nil), "POST", "/api/v1/ws/events", `{"events":[
		{"type":"toast","payload":{"title":"Hi","teaser":null}},
		{"type":"order.shipped","payload":{"any":[1,null,{"x":"<"}]},"to":{"users":["ada","bob"]}},
		{"type":"note","payload":{},"to":{"topic":"chess"}}]}`, withSecret)
	if n := len(decode[[]Receipt](t, w)); w.Code != 201 || n != 4 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var got []string
	for _, m := range l.stored {
		got = append(got, m.Envelope.Type+" "+m.Audience.To()+" "+string(m.Envelope.Payload))
	}
	want := []string{
		`toast broadcast {"title":"Hi"}`, `order.shipped user {"any":[1,null,{"x":"<"}]}`,
		`order.shipped user {"any":[1,null,{"x":"<"}]}`, `note topic:chess {}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSizes(t *testing.T) {
	body := func(n int) string {
		b, err := json.Marshal(map[string]string{"title": "x", "padding": strings.Repeat("x", n)})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	l := newFakeLog()
	a := newAPI(t, testConfig(), l, nil)
	exact := body(wire.MaxEnvelope - len(body(0)))
	for _, tc := range []struct {
		name, path, body string
		status           int
	}{
		{"one byte too many", "/api/v1/ws/toast", exact + " ", 413},
		{"just read, but with an unknown field", "/api/v1/ws/toast", exact, 422},
		{"events, too many bytes", "/api/v1/ws/events", exact + " ", 413},
		{"too many levels", "/api/v1/ws/events", `{"events":[{"type":"x","payload":{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}}]}`, 422},
		{"an envelope too large", "/api/v1/ws/toast", `{"title":"x","description":"` + strings.Repeat(`\u0041`, 10915) + `"}`, 413},
	} {
		if w := call(t, a, "POST", tc.path, tc.body, withSecret); w.Code != tc.status || len(l.stored) != 0 {
			t.Errorf("%s: %d, want %d; %d stored; %.400s", tc.name, w.Code, tc.status, len(l.stored), w.Body)
		}
	}
	if w := call(t, a, "POST", "/api/v1/ws/toast", exact+"more than is read"); w.Code != 401 {
		t.Errorf("the body of a stranger is read: %d", w.Code)
	}
}

// TestAnnouncedTooLarge: what says that it is too large is refused before any of it is
// asked for, as a client with Expect: 100-continue hopes.
func TestAnnouncedTooLarge(t *testing.T) {
	srv := httptest.NewServer(newAPI(t, testConfig(), newFakeLog(), nil))
	defer srv.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // less than a request may take
	fmt.Fprintf(conn, "POST /api/v1/ws/toast HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", withSecret, wire.MaxEnvelope+1)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.1 413 ") {
		t.Errorf("%q, %v; want a 413", line, err)
	}
}
