package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/schema"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const testSecret = "correct horse battery staple"

// fakeLog is a Publisher that deduplicates by MsgID, and a History.
type fakeLog struct {
	mu      sync.Mutex
	stored  []wire.Message
	byID    map[string]wire.Receipt
	entries []wire.Entry // newest first
	asked   [][]wire.Audience
	fail    error
	panics  bool

	read                 wire.ReadState // see read_test.go
	changes              []wire.Change
	failRead, failUnread error
}

func (l *fakeLog) Publish(ctx context.Context, msgs []wire.Message) ([]wire.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.panics {
		panic("a secret inside")
	}
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > publishTimeout {
		return nil, fmt.Errorf("no deadline of %v", publishTimeout)
	}
	if l.fail != nil {
		return nil, l.fail
	}
	var receipts []wire.Receipt
	for _, m := range msgs {
		if r, ok := l.byID[m.MsgID]; ok && m.MsgID != "" {
			r.Duplicate = true
			receipts = append(receipts, r)
			continue
		}
		l.stored = append(l.stored, m)
		subject, err := wire.Subjects{}.Of(m.Audience)
		if err != nil {
			return nil, err
		}
		r := wire.Receipt{ID: wire.EventID{Position: wire.Position{Life: 1764000000000, Seq: uint64(len(l.stored))}}, Subject: subject}
		l.byID[m.MsgID] = r
		receipts = append(receipts, r)
	}
	return receipts, nil
}

func (l *fakeLog) Newest(_ context.Context, audiences []wire.Audience, before *wire.EventID, limit int) ([]wire.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, audiences)
	if l.fail != nil {
		return nil, l.fail
	}
	var page []wire.Entry
	for _, e := range l.entries {
		if (before == nil || e.Seq < before.Seq) && len(page) < limit {
			page = append(page, e)
		}
	}
	return page, nil
}

func newFakeLog() *fakeLog { return &fakeLog{byID: make(map[string]wire.Receipt)} }

func newAPI(t *testing.T, cfg Config, l *fakeLog, v auth.Verifier) *API {
	t.Helper()
	schemas, err := schema.New()
	if err != nil {
		t.Fatal(err)
	}
	if v == nil {
		v = auth.NewDev(auth.DevProject, "publisher")
	}
	a, err := New(cfg, v, l, l, schemas, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func testConfig() Config {
	return Config{Secrets: []string{"an older secret", testSecret}, HistorySize: 3, Version: "1.2.3"}
}

func token(t *testing.T, uid string, publisher bool) string {
	t.Helper()
	text, err := auth.MintDev(auth.DevClaims{UID: uid, ProjectID: auth.DevProject, Publisher: publisher, TTL: time.Hour, PublishClaim: "publisher"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// call makes a request; headers are "Name: value" lines.
func call(t *testing.T, h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const withSecret = "X-SV-KEY: " + testSecret

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("status %d, body %q: %v", w.Code, w.Body, err)
	}
	return v
}

// indent is a problem document as the golden files have it.
func indent(t *testing.T, r io.Reader) string {
	t.Helper()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(raw), "", "  "); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return out.String() + "\n"
}
