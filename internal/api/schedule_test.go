package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Scheduled finds what the fake log has stored and not delivered.
func (l *fakeLog) Scheduled(_ context.Context, id wire.EventID) (wire.Message, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return wire.Message{}, false, l.fail
	}
	if id.Life != 1764000000000 || id.Seq > uint64(len(l.stored)) || !l.stored[id.Seq-1].At.After(time.Now()) {
		return wire.Message{}, false, nil
	}
	return l.stored[id.Seq-1], true, nil
}

func (l *fakeLog) Cancel(ctx context.Context, id wire.EventID) (bool, error) {
	_, waiting, err := l.Scheduled(ctx, id)
	if waiting {
		l.stored[id.Seq-1].At = time.Time{}
	}
	return waiting, err
}

func TestDelivery(t *testing.T) {
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	zoned := at.In(time.FixedZone("", 2*3600)).Format(time.RFC3339)
	fields := fmt.Sprintf(`"ttl":60,"collapse":"order:7","deliver_at":%q`, zoned)
	for _, tc := range []struct{ path, body string }{
		{"/api/v1/ws/toast", `{"title":"Hi",` + fields + `,"to":{"users":["ada","bob"]}}`},
		{"/api/v1/ws/events", `{"events":[{"type":"x","payload":{"ttl":1},"to":{"users":["ada","bob"]},` + fields + `}]}`},
	} {
		l := newFakeLog()
		w := call(t, newAPI(t, testConfig(), l, nil), "POST", tc.path, tc.body, withSecret)
		if w.Code != http.StatusCreated || len(l.stored) != 2 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, m := range l.stored {
			if m.TTL != time.Minute || m.Collapse != "order:7" || !m.At.Equal(at) {
				t.Errorf("%s: stored %+v", tc.path, m)
			}
		}
		for _, r := range decode[[]Receipt](t, w) {
			if r.DeliverAt == nil || !r.DeliverAt.Equal(at) {
				t.Errorf("%s: receipt %+v", tc.path, r)
			}
		}
		if want := at.UTC().Format(time.RFC3339); !strings.Contains(w.Body.String(), `"deliver_at":"`+want+`"`) {
			t.Errorf("%s: %s, want it in UTC as %s", tc.path, w.Body, want)
		}
	}
}

func TestDeliveryRefused(t *testing.T) {
	in := func(d time.Duration) string { return time.Now().Add(d).Format(`"2006-01-02T15:04:05Z07:00"`) }
	cfg := testConfig()
	cfg.MaxDelay = 48 * time.Hour
	for _, tc := range []struct {
		field, value string
		cfg          Config
		ok           bool
	}{
		{"ttl", `1`, testConfig(), true},
		{"ttl", `2592000`, testConfig(), true},
		{"ttl", `2592001`, testConfig(), false},
		{"ttl", `0`, testConfig(), false},
		{"ttl", `-1`, testConfig(), false},
		{"ttl", `1.5`, testConfig(), false},
		{"ttl", `"60"`, testConfig(), false},
		{"ttl", `null`, testConfig(), false},
		{"ttl", `99999999999999999999`, testConfig(), false},
		{"collapse", `"a"`, testConfig(), true},
		{"collapse", `""`, testConfig(), false},
		{"collapse", `"a b"`, testConfig(), false},
		{"collapse", `"` + strings.Repeat("a", 65) + `"`, testConfig(), false},
		{"collapse", `null`, testConfig(), false},
		{"collapse", `7`, testConfig(), false},
		{"deliver_at", `"2001-01-01T00:00:00Z"`, testConfig(), true},
		{"deliver_at", `"2001-01-01T00:00:00.25+05:30"`, testConfig(), true},
		{"deliver_at", in(364 * 24 * time.Hour), testConfig(), true},
		{"deliver_at", in(366 * 24 * time.Hour), testConfig(), false},
		{"deliver_at", in(47 * time.Hour), cfg, true},
		{"deliver_at", in(49 * time.Hour), cfg, false},
		{"deliver_at", `"2031-01-01T00:00:00"`, testConfig(), false},
		{"deliver_at", `"2031-01-01"`, testConfig(), false},
		{"deliver_at", `"10m"`, testConfig(), false},
		{"deliver_at", `1924992000`, testConfig(), false},
		{"deliver_at", `null`, testConfig(), false},
	} {
		for prefix, request := range map[string]string{
			"body.":           "/api/v1/ws/toast " + `{"title":"Hi","` + tc.field + `":` + tc.value + `}`,
			"body.events[0].": "/api/v1/ws/events " + `{"events":[{"type":"x","payload":{},"` + tc.field + `":` + tc.value + `}]}`,
		} {
			l := newFakeLog()
			path, body, _ := strings.Cut(request, " ")
			w := call(t, newAPI(t, tc.cfg, l, nil), "POST", path, body, withSecret)
			if tc.ok != (w.Code == 201) || tc.ok != (len(l.stored) == 1) {
				t.Errorf("%s %s: %d, %d stored; %s", path, body, w.Code, len(l.stored), w.Body)
			}
			if tc.ok {
				continue
			}
			p := decode[Problem](t, w)
			if w.Code != 422 || len(p.Errors) != 1 || p.Errors[0].Location != prefix+tc.field {
				t.Errorf("%s %s: %d %s", path, body, w.Code, w.Body)
			}
		}
	}
}

func TestSchedule(t *testing.T) {
	l := newFakeLog()
	a := newAPI(t, testConfig(), l, nil)
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	waits := decode[Receipt](t, call(t, a, "POST", "/api/v1/ws/toast", `{"title":"Later","to":{"topic":"chess"},"deliver_at":"`+at.Format(time.RFC3339)+`"}`, withSecret))
	sent := decode[Receipt](t, call(t, a, "POST", "/api/v1/ws/toast", `{"title":"Now"}`, withSecret))
	path := "/api/v1/ws/schedule/"

	shown := decode[Schedule](t, call(t, a, "GET", path+waits.ID, "", withSecret))
	if diff := cmp.Diff(Schedule{ID: waits.ID, DeliverAt: &at, Type: "toast", To: "topic"}, shown); diff != "" {
		t.Error(diff)
	}
	for _, tc := range []struct {
		method, id  string
		credentials []string
		status      int
	}{
		{"GET", waits.ID, nil, 401},
		{"DELETE", waits.ID, nil, 401},
		{"DELETE", waits.ID, []string{"Authorization: Bearer " + token(t, "ada", false)}, 403},
		{"GET", sent.ID, []string{withSecret}, 404},
		{"DELETE", sent.ID, []string{withSecret}, 404},
		{"DELETE", "0-1-1", []string{withSecret}, 404},
		{"DELETE", "nonsense", []string{withSecret}, 404},
		{"DELETE", "%2e%2e", []string{withSecret}, 404},
		{"POST", waits.ID, []string{withSecret}, 405},
		{"GET", waits.ID, []string{withSecret}, 200},
		{"DELETE", waits.ID, []string{"Authorization: Bearer " + token(t, "ada", true)}, 204},
		{"GET", waits.ID, []string{withSecret}, 404},
		{"DELETE", waits.ID, []string{withSecret}, 404},
	} {
		w := call(t, a, tc.method, path+tc.id, "", tc.credentials...)
		if w.Code != tc.status || w.Code == 204 && w.Body.Len() > 0 {
			t.Errorf("%s %s: %d, want %d; %s", tc.method, tc.id, w.Code, tc.status, w.Body)
		}
	}
	l.fail = fmt.Errorf("x: %w", wire.ErrUnavailable)
	for _, method := range []string{"GET", "DELETE"} {
		if w := call(t, a, method, path+waits.ID, "", withSecret); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}

func TestThousandEvents(t *testing.T) {
	var events []string
	for i := range maxEvents {
		events = append(events, fmt.Sprintf(`{"type":"x","payload":{},"to":{"user":"u%d"}}`, i))
	}
	l := newFakeLog()
	w := call(t, newAPI(t, testConfig(), l, nil), "POST", "/api/v1/ws/events", `{"events":[`+strings.Join(events, ",")+`]}`, withSecret)
	if n := len(decode[[]json.RawMessage](t, w)); w.Code != 201 || n != maxEvents || len(l.stored) != maxEvents {
		t.Errorf("%d: %d receipts, %d stored", w.Code, n, len(l.stored))
	}
}
