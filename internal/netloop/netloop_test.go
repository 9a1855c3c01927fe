package netloop_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func pair(t *testing.T) (fd int, peer net.Conn, p *netloop.Poller) {
	t.Helper()
	ln, err := netloop.Listen(t.Context(), "127.0.0.1:0", 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, _, err := netloop.Accept(ln.FD); !errors.Is(err, netloop.ErrAgain) {
		t.Fatalf("accept on an idle listener: %v, want ErrAgain", err)
	}
	p, err = netloop.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if err := p.AddListener(ln.FD, 9); err != nil {
		t.Fatal(err)
	}
	peer, err = net.Dial("tcp", ln.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	if _, err := peer.Write([]byte("x")); err != nil { // before, the kernel holds it back
		t.Fatal(err)
	}
	if ev := wait(t, p); ev.ID != 9 || !ev.Readable {
		t.Fatalf("listener event %+v", ev)
	}
	fd, from, err := netloop.Accept(ln.FD)
	if err != nil {
		t.Fatal(err)
	}
	var b [2]byte
	if n, err := netloop.Peek(fd, b[:]); n != 1 || err != nil {
		t.Fatalf("peeked %d bytes, %v", n, err)
	}
	if n, err := netloop.Read(fd, b[:]); n != 1 || err != nil {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	if got := from.String(); got != peer.LocalAddr().String() {
		t.Errorf("peer %s, want %s", got, peer.LocalAddr())
	}
	for opt, want := range map[int]int{unix.TCP_NODELAY: 1, unix.TCP_USER_TIMEOUT: 20_000} {
		if got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, opt); got != want || err != nil {
			t.Errorf("TCP option %d is %d, want %d inherited from the listener (%v)", opt, got, want, err)
		}
	}
	if err := p.Add(fd, 1<<40|7); err != nil {
		t.Fatal(err)
	}
	return fd, peer, p
}

func wait(t *testing.T, p *netloop.Poller) netloop.Event {
	t.Helper()
	for range 10 {
		events, _, err := p.Wait(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) > 0 {
			return events[0]
		}
	}
	t.Fatal("no event")
	return netloop.Event{}
}

func TestSocket(t *testing.T) {
	fd, peer, p := pair(t)
	if ev := wait(t, p); ev.ID != 1<<40|7 || !ev.Writable {
		t.Fatalf("a new socket is writable, got %+v", ev)
	}
	buf := make([]byte, 16)
	if _, err := netloop.Read(fd, buf); !errors.Is(err, netloop.ErrAgain) {
		t.Fatalf("read with nothing there: %v", err)
	}
	if _, err := peer.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if ev := wait(t, p); !ev.Readable {
		t.Fatalf("got %+v", ev)
	}
	if n, err := netloop.Read(fd, buf); err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}

	var v netloop.Vectors
	v.Add([]byte("one "))
	v.Add(nil)
	v.Add([]byte("two "))
	v.Add([]byte("three"))
	if v.Len() != 3 || v.Size() != 13 {
		t.Fatalf("len %d size %d", v.Len(), v.Size())
	}
	if n, err := v.Writev(fd, 1); n != 9 || err != nil {
		t.Fatalf("writev: %d, %v", n, err)
	}
	if n, err := v.Writev(fd, 2); n != 5 || err != nil {
		t.Fatalf("writev of one: %d, %v", n, err)
	}
	netloop.ShutdownWrite(fd)
	if got, err := io.ReadAll(peer); err != nil || string(got) != "two threethree" {
		t.Fatalf("peer got %q, %v", got, err)
	}
	peer.Close()
	if ev := wait(t, p); !ev.Readable {
		t.Fatalf("got %+v", ev)
	}
	if n, err := netloop.Read(fd, buf); n != 0 || err != nil {
		t.Fatalf("end of stream: %d, %v", n, err)
	}
	netloop.CloseFD(fd)
}

func TestWritevPartial(t *testing.T) {
	fd, peer, _ := pair(t)
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	var v netloop.Vectors
	for range 64 {
		v.Add(chunk)
	}
	total := 0
	for {
		n, err := v.Writev(fd, 0)
		if errors.Is(err, netloop.ErrAgain) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	netloop.CloseFD(fd)
	n, err := io.Copy(io.Discard, peer)
	if err != nil || n != int64(total) {
		t.Fatalf("peer got %d of %d, %v", n, total, err)
	}
}

func TestConnHandOver(t *testing.T) {
	fd, peer, _ := pair(t)
	conn, err := netloop.Conn(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	back, err := netloop.Take(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer netloop.CloseFD(back)
	if got, err := unix.GetsockoptInt(back, unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != 0 || err != nil {
		t.Errorf("taken back, the kernel probes the socket: %d (%v)", got, err)
	}
	go func() {
		peer.Write([]byte("ping"))
	}()
	buf := make([]byte, 4)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "ping" {
		t.Fatalf("%q, %v", buf, err)
	}
}

func TestWake(t *testing.T) {
	p, err := netloop.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			p.Wake()
		}
	}()
	<-done
	if _, woken, err := p.Wait(-1); !woken || err != nil {
		t.Fatalf("woken %v, %v", woken, err)
	}
	if _, woken, err := p.Wait(0); woken || err != nil {
		t.Fatalf("a thousand wakes are one: woken again, %v", err)
	}
	p.Wake()
	if _, woken, err := p.Wait(-1); !woken || err != nil {
		t.Fatalf("not woken after the first wake was seen: %v", err)
	}
}

// TestWheel: every item comes up exactly once, at its own tick, or one turn of
// the wheel later at most.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1000, 0)
		const tick, slots = time.Second, 16
		w := netloop.NewWheel(tick, slots, start)
		due := map[uint64]int64{}
		now, id := start, uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "add") {
				id++
				at := w.Tick(now) + rapid.Int64Range(-2, 30).Draw(t, "ticks")
				w.Add(id, at)
				due[id] = min(max(at, w.Tick(now)+1), w.Tick(now)+slots-1)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 2500).Draw(t, "pass")) * time.Millisecond)
			w.Advance(now, func(id uint64) {
				if at, waiting := due[id]; !waiting || at > w.Tick(now) {
					t.Fatalf("item %d: waiting %v, due at %d, came by %d", id, waiting, at, w.Tick(now))
				}
				delete(due, id)
			})
			for id, at := range due {
				if at <= w.Tick(now) {
					t.Fatalf("item %d of tick %d is late at %d", id, at, w.Tick(now))
				}
			}
			if until := w.Until(now); (until < 0) != (len(due) == 0) || until > tick {
				t.Fatalf("until %v with %d waiting", until, len(due))
			}
		}
	})
}
