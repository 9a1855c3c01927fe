package api

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func withEntries(n int) *fakeLog {
	l := newFakeLog()
	for seq := n; seq > 0; seq-- {
		l.entries = append(l.entries, wire.Entry{
			Position: wire.Position{Life: 1764000000000, Seq: uint64(seq)}, Time: time.UnixMilli(1764000000000 + int64(seq)), Audience: wire.User("ada"),
			Envelope: wire.Envelope{Type: "toast", Payload: []byte(fmt.Sprintf(`{"title":"<%d>"}`, seq))},
		})
	}
	return l
}

func TestHistory(t *testing.T) {
	l := withEntries(7)
	a := newAPI(t, testConfig(), l, nil)
	ada := "Authorization: Bearer " + token(t, "ada", false)
	read := func(query string) (seqs []string, next string) {
		t.Helper()
		w := call(t, a, "GET", "/api/v1/ws/history"+query, "", ada)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		page := decode[HistoryPage](t, w)
		for _, e := range page.Events {
			_, seq, _ := strings.Cut(e.ID[2:], "-")
			seqs = append(seqs, seq)
		}
		return seqs, page.Next
	}
	for _, tc := range []struct {
		query string
		want  []string
		more  bool
	}{
		{"", []string{"7", "6", "5"}, true},
		{"?limit=1", []string{"7"}, true},
		{"?limit=3", []string{"7", "6", "5"}, true},
		{"?limit=1000", []string{"7", "6", "5"}, true},
		{"?before=0-midc1z40-4", []string{"3", "2", "1"}, false},
		{"?before=0-midc1z40-1", nil, false},
	} {
		got, next := read(tc.query)
		if diff := cmp.Diff(tc.want, got); diff != "" || (next != "") != tc.more {
			t.Errorf("%q: next %q %s", tc.query, next, diff)
		}
	}
	var all []string
	for query := ""; ; {
		page, next := read("?limit=2" + query)
		all = append(all, page...)
		if query = "&before=" + next; next == "" {
			break
		}
	}
	if got := strings.Join(all, ""); got != "7654321" {
		t.Errorf("page by page: %s", got)
	}
	if diff := cmp.Diff([]wire.Audience{wire.User("ada"), wire.Broadcast()}, l.asked[0]); diff != "" {
		t.Error(diff)
	}
	w := call(t, a, "GET", "/api/v1/ws/history?limit=1&token="+token(t, "ada", false), "")
	want := `{"events":[{"type":"toast","id":"0-midc1z40-7","ts":1764000000007,"to":"user","read":false,"payload":{"title":"<7>"}}],"next":"0-midc1z40-7","unread":7}` + "\n"
	if w.Body.String() != want {
		t.Errorf("got  %swant %s", w.Body, want)
	}
}

func TestHistoryRefused(t *testing.T) {
	ada := "Authorization: Bearer " + token(t, "ada", false)
	foreign := newFakeLog()
	foreign.fail = fmt.Errorf("read: %w", wire.ErrForeignEvent)
	for _, tc := range []struct {
		query, header string
		log           *fakeLog
		status        int
		field         string
	}{
		{"", "", withEntries(1), 401, ""},
		{"?token=", "", withEntries(1), 401, ""},
		{"", "X-SV-KEY: " + testSecret, withEntries(1), 401, ""},
		{"?limit=-1", ada, withEntries(1), 422, "query.limit"},
		{"?limit=", ada, withEntries(1), 422, "query.limit"},
		{"?limit=many", ada, withEntries(1), 422, "query.limit"},
		{"?limit=99999999999999999999", ada, withEntries(1), 422, "query.limit"},
		{"?before=", ada, withEntries(1), 422, "query.before"},
		{"?before=0-1-0x1", ada, withEntries(1), 422, "query.before"},
		{"?before=0-1-1", ada, foreign, 422, "query.before"},
	} {
		w := call(t, newAPI(t, testConfig(), tc.log, nil), "GET", "/api/v1/ws/history"+tc.query, "", tc.header)
		p := decode[Problem](t, w)
		if w.Code != tc.status || tc.field != "" && (len(p.Errors) != 1 || p.Errors[0].Location != tc.field) {
			t.Errorf("%q: %d %s", tc.query, w.Code, w.Body)
		}
	}
}

func TestHistoryOff(t *testing.T) {
	cfg, l := testConfig(), withEntries(1)
	cfg.HistorySize = 0
	w := call(t, newAPI(t, cfg, l, nil), "GET", "/api/v1/ws/history?limit=5", "", "Authorization: Bearer "+token(t, "ada", false))
	if w.Body.String() != `{"events":[]}`+"\n" || len(l.asked) != 0 {
		t.Errorf("%d %s, asked %v", w.Code, w.Body, l.asked)
	}
}

// slowLog answers a history once it is let go.
type slowLog struct {
	*fakeLog
	asked chan struct{}
	let   chan struct{}
}

func (l *slowLog) ReadState(ctx context.Context, uid string) (wire.ReadState, error) {
	l.asked <- struct{}{}
	<-l.let
	return l.fakeLog.ReadState(ctx, uid)
}

// TestHistoriesAreBounded: histories that cannot be read in time do not pile up. The log
// says so of the request, as of every 503.
func TestHistoriesAreBounded(t *testing.T) {
	l := &slowLog{fakeLog: withEntries(5), asked: make(chan struct{}), let: make(chan struct{})}
	a := newAPI(t, testConfig(), l.fakeLog, nil)
	var said strings.Builder
	a.history, a.log = l, slog.New(slog.NewTextHandler(&said, nil))
	path := "/api/v1/ws/history?token=" + token(t, "ada", false)
	codes := make(chan int, maxReading)
	for range maxReading {
		go func() { codes <- call(t, a, "GET", path, "").Code }()
		<-l.asked
	}
	w := call(t, a, "GET", path, "")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more was answered %d %v, want 503 and when to come back", w.Code, w.Header())
	}
	if line := said.String(); !strings.Contains(line, "request_id="+w.Header().Get("X-Request-Id")) || !strings.Contains(line, "WARN") {
		t.Errorf("the log says %q of it", line)
	}
	close(l.let)
	for range maxReading {
		if code := <-codes; code != 200 {
			t.Errorf("a history that waited was answered %d", code)
		}
	}
	go func() { <-l.asked }()
	if w := call(t, a, "GET", path, ""); w.Code != 200 {
		t.Errorf("afterwards one was answered %d", w.Code)
	}
}
