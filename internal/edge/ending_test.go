package edge_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// gone waits until an edge has no session; the test fails if that takes as long
// as the edge's patience with a peer that does not end its side.
func (m *mesh) gone(limit time.Duration) {
	m.t.Helper()
	deadline := time.Now().Add(limit)
	for m.edge.Sessions() > 0 {
		if time.Now().After(deadline) {
			m.t.Fatalf("%d sessions after %v", m.edge.Sessions(), limit)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestEndBehindData: an end of the stream that comes together with bytes is
// noticed, although no other event speaks of it.
func TestEndBehindData(t *testing.T) {
	for name, last := range map[string][]byte{
		"nothing":     nil,
		"a ping":      masked(0x89, []byte("x")),
		"a close":     masked(0x88, []byte{0x03, 0xe8}),
		"half a ping": masked(0x89, []byte("x"))[:4],
		"nonsense":    {0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMesh(t, edge.Config{Loops: 1})
			for range 100 {
				c := m.raw()
				// All of it is there before the answer: the edge reads it after set-up.
				fmt.Fprintf(c, "GET /api/v1/ws?token=a HTTP/1.1\r\n%s\r\n", upgradeHead)
				c.Write(last)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c)
			}
			m.gone(time.Second)
			for range 100 {
				c, _ := m.signIn("token=a")
				c.Write(last)
				c.(*net.TCPConn).CloseWrite()
			}
			m.gone(time.Second)
		})
	}
}

// TestFramesBehindTheRequest: a client that does not wait for the answer loses
// nothing, however the bytes are cut.
func TestFramesBehindTheRequest(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	ping := masked(0x81, []byte(`{"type":"ping"}`))
	for _, cut := range []int{0, 3, len(ping)} {
		c := m.raw()
		request := fmt.Appendf(nil, "GET /api/v1/ws?token=a HTTP/1.1\r\n%s\r\n", upgradeHead)
		c.Write(append(request, ping[:cut]...))
		if cut == 3 {
			time.Sleep(10 * time.Millisecond) // the rest comes by itself
		}
		c.Write(ping[cut:])
		got := make([]byte, 0, 4096)
		for !bytes.Contains(got, []byte(`"pong"`)) {
			n, err := c.Read(got[len(got):cap(got)])
			if err != nil {
				t.Fatalf("cut at %d: %v after %q", cut, err, got)
			}
			got = got[:len(got)+n]
		}
	}
}

// TestServeFails: an edge that cannot listen says so, and ends.
func TestServeFails(t *testing.T) {
	e, err := edge.New(edge.Config{Loops: 2}, tokens{}, &fakeLog{life: 7}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := netloop.Listen(t.Context(), "127.0.0.1:0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	ln.FD = -1
	failed := make(chan error, 1)
	go func() { failed <- e.Serve(t.Context(), ln) }()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("Serve ended without an error")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve goes on, although no loop does")
	}
	// The tail may come late, and must not write to what another has opened since.
	e.Begin([]uint64{7}, wire.Vector{0})
	e.Append(&wire.Entry{Position: wire.Position{Life: 7, Seq: 1}, Audience: wire.Broadcast()})
}

// TestManyFragments: fragments that bring a message no further count as well.
func TestManyFragments(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	c, br := m.signIn("token=mallory")
	flood := append(masked(0x01, nil), bytes.Repeat(masked(0x00, nil), 20_000)...)
	go c.Write(flood)
	op, payload := readFrame(t, br)
	if op != 8 {
		t.Fatalf("got frame %d %q, want a close", op, payload)
	}
}

// TestSetUpDuringDrain: who is being signed in while a drain begins is sent away
// as well.
func TestSetUpDuringDrain(t *testing.T) {
	log := &fakeLog{life: 7}
	held, release := make(chan struct{}), make(chan struct{})
	m := startEdge(t, log, edge.Config{Loops: 1, RingBytes: 1})
	m.edge.Begin([]uint64{7}, wire.Vector{0})
	for i := range 200 {
		m.publish(wire.Broadcast(), fmt.Sprint(i))
	}
	hook := func(wire.PageRequest) {
		close(held)
		<-release
	}
	log.beforePage.Store(&hook)
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		var c *client.Conn
		if c, err = client.Dial(m.ctx(), client.Options{URL: m.url, Token: "alice", Cursor: cursorText(7, 0)}); err != nil {
			return
		}
		for err == nil {
			_, err = c.Next(m.ctx())
		}
	}()
	<-held
	drained := make(chan struct{})
	go func() {
		m.edge.Drain(m.ctx())
		close(drained)
	}()
	for !m.edge.Draining() {
		time.Sleep(time.Millisecond)
	}
	close(release)
	<-done
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != wire.CloseDrain {
		t.Errorf("got %v, want close %d", err, wire.CloseDrain)
	}
	<-drained
	m.gone(0)
}

// TestUpgradeOnAUsedConnection: a proxy keeps its connections, and sends an
// upgrade over one that has carried a request before.
func TestUpgradeOnAUsedConnection(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2})
	for uri, behind := range map[string][]byte{
		"/api/v1/ws": nil, "http://h/api/v1/ws": nil, "/api/v1/%77s": masked(0x81, []byte(`{"type":"ping"}`)),
	} {
		c := m.raw()
		br := bufio.NewReader(c)
		for range 2 {
			fmt.Fprint(c, "GET /other HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
		}
		request := fmt.Appendf(nil, "GET %s?token=alice&topics=a%%20b HTTP/1.1\r\n%s\r\n", uri, upgradeHead)
		c.Write(append(request, behind...))
		if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%+v %v, want the upgrade", resp, err)
		}
		if op, payload := readFrame(t, br); op != 1 || !bytes.Contains(payload, []byte(`"hello"`)) {
			t.Fatalf("got frame %d %q, want hello", op, payload)
		}
		if behind == nil {
			c.Write(masked(0x81, []byte(`{"type":"ping"}`)))
		}
		if op, payload := readFrame(t, br); op != 1 || !bytes.Contains(payload, []byte(`"pong"`)) {
			t.Fatalf("got frame %d %q, want pong", op, payload)
		}
		m.publish(wire.Topic("a b"), "live")
		if op, payload := readFrame(t, br); op != 1 || !bytes.Contains(payload, []byte(`"live"`)) {
			t.Fatalf("got frame %d %q, want the event", op, payload)
		}
		c.Close()
		m.gone(time.Second)
	}
}
