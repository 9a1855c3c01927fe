package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// at has the API's rates see a clock that a test moves.
func at(a *API, now *time.Time) { a.rates.now = func() time.Time { return *now } }

func TestPublishRate(t *testing.T) {
	cfg := testConfig()
	cfg.PublishRate, cfg.PublishBurst = 2, 4
	l := newFakeLog()
	a := newAPI(t, cfg, l, nil)
	now := time.Unix(1_700_000_000, 0)
	at(a, &now)
	const toast, events = "/api/v1/ws/toast", "/api/v1/ws/events"
	const three = `{"events":[{"type":"x","payload":{}},{"type":"x","payload":{},"to":{"users":["a","b"]}}]}`
	person, another := "Authorization: Bearer "+token(t, "ada", true), "Authorization: Bearer "+token(t, "bob", true)
	older := "X-SV-KEY: an older secret"
	for i, tt := range []struct {
		after                    time.Duration
		path, body, header, wait string
		status, stored           int
	}{
		{0, events, three, withSecret, "", 201, 3},
		{0, events, three, withSecret, "1", 429, 0}, // 1 of 3 is there
		{0, toast, `{"title":"x"}`, withSecret, "", 201, 1},
		{0, toast, `{"title":"x","to":{"users":["a","b","c"]}}`, withSecret, "2", 429, 0},
		{0, toast, `{"title":"x"}`, withSecret, "1", 429, 0},
		{0, toast, `{"title":7}`, withSecret, "", 422, 0},       // what is wrong is said first
		{0, toast, `{"title":"x"}`, "X-SV-KEY: no", "", 401, 0}, // and who may not publish
		{0, events, three, older, "", 201, 3},                   // another secret is another publisher
		{0, events, three, person, "", 201, 3},                  // so is a person,
		{0, events, three, another, "", 201, 3},                 // and one more
		{0, events, three, person, "1", 429, 0},
		{500 * time.Millisecond, toast, `{"title":"x"}`, withSecret, "", 201, 1},
		{time.Second, events, three, withSecret, "1", 429, 0},
		{500 * time.Millisecond, events, three, withSecret, "", 201, 3},
		{time.Hour, toast, `{"title":"x","to":{"users":["a","b","c","d","e"]}}`, withSecret, "", 422, 0}, // would never be let in
	} {
		now = now.Add(tt.after)
		before := len(l.stored)
		w := call(t, a, "POST", tt.path, tt.body, tt.header)
		if w.Code != tt.status || w.Header().Get("Retry-After") != tt.wait || len(l.stored)-before != tt.stored {
			t.Errorf("%d: %d after %q, %d stored: %s", i, w.Code, w.Header().Get("Retry-After"), len(l.stored)-before, w.Body)
		}
		if w.Code == 429 && decode[Problem](t, w).Type != "https://socialvibes.dev/problems/too-many-requests" {
			t.Errorf("%d: %s", i, w.Body)
		}
	}
	want := `
# HELP vibemesh_api_rate_limited_total Publishes refused since their publisher sends too much, by how it shows who it is.
# TYPE vibemesh_api_rate_limited_total counter
vibemesh_api_rate_limited_total{publisher="secret"} 4
vibemesh_api_rate_limited_total{publisher="token"} 1
`
	if err := testutil.CollectAndCompare(a.metrics.limited, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestNoPublishRate(t *testing.T) {
	a := newAPI(t, testConfig(), newFakeLog(), nil)
	for range 1500 {
		if w := call(t, a, "POST", "/api/v1/ws/toast", `{"title":"x"}`, withSecret); w.Code != 201 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	if len(a.rates.own) != 0 {
		t.Errorf("%d buckets without a limit", len(a.rates.own))
	}
	for _, tt := range []struct {
		rate        float64
		burst, want int
	}{{1, 0, 1000}, {.1, 0, 1000}, {1500.5, 0, 1501}, {5, 7, 7}} {
		if r := newRates(tt.rate, tt.burst); r.burst != tt.want {
			t.Errorf("%v and %d: %d at once, want %d", tt.rate, tt.burst, r.burst, tt.want)
		}
	}
}

// TestRatesAreBounded: the table does not grow beyond its bound, nobody gets more by
// that, and who has been quiet makes room.
func TestRatesAreBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := newRates(1, 2)
	r.most, r.now = 10, func() time.Time { return now }
	admitted := 0
	for i := range 100 {
		if r.take(fmt.Sprint("user:", i), 2) == 0 {
			admitted++
		}
	}
	if len(r.own) != 10 || admitted != 11 { // each its own, and one for all others
		t.Errorf("%d buckets, %d admitted", len(r.own), admitted)
	}
	// However many people there are, a backend's secret is not among them.
	if wait := r.take(caller{secret: 1}.bucket(), 2); wait != 0 {
		t.Errorf("a secret waits %v, since many people publish", wait)
	}
	delete(r.own, "secret-1")
	now = now.Add(time.Second) // half full: nobody is forgotten
	if wait := r.take("user:0", 2); wait != time.Second || len(r.own) != 10 {
		t.Errorf("%v, %d buckets", wait, len(r.own))
	}
	now = now.Add(time.Second)
	for i := range 100 {
		r.take(fmt.Sprint("user:", 100+i), 2)
	}
	if len(r.own) != 10 || r.own["user:0"] != nil || r.own["user:100"] == nil {
		t.Errorf("%d buckets, of %v", len(r.own), r.own)
	}
}
