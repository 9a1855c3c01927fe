package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/wire"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLog is a log in memory: it feeds an edge's tail and answers as History,
// with the same promises as the real one.
type fakeLog struct {
	mu      sync.Mutex
	life    uint64
	first   uint64
	entries []wire.Entry // entries[i].Seq == i+1
	fail    error        // of the next reads
	pages   int

	beforePage atomic.Pointer[func(wire.PageRequest)] // called without the lock
}

func (f *fakeLog) add(a wire.Audience, title string) *wire.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	payload, err := json.Marshal(map[string]string{"title": title})
	if err != nil {
		panic(err)
	}
	f.entries = append(f.entries, wire.Entry{
		Position: wire.Position{Life: f.life, Seq: uint64(len(f.entries) + 1)}, Time: time.Now(), Audience: a,
		Envelope: wire.Envelope{Type: "toast", Payload: payload},
	})
	return &f.entries[len(f.entries)-1]
}

func (f *fakeLog) state() wire.LogState {
	return wire.LogState{Life: f.life, First: max(f.first, 1), Last: uint64(len(f.entries))}
}

func (f *fakeLog) State(context.Context) ([]wire.LogState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []wire.LogState{f.state()}, f.fail
}

func (f *fakeLog) Page(_ context.Context, req wire.PageRequest) (wire.Page, error) {
	if hook := f.beforePage.Load(); hook != nil {
		(*hook)(req)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages++
	p := wire.Page{Through: req.UpTo, State: []wire.LogState{f.state()}}
	bytes := 0
	for _, e := range f.entries {
		if e.Seq <= req.After[0] || e.Seq < f.first || e.Seq > req.UpTo[0] || !slices.Contains(req.Audiences, e.Audience) {
			continue
		}
		if len(p.Entries) == req.Limit || bytes > req.MaxBytes {
			p.Through = wire.Vector{e.Seq - 1}
			break
		}
		bytes += len(e.Payload)
		p.Entries = append(p.Entries, e)
	}
	return p, f.fail
}

func (f *fakeLog) NewestUpTo(_ context.Context, audiences []wire.Audience, upTo wire.Cursor, limit int) ([]wire.Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []wire.Entry
	for i := len(f.entries) - 1; i >= 0 && len(found) < limit; i-- {
		e := f.entries[i]
		if e.Seq >= f.first && e.Seq <= upTo[0].Seq && slices.Contains(audiences, e.Audience) {
			found = append(found, e)
		}
	}
	return found, f.fail
}

// VerifyNow answers for names whose length is even, so that both ways to set a
// session up are taken.
func (k tokens) VerifyNow(token string) (auth.Identity, error) {
	if len(token)%2 != 0 {
		return auth.Identity{}, auth.ErrWait
	}
	return k.Verify(context.Background(), token)
}

// tokens takes "name", "name@<time until its end>", "name~<time since it was issued>" or
// "name#<topics>" as a token.
type tokens struct{}

func (tokens) Verify(_ context.Context, token string) (auth.Identity, error) {
	token, topics, _ := strings.Cut(token, "#")
	token, age, _ := strings.Cut(token, "~")
	name, expires, dated := strings.Cut(token, "@")
	issued := time.Now()
	if d, err := time.ParseDuration(age); err == nil {
		issued = issued.Add(-d)
	}
	id := auth.Identity{UID: name, IssuedAt: issued, Expires: time.Now().Add(time.Hour)}
	if topics != "" {
		id.Topics = auth.NewTopics(strings.Split(topics, ",")...)
	}
	switch {
	case token == "" || strings.HasPrefix(token, "bad"):
		return id, fmt.Errorf("%w: it is bad", auth.ErrToken)
	case token == "down":
		return id, auth.ErrUnavailable
	case dated:
		d, err := time.ParseDuration(expires)
		if err != nil {
			return id, err
		}
		id.Expires = time.Now().Add(d)
	}
	return id, nil
}

// mesh is an edge with its log.
type mesh struct {
	t    *testing.T
	log  *fakeLog
	edge *edge.Edge
	addr string
	url  string
}

// startEdge runs an edge over a log until the test ends.
func startEdge(t *testing.T, log *fakeLog, cfg edge.Config) *mesh {
	t.Helper()
	if cfg.Node == "" {
		cfg.Node = "test"
	}
	e, err := edge.New(cfg, tokens{}, log, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := netloop.Listen(ctx, "127.0.0.1:0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/ws" && r.Header.Get("Upgrade") != "" {
			e.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
	})}
	httpLn := e.HTTP(net.TCPAddrFromAddrPort(ln.Addr))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Serve(ctx, ln); err != nil {
			t.Error("Serve:", err)
		}
	})
	wg.Go(func() { srv.Serve(httpLn) })
	t.Cleanup(func() {
		srv.Close()
		cancel()
		wg.Wait()
		ln.Close()
	})
	return &mesh{t: t, log: log, edge: e, addr: ln.Addr.String(), url: "http://" + ln.Addr.String()}
}

// newMesh is an edge that follows an empty log from its beginning.
func newMesh(t *testing.T, cfg edge.Config) *mesh {
	t.Helper()
	m := startEdge(t, &fakeLog{life: 7}, cfg)
	m.edge.Begin([]uint64{7}, wire.Vector{0})
	return m
}

// publish stores a message and lets the tail take it in.
func (m *mesh) publish(a wire.Audience, title string) wire.Entry {
	e := m.log.add(a, title)
	m.edge.Append(e)
	return *e
}

func (m *mesh) ctx() context.Context {
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	m.t.Cleanup(cancel)
	return ctx
}

// peer is a signed-in client.
type peer struct {
	*client.Conn
	m     *mesh
	hello wire.Hello
}

// connect signs in and reads hello.
func (m *mesh) connect(opts client.Options) *peer {
	m.t.Helper()
	p := m.dial(opts)
	f := p.next()
	hello, ok := f.(wire.Hello)
	if !ok {
		m.t.Fatalf("the first frame is %+v, want hello", f)
	}
	p.hello = hello
	return p
}

func (m *mesh) dial(opts client.Options) *peer {
	m.t.Helper()
	opts.URL = m.url
	if opts.Token == "" {
		opts.Token = "alice"
	}
	c, err := client.Dial(m.ctx(), opts)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close(wire.CloseNormal) })
	return &peer{Conn: c, m: m}
}

func (p *peer) next() wire.ServerFrame {
	p.m.t.Helper()
	f, err := p.Next(p.m.ctx())
	if err != nil {
		p.m.t.Fatal(err)
	}
	return f
}

func titleOf(t *testing.T, f wire.ServerFrame) string {
	t.Helper()
	e, ok := f.(wire.Event)
	if !ok {
		t.Fatalf("got %+v, want an event", f)
	}
	var toast struct{ Title string }
	if err := json.Unmarshal(e.Payload, &toast); err != nil {
		t.Fatal(err)
	}
	return toast.Title
}

// wants reads events and compares their titles.
func (p *peer) wants(titles ...string) {
	p.m.t.Helper()
	for _, want := range titles {
		if got := titleOf(p.m.t, p.next()); got != want {
			p.m.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// quiet checks that nothing else is on its way: the answer to a ping comes first.
func (p *peer) quiet() wire.Pong {
	p.m.t.Helper()
	if err := p.Send(p.m.ctx(), wire.ClientFrame{Type: wire.FramePing}); err != nil {
		p.m.t.Fatal(err)
	}
	f := p.next()
	pong, ok := f.(wire.Pong)
	if !ok {
		p.m.t.Fatalf("got %+v, want nothing but the pong", f)
	}
	return pong
}

// closes reads until the session ends and compares the close code.
func (p *peer) closes(code int) {
	p.m.t.Helper()
	for {
		_, err := p.Next(p.m.ctx())
		if err == nil {
			continue
		}
		if ce, ok := asClose(err); !ok || ce.Code != code {
			p.m.t.Fatalf("ended with %v, want close code %d", err, code)
		}
		return
	}
}

func asClose(err error) (*client.CloseError, bool) {
	ce, ok := err.(*client.CloseError) //nolint:errorlint // Next returns it as it is
	return ce, ok
}

func cursorText(life, seq uint64) string { return wire.Cursor{{Life: life, Seq: seq}}.String() }
