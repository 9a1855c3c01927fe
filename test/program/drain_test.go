package program_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestDrainUnderLoad has thousands of sessions on two edges, to whom broadcasts
// and messages of their own come all the time, and drains one of the edges: each
// of its sessions is asked to move, is served until its turn, and continues on
// the other edge. None misses a message, or gets one twice.
func TestDrainUnderLoad(t *testing.T) {
	const sessions = 5000
	n := startNATS(t)
	provision(t, n.URL())
	env := []string{"WS_NATS_URL=" + n.URL(), "WS_DRAIN_TIMEOUT=15s"}
	leaving, staying := start(t, "edge", env...), start(t, "edge", env...)
	d := &drain{t: t, to: staying.addr}
	d.ctx, d.cancel = context.WithTimeout(t.Context(), 2*time.Minute)
	defer d.cancel()

	starting := make(chan struct{}, 100) // handshakes at once
	for i := range sessions {
		m := &mover{drain: d, uid: fmt.Sprint("u", i)}
		m.token = token(t, m.uid)
		d.movers = append(d.movers, m)
		d.ready.Add(1)
		d.ended.Go(func() {
			starting <- struct{}{}
			err := m.connect([]string{leaving.addr, staying.addr}[i%2])
			<-starting
			d.ready.Done()
			if err == nil {
				err = m.follow()
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", m.uid, err)
				d.cancel() // the others wait for nothing
			}
		})
	}
	d.ready.Wait()

	load := &load{js: jetStream(t, n.URL()), own: make([]int, sessions)}
	load.until(t, func() bool { return load.broadcasts >= 5 || d.ctx.Err() != nil })
	d.mayMove.Store(true)
	d.began = time.Now()
	exited := make(chan int, 1)
	go func() { exited <- leaving.terminate() }()
	load.until(t, func() bool { return d.asked.Load() == sessions/2 || d.ctx.Err() != nil })
	// Whoever was asked is told the port is closed, not kept waiting at it.
	if c, err := net.Dial("tcp", leaving.addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection to the draining edge: %v, %v; want it refused", c, err)
	}
	load.until(t, func() bool { return d.moved.Load() == sessions/2 || d.ctx.Err() != nil })
	var status int
	load.until(t, func() bool {
		select {
		case status = <-exited:
			return true
		default:
			return d.ctx.Err() != nil
		}
	})
	if status != 0 {
		t.Errorf("the drained edge ended with status %d", status)
	}
	load.end(t)
	d.ended.Wait()
	for i, m := range d.movers {
		if t.Failed() {
			break // of the first that went wrong
		}
		if m.broadcasts != load.broadcasts || m.own != load.own[i] {
			t.Errorf("%s got %d broadcasts and %d of its own, want %d and %d", m.uid, m.broadcasts, m.own, load.broadcasts, load.own[i])
		}
	}
	t.Logf("%d sessions moved, %d of them after they were closed; %d broadcasts, %d messages for one",
		d.moved.Load(), d.closed.Load(), load.broadcasts, load.sum())
}

// drain is what the sessions of TestDrainUnderLoad share.
type drain struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	to     string // the edge that stays
	movers []*mover
	ready  sync.WaitGroup
	ended  sync.WaitGroup

	mayMove atomic.Bool
	began   time.Time // of the drain, or a little before; read when mayMove
	asked   atomic.Int32
	moved   atomic.Int32
	closed  atomic.Int32 // by the edge, after their time
}

// mover is one session, and what it has seen. It reads frames with as little work
// as there can be: there are thousands.
type mover struct {
	*drain
	uid, token string
	cursor     string
	conn       net.Conn
	br         *bufio.Reader
	slot       time.Duration // after which it was asked to move
	moveAt     time.Time     // zero: not asked

	broadcasts, own int
}

// connect opens a session and reads hello.
func (m *mover) connect(addr string) error {
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"Authorization": {"Bearer " + m.token}})}
	conn, br, _, err := dialer.Dial(m.ctx, "ws://"+addr+"/api/v1/ws?cursor="+url.QueryEscape(m.cursor))
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	if br == nil {
		br = bufio.NewReader(conn)
	}
	m.conn, m.br = conn, br
	if err := m.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	context.AfterFunc(m.ctx, func() { conn.Close() })
	h, text, err := m.read()
	if err != nil {
		return err
	}
	f, err := wire.ParseServerFrame(text)
	if hello, ok := f.(wire.Hello); !ok || hello.Resumed != (m.cursor != "") {
		return fmt.Errorf("the first frame is %d %q, %v; want hello, resumed if there is a cursor (%q)", h.OpCode, text, err, m.cursor)
	}
	m.cursor = between(text, `"cursor":"`)
	return nil
}

func (m *mover) read() (ws.Header, []byte, error) {
	h, err := ws.ReadHeader(m.br)
	if err != nil {
		return h, nil, err
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(m.br, payload)
	return h, payload, err
}

// follow reads until the last message, and moves when it is asked to.
func (m *mover) follow() error {
	for {
		h, text, err := m.read()
		switch {
		case m.ctx.Err() != nil:
			return context.Canceled
		case m.moveAt.IsZero() && err != nil:
			return fmt.Errorf("cut off unasked: %w", err)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := m.move(); err != nil {
				return err
			}
		case err != nil || h.OpCode == ws.OpClose:
			// The edge may close who stays a second beyond its time. It cannot have asked
			// before the drain began, however late this process came to read it.
			if early := time.Until(m.began.Add(m.slot + time.Second)); early > 0 || m.moveAt.IsZero() {
				return fmt.Errorf("closed (%q, %v), %v too early", text, err, early)
			}
			m.closed.Add(1)
			if err := m.move(); err != nil {
				return err
			}
		case h.OpCode != ws.OpText:
			return fmt.Errorf("frame %d %q", h.OpCode, text)
		default:
			if last, err := m.take(text); last || err != nil {
				m.conn.Close()
				return err
			}
		}
	}
}

// take handles one frame of the protocol.
func (m *mover) take(text []byte) (last bool, err error) {
	if !bytes.HasPrefix(text, []byte(`{"type":"toast"`)) {
		return false, m.takeOther(text)
	}
	m.cursor = between(text, `"cursor":"`)
	title := between(text, `"title":"`)
	next := &m.broadcasts
	switch title[0] {
	case 'e':
		return true, nil
	case 'o':
		next = &m.own
	}
	if number, err := strconv.Atoi(title[1:]); err != nil || number != *next {
		return false, fmt.Errorf("got %q, want number %d: %s", title, *next, text)
	}
	*next++
	return false, nil
}

func (m *mover) takeOther(text []byte) error {
	f, err := wire.ParseServerFrame(text)
	asked, ok := f.(wire.Reconnect)
	if !ok || !m.mayMove.Load() || !m.moveAt.IsZero() {
		return fmt.Errorf("got %q, %v", text, err)
	}
	if m.slot = time.Duration(asked.AfterMS) * time.Millisecond; m.slot < 0 || m.slot > time.Duration(len(m.movers)/2)*time.Millisecond {
		return fmt.Errorf("asked to move after %v: that is not a millisecond a session", m.slot)
	}
	m.asked.Add(1)
	m.moveAt = time.Now().Add(m.slot)
	return m.conn.SetReadDeadline(m.moveAt)
}

// move says goodbye and continues on the other edge.
func (m *mover) move() error {
	goodbye := ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	if raw, err := ws.CompileFrame(ws.MaskFrameInPlace(goodbye)); err == nil {
		m.conn.Write(raw) // it may be gone
	}
	m.conn.Close()
	if err := m.connect(m.to); err != nil {
		return err
	}
	m.moved.Add(1)
	return nil
}

// between is the value that follows a key, up to its quote.
func between(text []byte, key string) string {
	_, rest, _ := bytes.Cut(text, []byte(key))
	value, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(value)
}

// load publishes numbered messages at a steady rate.
type load struct {
	js         jetstream.JetStream
	broadcasts int
	own        []int // messages published, by user
	next       int   // the user whose turn it is
	stored     []jetstream.PubAckFuture
}

// Of a tick of 20 ms: 500 messages for one a second, and five broadcasts.
const (
	loadTick       = 20 * time.Millisecond
	ownPerTick     = 10
	broadcastTicks = 10
)

// until publishes until a condition holds, at least a tick.
func (l *load) until(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(loadTick)
	defer tick.Stop()
	for ticks := 0; ticks == 0 || !holds(); ticks++ {
		<-tick.C
		if ticks%broadcastTicks == 0 {
			l.publish(t, "broadcast", fmt.Sprint("b", l.broadcasts))
			l.broadcasts++
		}
		for range ownPerTick {
			l.publish(t, fmt.Sprint("user.u", l.next), fmt.Sprint("o", l.own[l.next]))
			l.own[l.next]++
			l.next = (l.next + 1) % len(l.own)
		}
	}
}

func (l *load) publish(t *testing.T, subject, title string) {
	t.Helper()
	f, err := l.js.PublishAsync("sv.ws."+subject, fmt.Appendf(nil, `{"type":"toast","payload":{"title":%q}}`, title))
	if err != nil {
		t.Fatal(err)
	}
	l.stored = append(l.stored, f)
}

// end publishes the last message, and sees that all were stored.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.publish(t, "broadcast", "end")
	for _, f := range l.stored {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			t.Fatal(err)
		case <-time.After(30 * time.Second):
			t.Fatal("a message is not stored after 30 s")
		}
	}
}

func (l *load) sum() (n int) {
	for _, own := range l.own {
		n += own
	}
	return n
}
