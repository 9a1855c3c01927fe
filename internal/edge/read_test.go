package edge_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// fakeReads keeps read states, and puts each new one into the log, as the mesh does.
type fakeReads struct {
	mu      sync.Mutex
	m       *mesh
	states  map[string]wire.ReadState
	clock   int64
	fail    error
	started chan struct{} // one for each Mark, if not nil
	hold    chan struct{} // closed when Mark may go on, if not nil
}

func (f *fakeReads) ReadState(_ context.Context, uid string) (wire.ReadState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states[uid], f.fail
}

func (f *fakeReads) Mark(_ context.Context, uid string, c wire.Change) (wire.ReadState, error) {
	if f.hold != nil {
		f.started <- struct{}{}
		<-f.hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return wire.ReadState{}, f.fail
	}
	if c.Through != nil && c.Through.Life != 7 {
		return wire.ReadState{}, fmt.Errorf("mark: %w", wire.ErrForeignEvent)
	}
	if c.Through != nil {
		c.UpTo = wire.Cursor{c.Through.Position}
	}
	if f.clock++; c.At == 0 {
		c.At = f.clock
	}
	s := f.states[uid].Merge(c.State())
	f.states[uid] = s
	f.m.marked(uid, s)
	return s, nil
}

func (f *fakeReads) Unread(_ context.Context, uid string, s wire.ReadState, upTo wire.Cursor) (n int, err error) {
	f.m.log.mu.Lock()
	defer f.m.log.mu.Unlock()
	for i := range f.m.log.entries {
		e := &f.m.log.entries[i]
		if (e.Audience == wire.Broadcast() || e.Audience == wire.User(uid)) && e.Seq <= upTo[0].Seq && !s.IsRead(e.ID()) {
			n++
		}
	}
	return n, f.fail
}

// marked has the log, and the tail, take a read state in.
func (m *mesh) marked(uid string, s wire.ReadState) {
	e := m.log.add(wire.Audience{Kind: wire.KindRead, ID: uid}, "")
	e.Envelope, e.Read, e.Collapse = wire.Envelope{}, &s, "\x00read"
	m.edge.Append(e)
}

// readMesh is a mesh that keeps what people have read.
func readMesh(t *testing.T, cfg edge.Config) (*mesh, *fakeReads) {
	t.Helper()
	reads := &fakeReads{states: map[string]wire.ReadState{}}
	cfg.Reads = reads
	reads.m = newMesh(t, cfg)
	return reads.m, reads
}

func (p *peer) says(f wire.ClientFrame) {
	p.m.t.Helper()
	f.Type = wire.FrameRead
	if err := p.Send(p.m.ctx(), f); err != nil {
		p.m.t.Fatal(err)
	}
}

// reads waits for a read frame and compares it.
func (p *peer) reads(seq uint64, want wire.Read) {
	p.m.t.Helper()
	want.Type, want.Cursor = wire.FrameRead, cursorText(7, seq)
	if diff := cmp.Diff(wire.ServerFrame(want), p.next()); diff != "" {
		p.m.t.Fatalf("(-want +got):\n%s", diff)
	}
}

// readsUpTo checks the read frames up to a sequence. One whose place a newer one has
// taken may be left out.
func (p *peer) readsUpTo(last uint64, ok func(seq uint64, f wire.Read) bool) {
	p.m.t.Helper()
	for seq := uint64(0); seq < last; {
		f, is := p.next().(wire.Read)
		cursor, err := wire.ParseCursor(f.Cursor)
		if !is || err != nil || cursor[0].Seq <= seq || !ok(cursor[0].Seq, f) {
			p.m.t.Fatalf("after %d came %+v", seq, f)
		}
		seq = cursor[0].Seq
	}
}

func idText(seq uint64) string {
	return wire.EventID{Position: wire.Position{Life: 7, Seq: seq}}.String()
}

func TestReadFrames(t *testing.T) {
	m, _ := readMesh(t, edge.Config{Loops: 2})
	phone, desk := m.connect(client.Options{Token: "alice"}), m.connect(client.Options{Token: "alice"})
	bob := m.connect(client.Options{Token: "bob"})
	for _, a := range []wire.Audience{wire.Broadcast(), wire.User("alice"), wire.Broadcast()} {
		m.publish(a, "x")
	}
	phone.wants("x", "x", "x")
	desk.wants("x", "x", "x")
	bob.wants("x", "x")
	phone.says(wire.ClientFrame{Read: []string{idText(3)}})
	for _, p := range []*peer{phone, desk} {
		p.reads(4, wire.Read{Read: []string{idText(3)}})
	}
	desk.says(wire.ClientFrame{UpTo: idText(2), Unread: []string{idText(1)}})
	for _, p := range []*peer{phone, desk} {
		p.reads(5, wire.Read{UpTo: []string{idText(2)}, Read: []string{idText(3)}, Unread: []string{idText(1)}})
	}
	// All that this session has been sent, its own markers included.
	phone.says(wire.ClientFrame{All: true})
	for _, p := range []*peer{phone, desk} {
		p.reads(6, wire.Read{UpTo: []string{idText(5)}})
	}
	// One after another, as they were said: with each odd sequence it is unread.
	for range 7 {
		phone.says(wire.ClientFrame{Unread: []string{idText(1)}})
		phone.says(wire.ClientFrame{Read: []string{idText(1)}})
	}
	desk.readsUpTo(20, func(seq uint64, f wire.Read) bool { return len(f.Unread) == int(seq%2) })
	bob.quiet()
}

func TestReadRefused(t *testing.T) {
	without := newMesh(t, edge.Config{Loops: 1})
	p := without.connect(client.Options{Unread: true})
	if p.hello.Unread != nil {
		t.Error("hello has a count that nobody keeps")
	}
	refused := func(p *peer, code string) {
		t.Helper()
		if f, ok := p.next().(wire.Error); !ok || f.Code != code {
			t.Fatalf("got %+v, want an error: %s", f, code)
		}
	}
	p.says(wire.ClientFrame{All: true})
	refused(p, wire.FrameErrUnsupported)

	m, reads := readMesh(t, edge.Config{Loops: 1})
	p = m.connect(client.Options{})
	p.says(wire.ClientFrame{UpTo: wire.EventID{Position: wire.Position{Life: 8, Seq: 1}}.String()})
	refused(p, wire.FrameErrMalformed)
	reads.mu.Lock()
	reads.fail = wire.ErrUnavailable
	reads.mu.Unlock()
	p.says(wire.ClientFrame{All: true})
	refused(p, wire.FrameErrUnavailable)
	p.quiet()

	// Without the log there is a session, though without a count.
	if p := m.connect(client.Options{Unread: true}); p.hello.Unread != nil {
		t.Errorf("hello counts %d although nobody could", *p.hello.Unread)
	}
}

// A session has so many read frames under way; what it said before it ended is stored.
func TestReadFramesAreBounded(t *testing.T) {
	reads := &fakeReads{states: map[string]wire.ReadState{}, started: make(chan struct{}, 100), hold: make(chan struct{})}
	m := newMesh(t, edge.Config{Loops: 1, Reads: reads})
	reads.m = m
	p, desk := m.connect(client.Options{Token: "alice"}), m.connect(client.Options{Token: "alice"})
	for i := range uint64(edge.MaxMarking + 1) {
		p.says(wire.ClientFrame{Read: []string{idText(i + 1)}})
	}
	if f, ok := p.next().(wire.Error); !ok || f.Code != wire.FrameErrUnavailable {
		t.Fatalf("got %+v, want an error", f)
	}
	<-reads.started
	p.Close(wire.CloseNormal)
	close(reads.hold)
	desk.readsUpTo(edge.MaxMarking, func(seq uint64, f wire.Read) bool { return len(f.Read) == int(seq) })
	if n := len(reads.started); n != edge.MaxMarking-1 {
		t.Errorf("%d changes were stored after the first, want %d", n, edge.MaxMarking-1)
	}
}

// A resumed session gets the newest state that it has missed, where it was said, and
// none of the older ones; from the ring and from the stream.
func TestReadFramesAreReplayed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events int
	}{{"from the ring", 10}, {"from the stream", 3000}} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := readMesh(t, edge.Config{Loops: 1, RingBytes: 128 << 10, ReplayLimit: 5000})
			m.publish(wire.User("alice"), "first")
			var s wire.ReadState
			for i := range uint64(5) {
				change := wire.Change{At: int64(i + 1), Read: []wire.EventID{{Position: wire.Position{Life: 7, Seq: i + 1}}}}
				s = s.Merge(change.State())
				m.marked("alice", s)
			}
			for range tt.events {
				m.publish(wire.User("bob"), "x")
			}
			m.publish(wire.User("alice"), "last")
			p := m.connect(client.Options{Token: "alice", Cursor: cursorText(7, 0)})
			p.wants("first")
			f, ok := p.next().(wire.Read)
			for ok && len(f.Read) < 5 && tt.events == 3000 { // a page of the stream leaves out what one in it has replaced
				f, ok = p.next().(wire.Read)
			}
			if !ok || len(f.Read) != 5 || f.Cursor != cursorText(7, 6) {
				t.Fatalf("got %+v, want what was read last", f)
			}
			p.wants("last")
			p.quiet()
		})
	}
}

// hello counts up to where the session begins; the state that follows tells of what
// comes then.
func TestUnreadInHello(t *testing.T) {
	m, reads := readMesh(t, edge.Config{Loops: 1})
	for i := range 6 {
		m.publish([]wire.Audience{wire.Broadcast(), wire.User("alice"), wire.User("bob")}[i%3], fmt.Sprint(i+1))
	}
	if _, err := reads.Mark(t.Context(), "alice", wire.Change{Read: []wire.EventID{{Position: wire.Position{Life: 7, Seq: 5}}}}); err != nil {
		t.Fatal(err)
	}
	state := wire.Read{Read: []string{idText(5)}}
	for _, tt := range []struct {
		opts   client.Options
		unread int
		at     uint64
		titles []string
	}{
		{client.Options{Token: "alice"}, 3, 7, nil},
		{client.Options{Token: "alice@1h"}, 3, 7, nil}, // signed in by the other way
		{client.Options{Token: "alice", Cursor: cursorText(7, 3)}, 2, 3, []string{"4", "5"}},
	} {
		tt.opts.Unread = true
		p := m.connect(tt.opts)
		if p.hello.Unread == nil || *p.hello.Unread != tt.unread {
			t.Fatalf("hello %+v, want %d unread", p.hello, tt.unread)
		}
		p.reads(tt.at, state)
		p.wants(tt.titles...)
		if tt.titles != nil {
			p.reads(7, state)
		}
		p.quiet()
	}
	if p := m.connect(client.Options{Token: "alice"}); p.hello.Unread != nil {
		t.Error("hello counts although nobody has asked")
	}
	wrong := *m
	wrong.url += "/?unread=many"
	wrong.dial(client.Options{}).closes(wire.CloseBadRequest)
}
