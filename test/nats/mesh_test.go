package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/socialvibes/vibemesh/internal/app"
	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/config"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const secret = "a-secret-of-the-test"

var parts = map[string]config.Role{
	"edge": {Edge: true}, "api": {API: true}, "provision": {Provision: true}, "run": {Edge: true, API: true, Provision: true},
}

// settings are those of a process of the mesh, with the credentials of its role.
func settings(t *testing.T, dir, url, role string, args ...string) config.Config {
	t.Helper()
	var cfg config.Config
	parser, err := kong.New(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{
		"--ws-nats-url=" + url, "--ws-nats-creds=" + filepath.Join(dir, role+".creds"), "--ws-node=" + role, "--ws-auth=dev",
		"--ws-addr=127.0.0.1:0", "--ws-ops-addr=127.0.0.1:0", "--ws-publish-secret=" + secret,
	}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(parts[role]); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// start runs a part of the mesh until the test ends, and waits until it is ready.
func start(t *testing.T, dir, url, role string, args ...string) *app.App {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	a, err := app.Start(ctx, settings(t, dir, url, role, args...), parts[role], "test", slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Errorf("stopping %s: %v", role, err)
		}
	})
	if role != "provision" {
		eventually(t, role+" ready", func() bool { return a.Ready() == nil })
	}
	return a
}

// request asks the API with the shared secret; a body makes it a POST.
func request(t *testing.T, a *app.App, method, path, body string, want int) (answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.Addr().String()+"/api/v1/ws/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-SV-KEY", secret)
	return ask(t, req, want)
}

func ask(t *testing.T, req *http.Request, want int) (answer string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s %s: %d %s, %v", req.Method, req.URL, resp.StatusCode, text, err)
	}
	return string(text)
}

func token(t *testing.T, uid string) string {
	t.Helper()
	text, err := auth.MintDev(auth.DevClaims{UID: uid, ProjectID: auth.DevProject, TTL: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// person is somebody with a socket at an edge.
type person struct {
	t      *testing.T
	uid    string
	conn   *client.Conn
	cursor string
	event  string // the id of the last one
}

// dial opens a session, which may be refused at once.
func dial(t *testing.T, edge *app.App, token string) *person {
	t.Helper()
	return open(t, edge, client.Options{Token: token})
}

func open(t *testing.T, edge *app.App, opts client.Options) *person {
	t.Helper()
	opts.URL = "http://" + edge.Addr().String() + "/api/v1/ws?signals=1"
	c, err := client.Dial(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(wire.CloseNormal) })
	return &person{t: t, conn: c}
}

func signIn(t *testing.T, edge *app.App, uid, cursor string, topics ...string) *person {
	t.Helper()
	p := open(t, edge, client.Options{Token: token(t, uid), Topics: topics, Cursor: cursor})
	p.uid = uid
	p.wants(func(f wire.ServerFrame) bool { _, ok := f.(wire.Hello); return ok }, "hello")
	return p
}

// wants reads frames until one is as wanted.
func (p *person) wants(ok func(wire.ServerFrame) bool, what string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	for {
		f, err := p.conn.Next(ctx)
		if err != nil {
			p.t.Fatalf("%s waits for %s: %v", p.uid, what, err)
		}
		if c := client.CursorOf(f); c != "" {
			p.cursor = c
		}
		if e, ok := f.(wire.Event); ok {
			p.event = e.ID
		}
		if e, wrong := f.(wire.Error); wrong {
			p.t.Fatalf("%s waits for %s and gets %+v", p.uid, what, e)
		}
		if ok(f) {
			return
		}
	}
}

func (p *person) wantsTitle(title string) {
	p.t.Helper()
	p.wants(func(f wire.ServerFrame) bool {
		e, ok := f.(wire.Event)
		var toast struct{ Title string }
		return ok && json.Unmarshal(e.Payload, &toast) == nil && toast.Title == title
	}, "the toast "+title)
}

func (p *person) wantsSignal(name string) {
	p.t.Helper()
	p.wants(func(f wire.ServerFrame) bool {
		s, ok := f.(wire.Signal)
		return ok && s.Name == name
	}, "the signal "+name)
}

// ends waits until the session is closed with a code.
func (p *person) ends(code int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	for {
		_, err := p.conn.Next(ctx)
		if closed, ok := errors.AsType[*client.CloseError](err); ok && closed.Code == code {
			return
		}
		if err != nil {
			p.t.Fatalf("%s: ended with %v, want %d", p.uid, err, code)
		}
	}
}

func envelope(title string) []byte {
	return fmt.Appendf(nil, `{"type":"toast","payload":{"title":%q}}`, title)
}
