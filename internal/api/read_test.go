package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// The fakeLog's read states: everybody's is the same one, and all entries are
// everybody's.
func (l *fakeLog) ReadState(context.Context, string) (wire.ReadState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read, l.failRead
}

func (l *fakeLog) Mark(ctx context.Context, uid string, c wire.Change) (wire.ReadState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > publishTimeout {
		return wire.ReadState{}, fmt.Errorf("no deadline of %v", publishTimeout)
	}
	l.changes = append(l.changes, c)
	if l.failRead != nil {
		return wire.ReadState{}, l.failRead
	}
	if c.Through != nil {
		c.UpTo = wire.Cursor{c.Through.Position}
	}
	if c.At == 0 {
		c.At = 1764000000000
	}
	l.read = l.read.Merge(c.State())
	return l.read, nil
}

func (l *fakeLog) Unread(_ context.Context, _ string, s wire.ReadState, _ wire.Cursor) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.entries {
		if !s.IsRead(l.entries[i].ID()) {
			n++
		}
	}
	return n, l.failUnread
}

func TestRead(t *testing.T) {
	l := withEntries(7)
	a := newAPI(t, testConfig(), l, nil)
	ada := "Authorization: Bearer " + token(t, "ada", false)
	for _, tc := range []struct{ body, want string }{
		{`{}`, `{"read":{},"unread":7}`},
		{`{"read":["0-midc1z40-7"]}`, `{"read":{"read":["0-midc1z40-7"]},"unread":6}`},
		{`{"up_to":"0-midc1z40-5"}`, `{"read":{"up_to":["0-midc1z40-5"],"read":["0-midc1z40-7"]},"unread":1}`},
		{`{"unread":["0-midc1z40-2"],"at":1764000000001,"all":false}`, `{"read":{"up_to":["0-midc1z40-5"],"read":["0-midc1z40-7"],"unread":["0-midc1z40-2"]},"unread":2}`},
	} {
		w := call(t, a, "POST", "/api/v1/ws/read", tc.body, ada)
		if w.Code != 200 || strings.TrimSpace(w.Body.String()) != tc.want {
			t.Errorf("%s: %d %s, want %s", tc.body, w.Code, w.Body, tc.want)
		}
	}
	call(t, a, "POST", "/api/v1/ws/read", `{"all":true,"at":5}`, ada)
	if diff := cmp.Diff(wire.Change{All: true, At: 5}, l.changes[len(l.changes)-1]); diff != "" {
		t.Error(diff)
	}

	w := call(t, a, "GET", "/api/v1/ws/history", "", ada)
	page := decode[HistoryPage](t, w)
	var read []bool
	for _, e := range page.Events {
		read = append(read, e.Read)
	}
	if fmt.Sprint(read) != "[true false true]" || page.Unread == nil || *page.Unread != 2 {
		t.Errorf("the history says %s", w.Body)
	}
	if w := call(t, a, "GET", "/api/v1/ws/history?before=0-midc1z40-4", "", ada); decode[HistoryPage](t, w).Unread != nil {
		t.Errorf("a later page counts, too: %s", w.Body)
	}
}

func TestReadRefused(t *testing.T) {
	ada := "Authorization: Bearer " + token(t, "ada", false)
	many := strings.Repeat(`,"0-midc1z40-7"`, wire.MaxReadIDs/2)[1:]
	for _, tc := range []struct {
		body, header string
		fail         error
		status       int
		fields       []string
	}{
		{`{}`, "", nil, 401, nil},
		{`{}`, withSecret, nil, 401, nil},
		{``, ada, nil, 400, nil},
		{`{"all":tru`, ada, nil, 400, nil},
		{`[]`, ada, nil, 422, []string{"body"}},
		{`{"all":null}`, ada, nil, 422, []string{"body.all"}},
		{
			`{"all":1,"up_to":"yesterday","read":["0-midc1z40-7",7],"unread":"0-midc1z40-7","at":-1,"upto":""}`, ada, nil, 422,
			[]string{"body.upto", "body.all", "body.up_to", "body.at", "body.read[1]", "body.unread"},
		},
		{`{"up_to":null,"at":1.5,"read":null}`, ada, nil, 422, []string{"body.up_to", "body.at", "body.read"}},
		{`{"read":[` + many + `],"unread":[` + many + `,"0-midc1z40-7"]}`, ada, nil, 422, []string{"body"}},
		{`{"read":["` + strings.Repeat("x", wire.MaxEnvelope) + `"]}`, ada, nil, 413, nil},
		{`{"up_to":"0-1-1"}`, ada, fmt.Errorf("mark: %w", wire.ErrForeignEvent), 422, []string{"body.up_to"}},
		{`{"all":true}`, ada, fmt.Errorf("mark: %w", wire.ErrUnavailable), 503, nil},
		{`{"all":true}`, ada, fmt.Errorf("odd"), 500, nil},
	} {
		l := withEntries(1)
		l.failRead = tc.fail
		w := call(t, newAPI(t, testConfig(), l, nil), "POST", "/api/v1/ws/read", tc.body, tc.header)
		p := decode[Problem](t, w)
		var fields []string
		for _, e := range p.Errors {
			fields = append(fields, e.Location)
		}
		if diff := cmp.Diff(tc.fields, fields); w.Code != tc.status || diff != "" {
			t.Errorf("%.80s: %d %.300s %s", tc.body, w.Code, w.Body, diff)
		}
		if tc.fail == nil && len(l.changes) > 0 {
			t.Errorf("%.80s: something was stored", tc.body)
		}
		if w.Code == 503 && w.Header().Get("Retry-After") == "" {
			t.Error("a 503 without Retry-After")
		}
	}
}

// A history whose read state cannot be told is not shown as if nothing was read.
func TestHistoryWithoutReadState(t *testing.T) {
	ada := "Authorization: Bearer " + token(t, "ada", false)
	for _, tc := range []struct {
		read, unread error
		query        string
		status       int
	}{
		{wire.ErrUnavailable, nil, "", 503},
		{nil, wire.ErrUnavailable, "", 503},
		{nil, wire.ErrUnavailable, "?before=0-midc1z40-1", 200},
	} {
		l := withEntries(1)
		l.failRead, l.failUnread = tc.read, tc.unread
		if w := call(t, newAPI(t, testConfig(), l, nil), "GET", "/api/v1/ws/history"+tc.query, "", ada); w.Code != tc.status {
			t.Errorf("%+v: %d %s", tc, w.Code, w.Body)
		}
	}
}

func TestHistoryEventHasAllOfItsFrame(t *testing.T) {
	e := wire.Entry{
		Position: wire.Position{Life: 7, Seq: 8}, Time: time.UnixMilli(9), Audience: wire.Broadcast(), Collapse: "k", Expires: time.UnixMilli(10),
		Envelope: wire.Envelope{Type: "toast", Payload: []byte(`{"title":"x"}`)},
	}
	var want, got map[string]any
	frame := wire.AppendEvent(nil, &e, wire.Cursor{e.Position})
	text, err := json.Marshal(historyEvent(&e, wire.ReadState{}))
	if err != nil || json.Unmarshal(frame, &want) != nil || json.Unmarshal(text, &got) != nil {
		t.Fatal(err)
	}
	delete(want, "cursor")
	want["read"] = false
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
