package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// heap is the memory in use, after a collection.
func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapInuse
}

// TestSlowloris: many connections that send a header bit by bit are all answered
// 408, however lively they are; meanwhile they cost no more than what they have
// sent, and others are served.
func TestSlowloris(t *testing.T) {
	const peers, piece, pieces = 300, 5 << 10, 3 // less than the most a header may have
	m := newMesh(t, edge.Config{Loops: 1, HeaderTimeout: 4 * time.Second})
	honest := m.connect(client.Options{})
	before := heap()
	var conns []net.Conn
	for range peers {
		c := m.raw()
		fmt.Fprintf(c, "GET /api/v1/ws?token=a HTTP/1.1\r\n%s", upgradeHead)
		conns = append(conns, c)
	}
	for i := range pieces {
		for _, c := range conns {
			fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("x", piece))
		}
		honest.quiet() // the loop, being one, has read theirs
	}
	if grown := int64(heap()) - int64(before); grown > 2*peers*piece*pieces {
		t.Errorf("%d connections that sent %d bytes each hold %d bytes", peers, piece*pieces, grown)
	}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || resp.StatusCode != http.StatusRequestTimeout {
				t.Errorf("got %v %v, want 408", resp, err)
			}
			c.Close()
		})
		fmt.Fprint(c, "X: still here\r\n")
	}
	m.publish(wire.Broadcast(), "meanwhile")
	honest.wants("meanwhile")
	wg.Wait()
	honest.quiet()
	if grown := int64(heap()) - int64(before); grown > peers*piece*pieces/2 {
		t.Errorf("%d bytes are held after they have gone", grown)
	}
}

// TestResets: connections that are reset while frames wait for them, on the
// socket, in the ring or on a page of the stream, end at once and touch nobody
// else's messages.
func TestResets(t *testing.T) {
	const rounds, victims, messages = 3, 20, 300
	m := newMesh(t, edge.Config{Loops: 2, RingBytes: 256 << 10})
	var beside []*peer
	for i := range 4 {
		beside = append(beside, m.connect(client.Options{Token: fmt.Sprint("beside", i)}))
	}
	for round := range rounds {
		var resets []net.Conn
		for i := range victims {
			// Two of each user, so that those who are left are still found.
			c, _ := m.signIn(fmt.Sprintf("token=victim%d&topics=t&cursor=%s", i/2, cursorText(7, uint64(max(len(m.log.entries)-1, 0)))))
			c.(*net.TCPConn).SetLinger(0) // Close sends a reset
			resets = append(resets, c)
		}
		var wg sync.WaitGroup
		for _, p := range beside {
			wg.Go(func() {
				for i := range messages {
					if f, err := p.Next(m.ctx()); err != nil || titleOf(t, f) != big(i) {
						t.Errorf("round %d: got %+v, %v; want message %d", round, f, err, i)
						return
					}
				}
			})
		}
		rnd := rand.New(rand.NewPCG(uint64(round), 1))
		for i := range messages {
			m.publish(wire.Broadcast(), big(i))
			m.publish([]wire.Audience{wire.Topic("t"), wire.User(fmt.Sprint("victim", i%(victims/2)))}[i%2], big(i))
			if rnd.IntN(messages/victims) == 0 && len(resets) > 0 {
				resets[0].Close()
				resets = resets[1:]
			}
		}
		for _, c := range resets {
			c.Close()
		}
		wg.Wait()
		deadline := time.Now().Add(5 * time.Second)
		for m.edge.Sessions() > len(beside) {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: %d sessions, want %d: those that were reset are still held", round, m.edge.Sessions(), len(beside))
			}
			time.Sleep(time.Millisecond)
		}
	}
	for _, p := range beside {
		p.quiet()
	}
}

// TestHalfClosed: a client that ends its side has left, whatever it may still
// read: it gets what was written before, and the end of the stream. A request of
// HTTP before that end is answered.
func TestHalfClosed(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	rest := func(c net.Conn, br io.Reader) string {
		t.Helper()
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(br)
		if err != nil {
			t.Errorf("read %d bytes, then %v; want the end of the stream", len(got), err)
		}
		return string(got)
	}
	t.Run("a live session", func(t *testing.T) {
		c, br := m.signIn("token=a")
		m.publish(wire.Broadcast(), "before")
		beside := m.connect(client.Options{})
		beside.quiet() // the loop has delivered it
		if got := rest(c, br); strings.Count(got, `"before"`) != 1 {
			t.Errorf("got %q, want the message published before", got)
		}
		beside.Close(wire.CloseNormal)
		m.gone(5 * time.Second)
	})
	t.Run("behind an upgrade", func(t *testing.T) {
		c := m.raw()
		fmt.Fprintf(c, "GET /api/v1/ws?token=a HTTP/1.1\r\n%s\r\n", upgradeHead)
		if got := rest(c, c); !strings.HasPrefix(got, "HTTP/1.1 101 ") || !strings.Contains(got, `"hello"`) {
			t.Errorf("got %q, want the upgrade and hello", got)
		}
		m.gone(5 * time.Second)
	})
	t.Run("inside a header", func(t *testing.T) {
		c := m.raw()
		fmt.Fprintf(c, "GET /api/v1/ws?token=a HTTP/1.1\r\n%s", upgradeHead)
		if got := rest(c, c); got != "" {
			t.Errorf("got %q, want nothing", got)
		}
	})
	t.Run("behind a request of HTTP", func(t *testing.T) {
		c := m.raw()
		fmt.Fprint(c, "GET /other HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		if got := rest(c, c); !strings.HasSuffix(got, "GET /other 0") {
			t.Errorf("got %q, want the answer", got)
		}
	})
}

// TestDrainGrace: who is asked to move and stays is served for a second beyond its
// time, wherever in a tick of the loop's clock that is.
func TestDrainGrace(t *testing.T) {
	const sessions, grace = 1000, time.Second
	began := time.Now() // about when the loops' clocks did
	m := newMesh(t, edge.Config{Loops: 2})
	var all []*peer
	for i := range sessions {
		all = append(all, m.connect(client.Options{Token: fmt.Sprint("u", i)}))
	}
	var early atomic.Int32
	var wg sync.WaitGroup
	// To the middle of a tick, where what is left of it counts.
	time.Sleep((500*time.Millisecond - time.Since(began)%time.Second + time.Second) % time.Second)
	asked := time.Now() // or a little later: a bound from below
	for _, p := range all {
		wg.Go(func() {
			f, err := p.Next(t.Context())
			move, ok := f.(wire.Reconnect)
			if !ok {
				t.Errorf("got %+v, %v; want to be asked to move", f, err)
				return
			}
			_, err = p.Next(t.Context())
			if time.Since(asked) < time.Duration(move.AfterMS)*time.Millisecond+grace {
				early.Add(1)
			}
			if ce, ok := asClose(err); !ok || ce.Code != wire.CloseDrain {
				t.Errorf("ended with %v, want close %d", err, wire.CloseDrain)
			}
		})
	}
	m.edge.Drain(m.ctx())
	wg.Wait()
	if n := early.Load(); n > 0 {
		t.Errorf("%d of %d sessions were closed less than %v after their time", n, sessions, grace)
	}
}
