package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
)

func TestAllIsWell(t *testing.T) {
	f := newFake(t, nil)
	all := examine(t, f.URL, func(c *Config) { c.Idle = 1200 * time.Millisecond })
	only(t, all)
	for _, check := range []string{
		"url", "dns", "tcp", "http", "clock", "token", "upgrade header", "upgrade subprotocol", "upgrade query", "publish secret", "edges", "idle",
	} {
		expect(t, all, check, OK, "", "")
	}
	if n := len(all); n != 12 {
		t.Errorf("%d results", n)
	}
}

func TestURL(t *testing.T) {
	for _, u := range []string{"localhost:8080", "ws://127.0.0.1:8080", "http://"} {
		all := examine(t, u, nil)
		expect(t, all, "url", Fail, "is not a server's URL", "it looks like https://")
		expect(t, all, "upgrade", Skip, "", "")
		only(t, all, "url")
	}
	all := examine(t, "http://mesh.example.org", func(c *Config) {
		c.Resolve = func(context.Context, string) ([]string, error) { return nil, nil }
	})
	expect(t, all, "url", Warn, "without TLS", "use https://")
}

func TestNoName(t *testing.T) {
	missing := func(c *Config) {
		c.Resolve = func(_ context.Context, host string) ([]string, error) {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
	}
	all := examine(t, "https://mesh.example.org", missing)
	expect(t, all, "dns", Fail, "there is no host mesh.example.org", "typing mistake")
	expect(t, all, "token", OK, "", "") // it needs no server
	expect(t, all, "publish", Skip, "", "")
	only(t, all, "dns")
	all = examine(t, "https://mesh.example.org", func(c *Config) {
		c.Resolve = func(_ context.Context, host string) ([]string, error) {
			return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
		}
	})
	expect(t, all, "dns", Fail, "timeout", "/etc/resolv.conf")
}

func TestClosedPort(t *testing.T) {
	f := newFake(t, nil)
	f.Close()
	all := examine(t, f.URL, nil)
	expect(t, all, "tcp", Fail, "refuses connections", "listening on this port (WS_ADDR)")
	only(t, all, "tcp")
}

// One of several addresses is away: some clients find it, so it is a failure, and the rest
// is looked at all the same.
func TestOneAddressOfTwo(t *testing.T) {
	f := newFake(t, nil)
	u, _ := url.Parse(f.URL)
	all := examine(t, "http://localhost:"+u.Port(), func(c *Config) {
		c.Resolve = func(context.Context, string) ([]string, error) { return []string{"127.0.0.9", "127.0.0.1"}, nil }
	})
	expect(t, all, "dns", OK, "127.0.0.1, 127.0.0.9", "")
	expect(t, all, "tcp", OK, "127.0.0.1:"+u.Port(), "")
	expect(t, all, "tcp", Fail, "127.0.0.9:"+u.Port()+" refuses", "")
	expect(t, all, "http", OK, "", "")
	only(t, all, "tcp")
}

func TestHTTP(t *testing.T) {
	for _, tc := range []struct {
		name        string
		handle      http.HandlerFunc
		state       string
		text, fix   string
		alsoAffects string
	}{
		{"another service", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, Fail, "is not Vibemesh's", "base URL", ""},
		{"a redirect", http.RedirectHandler("https://elsewhere.example.org/", http.StatusMovedPermanently).ServeHTTP, Fail, "sends to https://elsewhere", "as --url", ""},
		{"an edge alone", http.NotFound, Warn, "no /openapi.json", "base URL", ""},
		{"a login page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, Fail, "asks who you are", "let the paths", ""},
		{"nobody behind the proxy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, Fail, "502 Bad Gateway", "readyz", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, nil)
			f.handle["/openapi.json"] = tc.handle
			all := examine(t, f.URL, nil)
			expect(t, all, "http", tc.state, tc.text, tc.fix)
			only(t, all, "http")
		})
	}
	t.Run("not HTTP at all", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(nc, "220 mail.example.org ESMTP\r\n")
				nc.Close()
			}
		}()
		all := examine(t, "http://"+l.Addr().String(), nil)
		expect(t, all, "http", Fail, "", "")
		expect(t, all, "upgrade header", Fail, "", "")
		expect(t, all, "publish secret", Fail, "", "")
		only(t, all, "http", "upgrade", "publish")
	})
}

func TestClock(t *testing.T) {
	for _, tc := range []struct {
		off         time.Duration
		state, text string
	}{
		{10 * time.Minute, Fail, "10m0s ahead of this machine's"},
		{-time.Hour, Fail, "1h0m0s behind this machine's"},
		{20 * time.Second, Warn, "ahead of this machine's"},
	} {
		f := newFake(t, nil)
		now := time.Now().Truncate(time.Second)
		f.date = now.Add(tc.off)
		all := examine(t, f.URL, func(c *Config) { c.Now = func() time.Time { return now.Add(500 * time.Millisecond) } })
		expect(t, all, "clock", tc.state, tc.text, "NTP")
		only(t, all, "clock")
	}
	f := newFake(t, nil)
	all := examine(t, f.URL, func(c *Config) { // this machine's is wrong: its tokens are judged by it, too
		c.Now = func() time.Time { return time.Now().Add(-3 * time.Hour) }
	})
	expect(t, all, "clock", Fail, "ahead of this machine's", "NTP")
	expect(t, all, "token", Fail, "issued in the future", "set this machine's clock")
	expect(t, all, "upgrade", Skip, "the token is wrong", "")
}

func TestToken(t *testing.T) {
	now := time.Now().Truncate(time.Second) // as tokens have it
	part := func(s string) string { return strings.TrimRight(encode(s), "=") }
	for _, tc := range []struct{ name, token, state, text, fix string }{
		{"an API key", "AIzaSyA-123", Fail, "is no JSON Web Token", "API key"},
		{"cut", token(t, auth.DevClaims{}, now)[:60], Fail, "is no JSON Web Token", "cut when it was copied"},
		{"ended", token(t, auth.DevClaims{TTL: time.Minute}, now.Add(-time.Hour)), Fail, "it ended 59m0s ago", "fresh ID token"},
		{"about to end", token(t, auth.DevClaims{TTL: time.Minute}, now), Warn, "for 1m0s more", "renew tokens"},
		{"of the future", token(t, auth.DevClaims{}, now.Add(time.Hour)), Fail, "issued in the future", "clock"},
		{"another project", token(t, auth.DevClaims{ProjectID: "demo-other"}, now), Fail, `of the Firebase project "demo-other", not of "demo-vibemesh"`, "FIREBASE_PROJECT_ID"},
		{"a custom token", "e30." + part(`{"iss":"x@y","aud":"`+customAud+`"}`) + ".", Fail, "custom token", "signInWithCustomToken"},
		{"of Google itself", "e30." + part(`{"iss":"https://accounts.google.com","aud":"1.apps.googleusercontent.com"}`) + ".", Fail, "not Firebase Authentication", "getIdToken"},
		{"of nobody", "e30." + part(`{"iss":"https://securetoken.google.com/demo-vibemesh","aud":"demo-vibemesh"}`) + ".", Fail, "names no user", ""},
		{"none", "", Skip, "none was given", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, nil)
			all := examine(t, f.URL, func(c *Config) {
				c.Token, c.Project = tc.token, auth.DevProject
				c.Now = func() time.Time { return now } // so that what is left is exact
			})
			expect(t, all, "token", tc.state, tc.text, tc.fix)
			switch tc.state {
			case Fail:
				expect(t, all, "upgrade", Skip, "the token is wrong", "")
			case Skip:
				expect(t, all, "upgrade", OK, "reaches an edge, which asks for a token", "")
			}
			only(t, all, "token")
			for _, r := range all {
				if len(tc.token) > 20 && strings.Contains(r.Text+r.Fix, tc.token) {
					t.Errorf("%s shows the token: %s", r.Check, r.Text)
				}
			}
		})
	}
}

// A token that only a server can refuse.
func TestRefusedToken(t *testing.T) {
	f := newFake(t, nil)
	all := examine(t, f.URL, func(c *Config) { c.Token = token(t, auth.DevClaims{ProjectID: "demo-other"}, time.Now()) })
	expect(t, all, "upgrade header", Fail, "4401", "FIREBASE_PROJECT_ID")
	expect(t, all, "upgrade query", Fail, "4401", "")
	only(t, all, "upgrade")
}

func TestPublish(t *testing.T) {
	f := newFake(t, nil)
	all := examine(t, f.URL, func(c *Config) { c.Secret = "another-secret-than-that" })
	expect(t, all, "publish secret", Fail, "401 Unauthorized: The secret is not one of this server's.", "WS_PUBLISH_SECRET")
	only(t, all, "publish")
	for _, r := range all {
		if strings.Contains(r.Text+r.Fix, "another-secret") {
			t.Errorf("%s shows the secret", r.Check)
		}
	}
	publisher := token(t, auth.DevClaims{Publisher: true}, time.Now())
	all = examine(t, f.URL, func(c *Config) { c.Secret, c.Token = "", publisher })
	expect(t, all, "publish token", OK, "it is right", "")
	all = examine(t, f.URL, func(c *Config) { c.Secret = "" })
	expect(t, all, "publish", Skip, "this token may not", "")
	only(t, all)

	older := newFake(t, nil)
	older.handle["/api/v1/ws/status"] = func(w http.ResponseWriter, _ *http.Request) { problem(w, http.StatusNotFound, "") }
	older.handle["/api/v1/ws/schedule/doctor"] = func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "Nothing waits under this id.")
	}
	expect(t, examine(t, older.URL, nil), "publish secret", OK, "a schedule that there is not", "")

	away := newFake(t, nil)
	away.handle["/api/v1/ws/status"] = func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusServiceUnavailable, "The edges are out of reach.")
	}
	expect(t, examine(t, away.URL, nil), "publish secret", Fail, "503", "cannot reach NATS")
}

func TestEdges(t *testing.T) {
	for _, tc := range []struct{ status, state, text, fix string }{
		{`{"complete":true,"log":{},"edges":[]}`, Warn, "no edge answers", "WS_SUBJECT_PREFIX"},
		{strings.Replace(wellStatus, `"edge-1","version":"1.0.0"`, `"edge-1","version":"1.1.0"`, 1), Warn, "different versions: 1.0.0, 1.1.0", "roll-out"},
		{strings.Replace(wellStatus, `"edge-1",`, `"edge-1","draining":true,`, 1), Warn, "edge-1 drain", ""},
		{strings.Replace(wellStatus, `"edge-1",`, `"edge-1","lag":5000,`, 1), Warn, "edge-1 are behind", "vibemesh_tail_lag_messages"},
		{strings.Replace(wellStatus, `"complete":true`, `"complete":false`, 1), Warn, "not every edge has answered", "killed"},
		{strings.Replace(wellStatus, `"log":{"partitions":1}`, `"log":null`, 1), Fail, "the log is out of reach", "JetStream"},
		{`<html>`, Fail, "cannot be read", "as new as"},
	} {
		f := newFake(t, nil)
		f.status = tc.status
		all := examine(t, f.URL, nil)
		expect(t, all, "edges", tc.state, tc.text, tc.fix)
		only(t, all, "edges")
	}
	f, asked := newFake(t, nil), 0
	f.handle["/api/v1/ws/status"] = func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = io.WriteString(w, strings.Replace(wellStatus, `"complete":true`, fmt.Sprintf(`"complete":%v`, asked > 1), 1))
	}
	all := examine(t, f.URL, nil) // an API that has just been started
	expect(t, all, "edges", OK, "2 of them, all of version 1.0.0", "")
	only(t, all)
}

// TestStrippedUpgrade has a real reverse proxy before the server that passes no Upgrade on.
func TestStrippedUpgrade(t *testing.T) {
	f := newFake(t, nil)
	target, _ := url.Parse(f.URL)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
	}}
	s := httptest.NewServer(proxy)
	defer s.Close()
	all := examine(t, s.URL, nil)
	expect(t, all, "upgrade header", Fail, "426 Upgrade Required", "proxy_set_header Upgrade")
	expect(t, all, "publish secret", OK, "", "")
	only(t, all, "upgrade")
}

// TestStrippedAuthorization has one that keeps the token for itself: the other ways work.
func TestStrippedAuthorization(t *testing.T) {
	f := newFake(t, nil)
	f.handle["/api/v1/ws"] = func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Authorization")
		f.session(w, r)
	}
	all := examine(t, f.URL, nil)
	expect(t, all, "upgrade header", Warn, "4401", "have it pass Authorization")
	expect(t, all, "upgrade query", OK, "", "")
	only(t, all, "upgrade")
}

func TestUpgradeRefused(t *testing.T) {
	for status, fix := range map[int]string{
		http.StatusNotFound: "send the path /api/v1/ws to the edges", http.StatusForbidden: "WS_ALLOWED_ORIGINS",
		http.StatusTooManyRequests: "WS_ADDRESS_RATE", http.StatusBadGateway: "no edge behind it",
		http.StatusServiceUnavailable: "WS_CONNECTION_THRESHOLD", http.StatusOK: "strips the headers", http.StatusFound: "follow no redirect",
		http.StatusBadRequest: "does not arrive as it was sent", http.StatusTeapot: "look at the logs",
	} {
		f := newFake(t, nil)
		f.handle["/api/v1/ws"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
		all := examine(t, f.URL, nil)
		expect(t, all, "upgrade header", Fail, http.StatusText(status), fix)
		only(t, all, "upgrade")
	}
}

func TestIdle(t *testing.T) {
	f := newFake(t, nil)
	f.cutOff = time.Second // a proxy, which ends what is silent
	all := examine(t, f.URL, func(c *Config) { c.Idle = 20 * time.Second })
	expect(t, all, "idle", Fail, "the session ended after", "idle timeout")
	only(t, all, "idle")
	f = newFake(t, nil)
	all = examine(t, f.URL, func(c *Config) { c.Idle = 100 * time.Millisecond })
	expect(t, all, "idle", Warn, "pings after 1s only", "--idle 1.25s")
	all = examine(t, f.URL, func(c *Config) { c.Idle, c.Token = time.Second, "" })
	expect(t, all, "idle", Skip, "no session", "")
}
