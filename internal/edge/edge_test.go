package edge_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestLiveAudiences(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2})
	alice := m.connect(client.Options{Token: "alice", Topics: []string{"football"}})
	phone := m.connect(client.Options{Token: "alice"})
	bob := m.connect(client.Options{Token: "bob"})
	if alice.hello.Node != "test" || alice.hello.Resumed || alice.hello.Cursor != cursorText(7, 0) {
		t.Fatalf("hello %+v", alice.hello)
	}
	m.publish(wire.Broadcast(), "all")
	m.publish(wire.User("alice"), "for alice")
	m.publish(wire.User("bob"), "for bob")
	m.publish(wire.Topic("football"), "goal")
	m.publish(wire.User("carol"), "for carol")
	m.edge.Skip(0, m.log.add(wire.User("carol"), "malformed").Seq)
	m.publish(wire.Broadcast(), "end")
	alice.wants("all", "for alice", "goal", "end")
	phone.wants("all", "for alice", "end")
	bob.wants("all", "for bob", "end")
	if pong := bob.quiet(); pong.Cursor != cursorText(7, 7) {
		t.Errorf("pong's cursor is %s, want that of the head %s", pong.Cursor, cursorText(7, 7))
	}
	alice.quiet()
	phone.quiet()
}

func TestTopicsOnALiveSession(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	p := m.connect(client.Options{})
	m.publish(wire.Topic("x"), "before")
	m.publish(wire.Broadcast(), "sync") // the loop has routed the one before it
	p.wants("sync")
	for _, f := range []wire.ClientFrame{
		{Type: wire.FrameSubscribe, Topic: "x"}, {Type: wire.FrameSubscribe, Topic: "x"}, {Type: wire.FrameSubscribe, Topic: "a b"},
	} {
		if err := p.Send(m.ctx(), f); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range [][]string{{"x"}, {"x"}, {"x", "a b"}} {
		if f, ok := p.next().(wire.Subscribed); !ok || fmt.Sprint(f.Topics) != fmt.Sprint(want) || f.Cursor != cursorText(7, 2) {
			t.Fatalf("got %+v, want %v at the head", f, want)
		}
	}
	m.publish(wire.Topic("x"), "in x")
	m.publish(wire.Topic("a b"), "in a b")
	p.wants("in x", "in a b")
	if err := p.Send(m.ctx(), wire.ClientFrame{Type: wire.FrameUnsubscribe, Topic: "x"}); err != nil {
		t.Fatal(err)
	}
	p.next()
	m.publish(wire.Topic("x"), "after")
	m.publish(wire.Topic("a b"), "still")
	p.wants("still")
}

func TestResume(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, RingBytes: 256 << 10, ReplayLimit: 400})
	for i := 1; i <= 3000; i++ { // the ring holds the last few hundred
		m.publish([]wire.Audience{wire.Broadcast(), wire.User("alice"), wire.User("bob")}[i%3], fmt.Sprint(i))
	}
	mine := func(from int) (titles []string) {
		for i := from; i <= 3000; i++ {
			if i%3 != 2 {
				titles = append(titles, fmt.Sprint(i))
			}
		}
		return titles
	}
	for _, tt := range []struct {
		name    string
		cursor  string
		replay  int
		resumed bool
		gap     string
		titles  []string
		setup   func()
	}{
		{name: "new", titles: nil},
		{name: "new with replay", replay: 3, titles: []string{"2998", "2999", "3000"}[:0]},
		{name: "at the head", cursor: cursorText(7, 3000), resumed: true},
		{name: "inside the ring", cursor: cursorText(7, 2990), resumed: true, titles: mine(2991)},
		{name: "before the ring", cursor: cursorText(7, 2500), resumed: true, titles: mine(2501)},
		{name: "more than the limit", cursor: cursorText(7, 100), resumed: true, gap: wire.GapLimit, titles: mine(0)[len(mine(0))-400:]},
		{name: "another life", cursor: cursorText(8, 2990), gap: wire.GapUnknown},
		{name: "no cursor at all", cursor: "garbage", gap: wire.GapUnknown},
		{name: "two partitions", cursor: wire.Cursor{{Life: 7, Seq: 1}, {Life: 7, Seq: 1}}.String(), gap: wire.GapUnknown},
	} {
		if tt.replay > 0 {
			tt.titles = mine(0)[len(mine(0))-tt.replay:]
		}
		t.Run(tt.name, func(t *testing.T) {
			m := &mesh{t: t, log: m.log, edge: m.edge, url: m.url}
			p := m.connect(client.Options{Cursor: tt.cursor, Replay: tt.replay})
			if p.hello.Resumed != tt.resumed {
				t.Errorf("resumed %v, want %v", p.hello.Resumed, tt.resumed)
			}
			if tt.gap != "" {
				if f, ok := p.next().(wire.Gap); !ok || f.Reason != tt.gap {
					t.Fatalf("got %+v, want a gap: %s", f, tt.gap)
				}
			}
			p.wants(tt.titles...)
			p.quiet()
		})
	}
}

func TestResumeAcrossRetention(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, RingBytes: 256 << 10, ReplayLimit: 5000})
	for i := 1; i <= 3000; i++ {
		m.publish(wire.Broadcast(), fmt.Sprint(i))
	}
	m.log.mu.Lock()
	m.log.first = 1000
	m.log.mu.Unlock()
	p := m.connect(client.Options{Cursor: cursorText(7, 900)})
	if f, ok := p.next().(wire.Gap); !ok || f.Reason != wire.GapRetention || f.Cursor != cursorText(7, 999) {
		t.Fatalf("got %+v, want a gap up to 999", f)
	}
	for i := 1000; i <= 3000; i++ {
		p.wants(fmt.Sprint(i))
	}
	p.quiet()

	exact := m.connect(client.Options{Cursor: cursorText(7, 999)})
	exact.wants("1000") // nothing was lost, so no gap
}

func TestNoHistoryBeyondTheRing(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, RingBytes: 256 << 10, NoHistory: true})
	for i := 1; i <= 3000; i++ {
		m.publish(wire.Broadcast(), fmt.Sprint(i))
	}
	p := m.connect(client.Options{Cursor: cursorText(7, 1)})
	if f, ok := p.next().(wire.Gap); !ok || f.Reason != wire.GapRetention {
		t.Fatalf("got %+v, want a gap", f)
	}
	if m.log.pages != 0 {
		t.Error("the stream was asked although there is no history")
	}
}

func TestCursorAheadOfTheTail(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, TailPatience: time.Second})
	m.publish(wire.Broadcast(), "1")
	e := m.log.add(wire.Broadcast(), "2")
	m.log.add(wire.Broadcast(), "3")
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := m.connect(client.Options{Cursor: cursorText(7, 2)})
		p.wants("3")
	}()
	select {
	case <-done:
		t.Error("a cursor ahead of the tail was answered before the tail was there")
	case <-time.After(100 * time.Millisecond):
	}
	m.edge.Append(e)
	m.edge.Append(&m.log.entries[2])
	<-done

	// A cursor that the log itself does not reach: what it named is lost.
	p := m.connect(client.Options{Cursor: cursorText(7, 99)})
	if f, ok := p.next().(wire.Gap); !ok || f.Reason != wire.GapUnknown {
		t.Fatalf("got %+v, want a gap", f)
	}
}

func TestAnotherLifeOfTheLog(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2})
	m.publish(wire.Broadcast(), "1")
	p := m.connect(client.Options{Cursor: cursorText(7, 0)})
	p.wants("1")
	m.edge.Begin([]uint64{9}, wire.Vector{0})
	p.closes(wire.CloseUnavailable)
	again := m.connect(client.Options{Cursor: cursorText(7, 1)})
	if f, ok := again.next().(wire.Gap); !ok || f.Reason != wire.GapUnknown {
		t.Fatalf("got %+v, want a gap", f)
	}
}
