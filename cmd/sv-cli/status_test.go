package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const mesh1 = `{"version":"v1.2.0","node":"api-0","complete":true,"edges":[` +
	`{"node":"edge-0","version":"v1.2.0","started":"2025-11-23T12:00:00Z","sessions":12345,"caught_up":true,"lag":0,"ring_bytes":1258291,"ring_span_seconds":754,"delivered":9910000},` +
	`{"node":"edge-1","version":"v1.1.0","started":"2025-11-24T15:59:30Z","sessions":7,"caught_up":true,"lag":3,"ring_bytes":512,"ring_span_seconds":2.5,"delivered":10},` +
	`{"node":"edge-2","version":"v1.2.0","started":"2025-11-24T15:00:00Z","sessions":0,"draining":true,"caught_up":true,"ring_bytes":0,"delivered":0},` +
	`{"node":"edge-3","version":"v1.2.0","started":"2025-11-24T15:00:00Z","sessions":1,"caught_up":true,"lag":20000,"ring_bytes":0,"delivered":0},` +
	`{"node":"edge-4","version":"v1.2.0","started":"2025-11-24T15:59:59Z","sessions":0,"caught_up":false,"ring_bytes":0,"delivered":0}],` +
	`"log":{"partitions":2,"messages":1000000,"bytes":5368709120,"last_sequence":1234567,"oldest":"2025-11-21T12:00:00Z"}}`

const table1 = `5 edges, 12 353 sessions; answered by api-0 v1.2.0
EDGE    STATE          VERSION    UP  SESSIONS     LAG     RING    SPAN  DELIVERED
edge-0  ok             v1.2.0   1d4h    12 345       0  1.2 MiB  12m34s  9 910 000
edge-1  other version  v1.1.0    30s         7       3    512 B      2s         10
edge-2  draining       v1.2.0   1h0m         0       0      0 B      0s          0
edge-3  lags           v1.2.0   1h0m         1  20 000      0 B      0s          0
edge-4  catching up    v1.2.0     1s         0       0      0 B      0s          0
log: 2 partitions, 1 000 000 messages, 5.0 GiB, last 1 234 567, oldest 3d4h ago
`

func TestStatus(t *testing.T) {
	a := newAPI(t, 200, "application/json", mesh1)
	env := map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}
	got := sv(t, env, "status")
	if got != (result{0, table1, ""}) || a.uri != "/api/v1/ws/status" || a.header.Get("X-SV-KEY") != "s" {
		t.Errorf("%d %s of %s:\n%s\nwant\n%s", got.code, got.stderr, a.uri, got.stdout, table1)
	}
	if got := sv(t, env, "status", "--json"); got != (result{0, mesh1 + "\n", ""}) {
		t.Errorf("%+v", got)
	}
	env["terminal"] = ""
	got = sv(t, env, "status")
	for _, want := range []string{"\x1b[32mok", "\x1b[33mv1.1.0", "\x1b[31m20 000", "\x1b[33mdraining"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("on a terminal it has no %q: %q", want, got.stdout)
		}
	}
	env["NO_COLOR"] = "1"
	if got := sv(t, env, "status"); got.stdout != table1 {
		t.Errorf("with NO_COLOR: %q", got.stdout)
	}
}

func TestStatusIncomplete(t *testing.T) {
	for _, tc := range []struct{ answer, want string }{
		{`{"version":"v1","node":"a","complete":false,"edges":[],"log":{"partitions":1}}`, "not every edge has answered in time: there may be more"},
		{`{"version":"v1","node":"a","complete":false,"edges":[],"log":null}`, "log: out of reach"},
	} {
		a := newAPI(t, 200, "application/json", tc.answer)
		got := sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, "status")
		if got.code != exitIncomplete || !strings.Contains(got.stdout, tc.want) {
			t.Errorf("%+v", got)
		}
	}
	a := newAPI(t, 200, "application/json", `{}`)
	if got := sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, "status"); got.code != exitFailed || !strings.Contains(got.stderr, "is not a status") {
		t.Errorf("%+v", got)
	}
	for _, args := range []string{"status --interval=1ms", "status --count=-1"} {
		if got := sv(t, map[string]string{"SV_SECRET": "s"}, strings.Fields(args)...); got.code != exitUsage {
			t.Errorf("%s: %+v", args, got)
		}
	}
}

// script answers each request with the next of several answers, and the last again.
type script struct {
	*httptest.Server
	mu    sync.Mutex
	left  []string // "503 …" is a refusal
	asked int
}

func newScript(t *testing.T, answers ...string) *script {
	t.Helper()
	s := &script{left: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		text := s.left[0]
		if len(s.left) > 1 {
			s.left = s.left[1:]
		}
		s.asked++
		var status int
		if _, err := fmt.Sscanf(text, "%d ", &status); err == nil {
			w.WriteHeader(status)
			text = fmt.Sprintf(`{"title":"T","detail":%q}`, text[4:])
		}
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

// edgeLine is an edge of a status.
func edgeLine(node string, sessions, delivered int) string {
	return fmt.Sprintf(`{"node":%q,"version":"v1","started":"2025-11-24T15:00:00Z","sessions":%d,"caught_up":true,"delivered":%d}`, node, sessions, delivered)
}

func statusOf(edges ...string) string {
	return `{"version":"v1","node":"api","complete":true,"log":{"partitions":1},"edges":[` + strings.Join(edges, ",") + `]}`
}

// watched runs a watch whose clock goes on by a second with each answer.
func watched(t *testing.T, url string, scr screen, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	now := time.Unix(1764000000, 0)
	w := world{
		stdout: &out, stderr: &errs, zone: time.UTC, terminal: scr != nil,
		now:       func() time.Time { now = now.Add(time.Second); return now },
		lookupEnv: func(string) (string, bool) { return "", false },
	}
	if scr != nil {
		w.openScreen = func() (screen, error) { return scr, nil }
	}
	code := run(ctx, w, append([]string{"status", "--watch", "--interval=100ms", "--secret=s", "--url", url}, args...))
	return result{code, out.String(), errs.String()}
}

func TestWatchWithoutTerminal(t *testing.T) {
	s := newScript(t, statusOf(edgeLine("e0", 10, 1000), edgeLine("e1", 5, 0)), statusOf(edgeLine("e0", 4, 2500)),
		"503 out of reach", statusOf(edgeLine("e0", 4, 2500), edgeLine("e1", 0, 0)))
	got := watched(t, s.URL, nil, "--count=4")
	want := `2025-11-24 16:00:01  2 edges, 15 sessions; answered by api v1
EDGE  STATE  VERSION    UP  SESSIONS  ±/S  LAG  RING  SPAN  DELIVERED  EVENTS/S
e0    ok     v1       1h0m        10    -    0   0 B    0s      1 000         -
e1    ok     v1       1h0m         5    -    0   0 B    0s          0         -
log: 1 partition, 0 messages, 0 B, last 0

2025-11-24 16:00:02  1 edge, 4 sessions; answered by api v1
EDGE  STATE  VERSION    UP  SESSIONS   ±/S  LAG  RING  SPAN  DELIVERED  EVENTS/S
e1    gone   v1
e0    ok     v1       1h0m         4  -6.0    0   0 B    0s      2 500     1 500
log: 1 partition, 0 messages, 0 B, last 0

2025-11-24 16:00:03  2 edges, 4 sessions; answered by api v1
EDGE  STATE  VERSION    UP  SESSIONS   ±/S  LAG  RING  SPAN  DELIVERED  EVENTS/S
e0    ok     v1       1h0m         4     0    0   0 B    0s      2 500         0
e1    ok     v1       1h0m         0  -2.5    0   0 B    0s          0         0
log: 1 partition, 0 messages, 0 B, last 0

`
	if got.code != 0 || got.stdout != want || !strings.Contains(got.stderr, "503") {
		t.Errorf("%d, %s\n%s\nwant\n%s", got.code, got.stderr, got.stdout, want)
	}
	s = newScript(t, statusOf(), statusOf())
	if got := watched(t, s.URL, nil, "--count=2", "--json"); got.code != 0 || got.stdout != statusOf()+"\n"+statusOf()+"\n" {
		t.Errorf("%+v", got)
	}
}

func TestWatchEnds(t *testing.T) {
	s := newScript(t, statusOf(), "429 too many", "401 another secret")
	if got := watched(t, s.URL, nil); got.code != exitRefused || !strings.Contains(got.stderr, "429") || !strings.Contains(got.stderr, "another secret") {
		t.Errorf("%+v", got)
	}
	s = newScript(t, "503 out of reach") // at first: it is said, and not waited for
	if got := watched(t, s.URL, &fakeScreen{}); got.code != exitUnreachable || got.stdout != "" {
		t.Errorf("%+v", got)
	}
}

// fakeScreen is a terminal of some size whose keys a test presses.
type fakeScreen struct {
	width, height int
	pressed       chan byte
	changed       chan struct{}
	restored      int
}

func (f *fakeScreen) size() (width, height int) { return f.width, f.height }
func (f *fakeScreen) keys() <-chan byte         { return f.pressed }
func (f *fakeScreen) resized() <-chan struct{}  { return f.changed }
func (f *fakeScreen) restore()                  { f.restored++ }

func TestWatchScreen(t *testing.T) {
	s := newScript(t, mesh1)
	scr := &fakeScreen{width: 60, height: 7}
	got := watched(t, s.URL, scr, "--count=1")
	frame := strings.TrimPrefix(got.stdout, cursorHome)
	lines := strings.Split(strings.TrimSuffix(frame, clearBelow), clearLine+"\r\n")
	if got.code != 0 || scr.restored != 1 || len(lines) != 7 || strings.Count(got.stdout, cursorHome) != 1 {
		t.Fatalf("%d, %d lines, restored %d times: %q", got.code, len(lines), scr.restored, got.stdout)
	}
	for _, l := range lines {
		if n := len([]rune(withoutColour(strings.TrimSuffix(l, clearLine)))); n > 60 {
			t.Errorf("%d characters: %q", n, l)
		}
	}
	// Who is in trouble comes first, and who has no room is counted.
	for i, want := range []string{"5 edges", "EDGE", "edge-1", "edge-2", "… and 3 more", "log:", "2025-11-24 16:00:01"} {
		if !strings.HasPrefix(withoutColour(lines[i]), want) {
			t.Errorf("line %d is %q, not %q", i, lines[i], want)
		}
	}
}

func withoutColour(s string) string {
	for {
		from := strings.Index(s, "\x1b[")
		if from < 0 {
			return s
		}
		to := strings.IndexAny(s[from+2:], "mKJH")
		s = s[:from] + s[from+2+to+1:]
	}
}

func TestWatchKeys(t *testing.T) {
	for _, key := range []byte{'q', 'Q', ctrlC, ctrlD} {
		s := newScript(t, statusOf(edgeLine("e0", 1, 1)))
		scr := &fakeScreen{width: 80, height: 24, pressed: make(chan byte, 2), changed: make(chan struct{})}
		scr.pressed <- 'x' // which means nothing
		scr.pressed <- key
		if got := watched(t, s.URL, scr, "--interval=1h"); got.code != 0 || scr.restored != 1 || s.asked != 1 {
			t.Errorf("%q: %+v, restored %d times, asked %d", key, got, scr.restored, s.asked)
		}
	}
}

// A terminal of hardly any room is no reason to end.
func TestWatchTinyScreens(t *testing.T) {
	for height := 1; height <= 12; height++ {
		for _, width := range []int{1, 5, 200} {
			s := newScript(t, mesh1)
			got := watched(t, s.URL, &fakeScreen{width: width, height: height}, "--count=1")
			if n := strings.Count(got.stdout, "\r\n") + 1; got.code != 0 || n > height {
				t.Errorf("%d lines on %d×%d: %+v", n, width, height, got)
			}
		}
	}
}

// TestStatusHostileCertificate: its names are in the error, and control no terminal.
func TestStatusHostileCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a\x1b]0;title\x07b"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	got := sv(t, map[string]string{"SV_URL": "https://localhost:" + port, "SV_SECRET": "s"}, "status")
	if got.code != exitUnreachable || !strings.Contains(got.stderr, "title") || strings.ContainsAny(got.stderr, "\x1b\x07") {
		t.Errorf("%+v", got)
	}
}
