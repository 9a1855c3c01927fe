package edge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// fakeSignals brings what clients send straight back to an edge, and counts who wants
// what.
type fakeSignals struct {
	mu     sync.Mutex
	edge   atomic.Pointer[edge.Edge] // its loops run before the test has it
	wanted map[wire.Audience]int
}

func (f *fakeSignals) Want(a wire.Audience)   { f.add(a, 1) }
func (f *fakeSignals) Unwant(a wire.Audience) { f.add(a, -1) }

func (f *fakeSignals) add(a wire.Audience, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted[a] += n; f.wanted[a] == 0 {
		delete(f.wanted, a)
	}
}

func (f *fakeSignals) count(a wire.Audience) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted[a]
}

func (f *fakeSignals) Signal(to wire.Audience, from, session string, env wire.Envelope) {
	f.edge.Load().Signal(to, from, session, env)
}

func newSignals(t *testing.T) (*fakeSignals, *mesh) {
	f := &fakeSignals{wanted: map[wire.Audience]int{}}
	m := newMesh(t, edge.Config{Signals: f, Loops: 2})
	f.edge.Store(m.edge)
	return f, m
}

// wanting connects a session that wants signals.
func (m *mesh) wanting(token string, topics ...string) *peer {
	m.t.Helper()
	return m.connectQuery("signals=1", client.Options{Token: token, Topics: topics})
}

// connectQuery connects with further parameters.
func (m *mesh) connectQuery(query string, opts client.Options) *peer {
	m.t.Helper()
	base := m.url
	m.url += "/api/v1/ws?" + query
	defer func() { m.url = base }()
	return m.connect(opts)
}

func (p *peer) send(f wire.ClientFrame) {
	p.m.t.Helper()
	if err := p.Send(p.m.ctx(), f); err != nil {
		p.m.t.Fatal(err)
	}
}

func (p *peer) wantsSignal(want wire.Signal) {
	p.m.t.Helper()
	got, ok := p.next().(wire.Signal)
	got.Type = ""
	if !ok || fmt.Sprint(got) != fmt.Sprint(want) {
		p.m.t.Fatalf("got %+v, want %+v", got, want)
	}
}

func (p *peer) wantsError(code string) wire.Error {
	p.m.t.Helper()
	f, ok := p.next().(wire.Error)
	if !ok || f.Code != code {
		p.m.t.Fatalf("got %+v, want the error %s", f, code)
	}
	return f
}

func (p *peer) wantsTopics(topics ...string) {
	p.m.t.Helper()
	f, ok := p.next().(wire.Subscribed)
	slices.Sort(f.Topics)
	if !ok || !slices.Equal(f.Topics, topics) {
		p.m.t.Fatalf("got %+v, want subscribed to %v", f, topics)
	}
}

func typing(topic string) wire.ClientFrame {
	return wire.ClientFrame{Type: wire.FrameSignal, Topic: topic, Name: "typing", Payload: json.RawMessage(`{"on":true}`)}
}

func TestSignals(t *testing.T) {
	f, m := newSignals(t)
	quiet := m.connect(client.Options{Token: "alice", Topics: []string{"chess"}}) // asks for none
	alice, other := m.wanting("alice", "chess"), m.wanting("alice", "chess")
	bob := m.wanting("bob")
	payload := wire.Envelope{Type: "typing", Payload: []byte(`{"on":true}`)}

	m.edge.Signal(wire.User("alice"), "", "", payload)
	m.edge.Signal(wire.Broadcast(), "", "", payload)
	m.edge.Signal(wire.Topic("chess"), "bob", "", payload)
	for _, p := range []*peer{alice, other} {
		p.wantsSignal(wire.Signal{Name: "typing", To: "user", Payload: payload.Payload})
		p.wantsSignal(wire.Signal{Name: "typing", To: "broadcast", Payload: payload.Payload})
		p.wantsSignal(wire.Signal{Name: "typing", To: "topic:chess", From: "bob", Payload: payload.Payload})
	}
	bob.wantsSignal(wire.Signal{Name: "typing", To: "broadcast", Payload: payload.Payload})
	quiet.quiet()

	// A client's own: to everybody in the topic but the session that sent it.
	alice.send(typing("chess"))
	other.wantsSignal(wire.Signal{Name: "typing", To: "topic:chess", From: "alice", Payload: payload.Payload})
	bob.send(typing("chess"))
	bob.wantsError(wire.FrameErrForbidden)
	quiet.send(typing("chess")) // who wants none may still send
	other.wantsSignal(wire.Signal{Name: "typing", To: "topic:chess", From: "alice", Payload: payload.Payload})
	alice.wantsSignal(wire.Signal{Name: "typing", To: "topic:chess", From: "alice", Payload: payload.Payload})
	for _, p := range []*peer{quiet, alice, other, bob} {
		p.quiet()
	}

	// What nobody here wants any more is not asked for.
	if n := f.count(wire.User("alice")); n != 2 {
		t.Errorf("%d sessions want alice's signals, want 2", n)
	}
	alice.send(wire.ClientFrame{Type: wire.FrameUnsubscribe, Topic: "chess"})
	alice.wantsTopics()
	other.Close(wire.CloseNormal)
	waitFor(t, func() bool { return f.count(wire.Topic("chess")) == 0 && f.count(wire.User("alice")) == 1 })
	alice.Close(wire.CloseNormal)
	bob.Close(wire.CloseNormal)
	waitFor(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.wanted) == 0 })
}

// waitFor waits for what another goroutine does.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(20*time.Second), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("it did not happen within 20 s")
		case <-tick.C:
		}
	}
}

// TestTooManySignals: they have an allowance of their own, and going beyond it is said
// once a second.
func TestTooManySignals(t *testing.T) {
	_, m := newSignals(t)
	alice, bob := m.connect(client.Options{Token: "alice", Topics: []string{"chess"}}), m.wanting("bob", "chess")
	for range 30 {
		alice.send(typing("chess"))
	}
	for range 10 {
		if s, ok := bob.next().(wire.Signal); !ok || s.From != "alice" {
			t.Fatalf("got %+v, want a signal", s)
		}
	}
	alice.wantsError(wire.FrameErrTooManySignals)
	alice.send(wire.ClientFrame{Type: wire.FramePing})
	errors := 0
	for {
		f := alice.next()
		if _, ok := f.(wire.Pong); ok {
			break
		}
		errors++
	}
	if errors > 2 { // of 20 that were refused
		t.Errorf("%d more errors, want one a second at most", errors)
	}
}

// TestSignalCut: a signal that a socket takes half of is completed, and one that it does
// not take at all is dropped: what follows is as it should be.
func TestSignalCut(t *testing.T) {
	f, m := newSignals(t)
	alice := m.wanting("alice", "chess")
	waitFor(t, func() bool { return f.count(wire.Topic("chess")) > 0 })
	text := strings.Repeat("x", 60<<10)
	env := wire.Envelope{Type: "typing", Payload: fmt.Appendf(nil, `{"text":%q}`, text)}
	for range 200 { // far more than the socket holds
		m.edge.Signal(wire.Topic("chess"), "", "", env)
	}
	m.publish(wire.User("alice"), "after")
	signals := 0
	for {
		frame := alice.next()
		if s, ok := frame.(wire.Signal); ok {
			signals++
			if len(s.Payload) != len(env.Payload) {
				t.Fatalf("a signal of %d bytes, want %d", len(s.Payload), len(env.Payload))
			}
			continue
		}
		if title := titleOf(t, frame); title != "after" {
			t.Fatalf("got %q", title)
		}
		break
	}
	if signals == 0 {
		t.Error("no signal came")
	}
}

// fakeGate decides by the topic's name: "yes…", "no…", "down…"; "slow…" when it is let.
type fakeGate struct {
	known sync.Map
	let   chan struct{}
}

func (g *fakeGate) Known(uid, topic string) (allow, known bool) {
	v, ok := g.known.Load(uid + " " + topic)
	return ok && v.(bool), ok
}

func (g *fakeGate) Ask(ctx context.Context, uid, topic string) (bool, error) {
	if strings.HasPrefix(topic, "slow") {
		select {
		case <-g.let:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if strings.HasPrefix(topic, "down") {
		return false, wire.ErrUnavailable
	}
	allow := !strings.HasPrefix(topic, "no")
	g.known.Store(uid+" "+topic, allow)
	return allow, nil
}

func TestTopicGate(t *testing.T) {
	g := &fakeGate{let: make(chan struct{})}
	m := newMesh(t, edge.Config{Topics: edge.TopicRule{Gate: g}})
	for range 2 { // asked, then known
		p := m.connect(client.Options{Token: "alice", Topics: []string{"yes", "no", "down"}})
		if f := p.wantsError(wire.FrameErrForbidden); !strings.Contains(f.Message, `"no"`) {
			t.Errorf("it does not name the topic: %+v", f)
		}
		p.wantsError(wire.FrameErrUnavailable)
		p.wantsTopics("yes")
		m.publish(wire.Topic("no"), "not for her")
		m.publish(wire.Topic("yes"), "for her")
		p.wants("for her")
		p.send(wire.ClientFrame{Type: wire.FrameSubscribe, Topic: "no2"})
		p.wantsError(wire.FrameErrForbidden)
		p.send(wire.ClientFrame{Type: wire.FrameSubscribe, Topic: "down2"})
		p.wantsError(wire.FrameErrUnavailable)
		p.send(wire.ClientFrame{Type: wire.FrameSubscribe, Topic: "yes2"})
		p.wantsTopics("yes", "yes2")
	}

	// Asked twice, answered once; who leaves meanwhile is not joined; who is gone is gone.
	p, gone := m.connect(client.Options{Token: "bob"}), m.connect(client.Options{Token: "carol"})
	for _, topic := range []string{"slow1", "slow1", "slow2"} {
		p.send(wire.ClientFrame{Type: wire.FrameSubscribe, Topic: topic})
	}
	p.send(wire.ClientFrame{Type: wire.FrameUnsubscribe, Topic: "slow2"})
	p.wantsTopics()
	gone.send(wire.ClientFrame{Type: wire.FrameSubscribe, Topic: "slow3"})
	gone.quiet()
	gone.Close(wire.CloseNormal)
	waitFor(t, func() bool { return m.edge.Sessions() == 3 })
	close(g.let)
	p.wantsTopics("slow1")
	p.quiet()
}

func TestTopicClaim(t *testing.T) {
	m := newMesh(t, edge.Config{Topics: edge.TopicRule{Claim: true}})
	p := m.connect(client.Options{Token: "alice#club.*,news", Topics: []string{"club.7", "news", "secret"}})
	p.wantsError(wire.FrameErrForbidden)
	p.wantsTopics("club.7", "news")
	p.send(wire.ClientFrame{Type: wire.FrameSubscribe, Topic: "secret"})
	p.wantsError(wire.FrameErrForbidden)
	p.send(wire.ClientFrame{Type: wire.FrameSubscribe, Topic: "club.8"})
	p.wantsTopics("club.7", "club.8", "news")

	// Another token of hers allows less.
	p.send(wire.ClientFrame{Type: wire.FrameAuth, Token: "alice#club.8"})
	if _, ok := p.next().(wire.Hello); !ok {
		t.Fatal("no hello")
	}
	p.wantsTopics("club.8")
	m.publish(wire.Topic("news"), "not for her")
	m.publish(wire.Topic("club.8"), "for her")
	p.wants("for her")
	none := m.connect(client.Options{Token: "bobby", Topics: []string{"news"}})
	none.wantsError(wire.FrameErrForbidden)
	none.wantsTopics()
}

func TestPresenceAndDisconnect(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2})
	alice := []*peer{m.connect(client.Options{Token: "alice", Topics: []string{"chess"}}), m.connect(client.Options{Token: "alice"})}
	bob := m.connect(client.Options{Token: "bob", Topics: []string{"chess"}})
	count := func() string {
		t.Helper()
		n, err := m.edge.Count(m.ctx(), []wire.Audience{
			wire.User("alice"), wire.User("bob"), wire.User("nobody"), wire.Topic("chess"), wire.Topic("go"), wire.Broadcast(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(n)
	}
	if got := count(); got != "[2 1 0 2 0 3]" {
		t.Errorf("presence: %s", got)
	}
	n, err := m.edge.Disconnect(m.ctx(), "alice", "spam")
	if n != 2 || err != nil {
		t.Errorf("%d sessions ended, %v", n, err)
	}
	for _, p := range alice {
		_, err := p.Next(m.ctx())
		if ce, ok := asClose(err); !ok || ce.Code != wire.CloseDisconnected || ce.Reason != "spam" {
			t.Errorf("ended with %v", err)
		}
	}
	if got := count(); got != "[0 1 0 1 0 1]" {
		t.Errorf("presence after the disconnect: %s", got)
	}
	bob.quiet()

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.edge.Count(ended, nil); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestRevoke(t *testing.T) {
	var revoked auth.Revoked
	m := newMesh(t, edge.Config{Revoked: &revoked})
	old, fresh := m.connect(client.Options{Token: "alice~1h"}), m.connect(client.Options{Token: "alice~1s"})
	bob := m.connect(client.Options{Token: "bob~2h"})
	before := time.Now().Add(-time.Minute)
	revoked.Set("alice", before)
	m.edge.Revoke("alice", before)
	old.closes(wire.CloseToken)
	fresh.quiet()
	bob.quiet()
	// Who was verified before, and is signed in after, is stopped too.
	m.dial(client.Options{Token: "alice~1h"}).closes(wire.CloseToken)
	// So is who refreshes with such a token; the old one still counts.
	fresh.send(wire.ClientFrame{Type: wire.FrameAuth, Token: "alice~2h"})
	fresh.wantsError(wire.FrameErrToken)
	// A refreshed session is as old as its last token.
	fresh.send(wire.ClientFrame{Type: wire.FrameAuth, Token: "alice"})
	if _, ok := fresh.next().(wire.Hello); !ok {
		t.Fatal("no hello")
	}
	m.edge.Revoke("alice", time.Now().Add(-2*time.Second))
	fresh.quiet()
	m.edge.Revoke("alice", time.Now().Add(2*time.Second))
	fresh.closes(wire.CloseToken)
}

// TestTokenWarning: before a token ends its session is told, once, and closed when
// nothing comes; another token resets both.
func TestTokenWarning(t *testing.T) {
	t.Parallel()
	m := newMesh(t, edge.Config{})
	ignores, refreshes := m.connect(client.Options{Token: "alice@6s"}), m.connect(client.Options{Token: "carol@6s"})
	for _, p := range []*peer{ignores, refreshes} {
		warning, ok := p.next().(wire.Auth)
		if d := p.hello.Expires - warning.Expires; !ok || d < -1 || d > 3 {
			t.Fatalf("got %+v, want a warning of the end at %d", warning, p.hello.Expires)
		}
	}
	refreshes.send(wire.ClientFrame{Type: wire.FrameAuth, Token: "carol"})
	if _, ok := refreshes.next().(wire.Hello); !ok {
		t.Fatal("no hello")
	}
	if _, err := ignores.Next(m.ctx()); err == nil {
		t.Error("a second frame came")
	} else if ce, ok := asClose(err); !ok || ce.Code != wire.CloseToken {
		t.Errorf("ended with %v", err)
	}
	refreshes.quiet()
}
