package edge_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestBogusCursors: cursors ahead of the log hold nobody up, however many come.
func TestBogusCursors(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, TailPatience: 5 * time.Second})
	m.publish(wire.Broadcast(), "1")
	began := time.Now()
	for range 32 { // more than workers
		c := m.raw()
		fmt.Fprintf(c, "GET /api/v1/ws?token=mallory&cursor=%s HTTP/1.1\r\n%s\r\n", cursorText(7, 1<<40), upgradeHead)
	}
	m.connect(client.Options{}).quiet()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("a client waited %v behind cursors that never were", took)
	}
}

// TestSlowHistory: sessions whose pages do not come keep nobody from signing in,
// and their own pings are answered.
func TestSlowHistory(t *testing.T) {
	log := &fakeLog{life: 7}
	m := startEdge(t, log, edge.Config{Loops: 1, RingBytes: 1, ReplayLimit: 10_000})
	m.edge.Begin([]uint64{7}, wire.Vector{0})
	for i := range 1000 {
		m.publish(wire.Broadcast(), fmt.Sprint(i))
	}
	release := make(chan struct{})
	var held atomic.Int32
	hook := func(req wire.PageRequest) {
		if req.UpTo[0] == 1000 { // of a session; set-up asks up to the ring
			held.Add(1)
			<-release
		}
	}
	log.beforePage.Store(&hook)
	var waiting []*peer
	for range 20 {
		waiting = append(waiting, m.connect(client.Options{Cursor: cursorText(7, 0)}))
	}
	for held.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	m.connect(client.Options{}).quiet()
	waiting[19].quiet()
	close(release)
	for _, p := range waiting {
		for i := range 1000 {
			p.wants(fmt.Sprint(i))
		}
	}
}

// TestSubscribeDuringReplay: what is published to a topic after its subscription
// was confirmed reaches the session, also if its last page is on its way by then,
// asked for without the topic.
func TestSubscribeDuringReplay(t *testing.T) {
	log := &fakeLog{life: 7}
	m := startEdge(t, log, edge.Config{Loops: 1, RingBytes: 1, ReplayLimit: 10_000})
	m.edge.Begin([]uint64{7}, wire.Vector{0})
	const n, page, workers = 300, 256, 4
	for i := range n {
		m.publish(wire.Broadcast(), fmt.Sprint(i))
	}
	var held, mine atomic.Int32
	first, release := make(chan struct{}), make(chan struct{})
	hook := func(req wire.PageRequest) {
		switch {
		case req.UpTo[0] < n: // set-up asks up to the ring
		case req.Audiences[1] != wire.User("alice"):
			held.Add(1)
			<-release
		case mine.Add(1) == 1:
			<-first
		}
	}
	log.beforePage.Store(&hook)
	until := func(n *atomic.Int32, count int32) {
		for n.Load() < count {
			time.Sleep(time.Millisecond)
		}
	}
	other := client.Options{Token: "other", Cursor: cursorText(7, 0)}
	for range workers - 1 {
		m.connect(other)
	}
	until(&held, workers-1)
	p := m.connect(client.Options{Token: "alice", Cursor: cursorText(7, 0)})
	until(&mine, 1)
	m.connect(other) // waits for alice's first page to be read, and keeps her second one waiting
	close(first)
	until(&held, workers)
	for i := range page {
		p.wants(fmt.Sprint(i))
	}
	if err := p.Send(m.ctx(), wire.ClientFrame{Type: wire.FrameSubscribe, Topic: "t"}); err != nil {
		t.Fatal(err)
	}
	if f, ok := p.next().(wire.Subscribed); !ok || f.Cursor != cursorText(7, page) {
		t.Fatalf("got %+v, want to be subscribed from the cursor on", f)
	}
	m.publish(wire.Topic("t"), "in t")
	close(release)
	for i := page; i < n; i++ {
		p.wants(fmt.Sprint(i))
	}
	p.wants("in t")
	p.quiet()
}

// TestGapIsToldAgain: a client that is cut off between hello and the gap still
// has the cursor that brings the gap about.
func TestGapIsToldAgain(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, ReplayLimit: 2})
	for i := range 10 {
		m.publish(wire.Broadcast(), fmt.Sprint(i))
	}
	for _, cursor := range []string{cursorText(7, 1), cursorText(6, 1), cursorText(7, 99)} {
		p := m.connect(client.Options{Cursor: cursor})
		if p.hello.Cursor != cursor {
			t.Errorf("hello's cursor is %q before the gap, want the client's own %q", p.hello.Cursor, cursor)
		}
		if f, ok := p.next().(wire.Gap); !ok || f.Cursor == cursor {
			t.Errorf("got %+v, want a gap", f)
		}
	}
}

// TestWarmingUp: what the tail reads of the past must not come to anybody as new.
func TestWarmingUp(t *testing.T) {
	var caughtUp atomic.Bool
	m := startEdge(t, &fakeLog{life: 7}, edge.Config{Loops: 1, CaughtUp: caughtUp.Load})
	m.edge.Begin([]uint64{7}, wire.Vector{0})
	m.publish(wire.Broadcast(), "of last week")
	_, err := client.Dial(m.ctx(), client.Options{URL: m.url, Token: "alice"})
	if ue, ok := err.(*client.UpgradeError); !ok || ue.Status != 503 { //nolint:errorlint // as it is
		t.Fatalf("got %v, want 503", err)
	}
	caughtUp.Store(true)
	m.connect(client.Options{}).quiet()
}

// TestTopicChurn: members of a topic come and go in the middle of its sweeps;
// those that stay get everything once, in order.
func TestTopicChurn(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	const members, messages = 600, 300 // more than a slice holds
	var stay, churn []*peer
	for i := range members {
		p := m.connect(client.Options{Token: fmt.Sprint("u", i), Topics: []string{"t"}})
		if i%3 == 0 {
			stay = append(stay, p)
		} else {
			churn = append(churn, p)
		}
	}
	var wg sync.WaitGroup
	for _, p := range stay {
		wg.Go(func() {
			for i := range messages {
				if f, err := p.Next(m.ctx()); err != nil || titleOf(t, f) != fmt.Sprint(i) {
					t.Errorf("got %v %v, want %d", f, err, i)
					return
				}
			}
		})
	}
	for i := range messages {
		m.publish(wire.Topic("t"), fmt.Sprint(i))
		if i < len(churn) {
			p := churn[(i*7)%len(churn)]
			if i%2 == 0 {
				p.Close(wire.CloseNormal)
			} else if err := p.Send(context.Background(), wire.ClientFrame{Type: wire.FrameUnsubscribe, Topic: "t"}); err != nil {
				continue // closed before
			}
		}
	}
	wg.Wait()
}
