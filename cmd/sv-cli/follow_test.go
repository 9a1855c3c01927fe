package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	toast1 = `{"type":"toast","id":"0-a-1","cursor":"CURSOR","ts":1764000000000,"to":"broadcast",` +
		`"payload":{"title":"Hi <b>","teaser":"\u001b[2Jlook\nhere","action_url":"sv://x"}}`
	chat1 = `{"type":"chat","id":"0-a-2","cursor":"CURSOR","ts":1764000001000,"to":"topic:news","payload":{"text":"yo"}}`
	read1 = `{"type":"read","cursor":"CURSOR","up_to":["0-a-2"],"unread":["0-a-1"]}`
	gap1  = `{"type":"gap","reason":"limit","cursor":"CURSOR"}`
)

// edge upgrades every request and sends frames; then it waits, or closes with a code.
func edge(t *testing.T, code int, frames ...string) (url string, requests chan *http.Request) {
	t.Helper()
	requests = make(chan *http.Request, 16)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nc, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		requests <- r
		for _, f := range append([]string{`{"type":"hello","node":"n1","cursor":"CURSOR"}`}, frames...) {
			send(t, nc, ws.NewTextFrame([]byte(strings.ReplaceAll(f, "CURSOR", testCursor()))))
		}
		if code != 0 {
			send(t, nc, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), "")))
		}
		_, _ = io.Copy(io.Discard, nc) // until the client leaves
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

func testCursor() string { return wire.Cursor{{Life: 1764000000000, Seq: 7}}.String() }

func send(t *testing.T, nc net.Conn, f ws.Frame) {
	if err := ws.WriteFrame(nc, f); err != nil {
		t.Logf("edge: %v", err)
	}
}

func TestListenPrintsLines(t *testing.T) {
	url, requests := edge(t, 0, gap1, toast1, read1, chat1)
	got := sv(t, map[string]string{"SV_URL": url, "SV_TOKEN": "a.b."},
		"listen", "--count=2", "--topic=news", "--topic=b c", "--replay=3")
	want := result{
		0, "gap: older events are missing here (limit)\n" +
			"2025-11-24 16:00:00  broadcast  Hi <b> – ·[2Jlook here → sv://x  0-a-1\n" +
			"2025-11-24 16:00:01  topic:news  chat {\"text\":\"yo\"}  0-a-2\n",
		"connected to n1\nread on one of the devices: all up to 0-a-2, but not 0-a-1\n",
	}
	if got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	r := <-requests
	if r.URL.RawQuery != "replay=3&topics=news%2Cb+c" || r.Header.Get("Authorization") != "Bearer a.b." {
		t.Errorf("asked %s with %q", r.URL, r.Header.Get("Authorization"))
	}
}

func TestListenColours(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"terminal", map[string]string{"terminal": ""}, true},
		{"not a terminal", nil, false},
		{"NO_COLOR", map[string]string{"terminal": "", "NO_COLOR": "1"}, false},
		{"empty NO_COLOR", map[string]string{"terminal": "", "NO_COLOR": ""}, true},
		{"dumb", map[string]string{"terminal": "", "TERM": "dumb"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url, _ := edge(t, 0, toast1)
			got := sv(t, tc.env, "listen", "--user=alice", "--count=1", "--url", url)
			if has := strings.Contains(got.stdout, "\x1b["); has != tc.want || strings.Contains(got.stdout, "\x1b[2J") {
				t.Errorf("%q", got.stdout)
			}
		})
	}
}

func TestListenJSON(t *testing.T) {
	url, _ := edge(t, 0, toast1, gap1, read1, chat1)
	got := sv(t, nil, "listen", "--user=alice", "--count=2", "--json", "--url", url)
	want := strings.ReplaceAll(strings.Join([]string{toast1, gap1, read1, chat1, ""}, "\n"), "CURSOR", testCursor())
	if got.code != 0 || got.stdout != want {
		t.Errorf("got  %s\nwant %s", got.stdout, want)
	}
}

func TestListenKeepsTheCursor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cursor")
	for _, query := range []string{"", "cursor=" + testCursor()} {
		url, requests := edge(t, 0, toast1)
		got := sv(t, nil, "listen", "--user=alice", "--count=1", "--url", url, "--cursor-file", file)
		if r := <-requests; got.code != 0 || r.URL.RawQuery != query {
			t.Errorf("%+v, asked for %q, want %q", got, r.URL.RawQuery, query)
		}
		raw, err := os.ReadFile(file)
		if err != nil || string(raw) != testCursor()+"\n" {
			t.Errorf("the file holds %q, %v", raw, err)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := os.WriteFile(file, []byte("not a cursor"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := sv(t, nil, "listen", "--user=alice", "--cursor-file", file)
	if got.code != exitFailed || !strings.Contains(got.stderr, "does not hold a cursor; delete it") {
		t.Errorf("%+v", got)
	}
}

func TestListenEnds(t *testing.T) {
	t.Run("refused by a close code", func(t *testing.T) {
		url, _ := edge(t, wire.CloseDisconnected)
		got := sv(t, nil, "listen", "--user=alice", "--url", url)
		if got.code != exitRefused || !strings.Contains(got.stderr, "4403 an operator ended the session") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a token that does not count", func(t *testing.T) {
		url, _ := edge(t, wire.CloseToken)
		got := sv(t, nil, "listen", "--token=a.b.", "--url", url)
		if got.code != exitRefused || !strings.Contains(got.stderr, "another token is needed") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("refused by HTTP", func(t *testing.T) {
		a := newAPI(t, 403, "application/problem+json", `{"detail":"foreign origin"}`)
		got := sv(t, nil, "listen", "--user=alice", "--url", a.URL)
		if got.code != exitRefused || !strings.Contains(got.stderr, "403 Forbidden: foreign origin") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("full", func(t *testing.T) {
		a := newAPI(t, 503, "application/problem+json", `{"detail":"too many connections"}`)
		got := sv(t, nil, "listen", "--user=alice", "--url", a.URL, "--timeout=200ms")
		if got.code != exitUnreachable || !strings.Contains(got.stderr, "503 Service Unavailable: too many connections") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		a := newAPI(t, 200, "", "")
		a.Close()
		got := sv(t, nil, "listen", "--user=alice", "--url", a.URL, "--timeout=200ms")
		if got.code != exitUnreachable || !strings.Contains(got.stderr, "cannot reach "+a.URL) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		url, requests := edge(t, 0)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-requests; cancel() }()
		code := run(ctx, world{
			stdout: io.Discard, stderr: io.Discard, now: time.Now, zone: time.UTC,
			lookupEnv: func(string) (string, bool) { return "", false },
		}, []string{"listen", "--user=alice", "--url", url})
		if code != exitOK {
			t.Errorf("code %d", code)
		}
	})
}

func TestHistory(t *testing.T) {
	page := strings.ReplaceAll(`{"events":[`+chat1+","+toast1+`],"next":"0-a-1"}`, "CURSOR", testCursor())
	a := newAPI(t, 200, "application/json", page)
	env := map[string]string{"SV_URL": a.URL, "SV_TOKEN": "a.b."}
	got := sv(t, env, "history", "--limit=2", "--before=0-a-9")
	want := result{
		0, "2025-11-24 16:00:01  topic:news  chat {\"text\":\"yo\"}  0-a-2\n" +
			"2025-11-24 16:00:00  broadcast  Hi <b> – ·[2Jlook here → sv://x  0-a-1\n",
		"older ones: the same with --before 0-a-1\n",
	}
	if got != want || a.uri != "/api/v1/ws/history?before=0-a-9&limit=2" || a.header.Get("Authorization") != "Bearer a.b." {
		t.Errorf("got %+v of %s\nwant %+v", got, a.uri, want)
	}
	if got := sv(t, env, "history", "--json"); got.stdout != page+"\n" || got.stderr != "" || a.uri != "/api/v1/ws/history" {
		t.Errorf("%+v of %s", got, a.uri)
	}
}

func TestTokenIsOneADevServerTakes(t *testing.T) {
	var out strings.Builder
	code := run(t.Context(), world{
		stdout: &out, stderr: io.Discard, now: time.Now, zone: time.UTC,
		lookupEnv: func(string) (string, bool) { return "", false },
	}, []string{"token", "--user=alice", "--publisher", "--project=demo-x", "--ttl=5m", "--topic=club.7", "--topic=chess.*"})
	id, err := auth.NewDev("demo-x", "publisher").Verify(t.Context(), strings.TrimSuffix(out.String(), "\n"))
	if code != 0 || err != nil || id.UID != "alice" || !id.MayPublish {
		t.Errorf("code %d, %+v, %v", code, id, err)
	}
	var claims struct{ Topics []string }
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(out.String(), ".")[1])
	if err != nil || json.Unmarshal(raw, &claims) != nil || !slices.Equal(claims.Topics, []string{"club.7", "chess.*"}) {
		t.Errorf("topics %v, %v of %s", claims.Topics, err, raw)
	}
	if left := time.Until(id.Expires); left > 5*time.Minute || left < 4*time.Minute {
		t.Errorf("the token ends in %v", left)
	}
}
