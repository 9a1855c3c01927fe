package tlsport_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

// The client ends its side, and still hears what the loop says.
func TestClientEndsItsSide(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		client, plain := r.connect(r.pair.client())
		f := r.file(plain)
		if _, err := io.WriteString(client, "last words"); err != nil {
			t.Fatal(err)
		}
		if err := client.CloseWrite(); err != nil { // close_notify, and no end of the TCP stream
			t.Fatal(err)
		}
		if got, err := readAll(f); string(got) != "last words" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		answer := bytes.Repeat([]byte("a"), 100_000)
		go func() {
			f.Write(answer)
			shut(t, f)
		}()
		if got, err := io.ReadAll(client); !bytes.Equal(got, answer) || err != nil {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		f.Close()
		eventually(t, "the end of the relay", func() bool { return r.Relays() == 0 })
	})
}

// endSpy notes that the TCP stream itself has ended.
type endSpy struct {
	net.Conn
	ended atomic.Bool
}

func (c *endSpy) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.ended.Store(true)
	}
	return n, err
}

// The loop ends its side: the client hears a close_notify before the end of the
// TCP stream, and the loop still hears the client.
func TestLoopEndsItsSide(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		conn, fd := r.dial()
		spy := &endSpy{Conn: conn}
		client := tls.Client(spy, r.pair.client())
		shaken := make(chan error, 1)
		go func() { shaken <- client.Handshake() }()
		plain, err := r.Terminate(r.ctx, fd)
		if err := errors.Join(err, <-shaken); err != nil {
			t.Fatal(err)
		}
		f := r.file(plain)
		if _, err := f.WriteString("bye"); err != nil {
			t.Fatal(err)
		}
		shut(t, f)
		if got, err := io.ReadAll(client); string(got) != "bye" || err != nil || spy.ended.Load() {
			t.Fatalf("%q, %v; the stream ended without close_notify: %v", got, err, spy.ended.Load())
		}
		if n, err := conn.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // as net.Conn has it
			t.Errorf("behind close_notify: %d, %v; want the end of the stream", n, err)
		}
		if _, err := io.WriteString(client, "so long"); err != nil {
			t.Fatal(err)
		}
		client.Close()
		if got, err := readAll(f); string(got) != "so long" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

// The loop closes without another word, with something written before.
func TestLoopCloses(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		client, plain := r.connect(r.pair.client())
		if n, err := netloop.Write(plain, []byte("bye")); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		netloop.CloseFD(plain)
		if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		// The client does not close: the relay must not wait for it.
		eventually(t, "the end of the relay", func() bool { return r.Relays() == 0 })
	})
}

// The client is gone: a reset, as from a machine that knows nothing of it.
func TestClientIsGone(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		client, plain := r.connect(r.pair.client())
		f := r.file(plain)
		tcp, ok := client.NetConn().(*net.TCPConn)
		if !ok {
			t.Fatalf("a %T", client.NetConn())
		}
		if err := tcp.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		tcp.Close()
		if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d, %v", n, err)
		}
		eventually(t, "the end of the relay", func() bool { return r.Relays() == 0 })
	})
}

// What is not TLS amid a connection ends it, and the client is told.
func TestForgedRecord(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		client, plain := r.connect(r.pair.client())
		f := r.file(plain)
		forged := append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...)
		if _, err := client.NetConn().Write(forged); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d, %v", n, err)
		}
		f.Close()
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("the client was told nothing")
		}
		eventually(t, "the end of the relay", func() bool { return r.Relays() == 0 })
	})
}

// An edge's loop reads only when an event says so, and no further than to a read
// that comes back short. The end must reach it however it comes.
func TestEventsOfTheEnd(t *testing.T) {
	for name, end := range map[string]func(client *tls.Conn, held *cork) error{
		"close_notify alone": func(client *tls.Conn, held *cork) error {
			return errors.Join(client.CloseWrite(), held.pull())
		},
		"close_notify and the stream": func(client *tls.Conn, held *cork) error {
			return errors.Join(client.CloseWrite(), held.pull(), endStream(held.Conn))
		},
		"the stream alone": func(_ *tls.Conn, held *cork) error {
			return errors.Join(held.pull(), endStream(held.Conn))
		},
	} {
		t.Run(name, func(t *testing.T) {
			paths(t, func(t *testing.T, r *rig) {
				conn, fd := r.dial()
				held := &cork{Conn: conn, pulled: true}
				client := tls.Client(held, r.pair.client())
				shaken := make(chan error, 1)
				go func() { shaken <- client.Handshake() }()
				plain, err := r.Terminate(r.ctx, fd)
				if err := errors.Join(err, <-shaken); err != nil {
					t.Fatal(err)
				}
				defer netloop.CloseFD(plain)
				p, err := netloop.NewPoller()
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				if err := p.Add(plain, 1); err != nil {
					t.Fatal(err)
				}
				held.pulled = false // data and end in one packet
				if _, err := io.WriteString(client, "data"); err != nil {
					t.Fatal(err)
				}
				if err := end(client, held); err != nil {
					t.Fatal(err)
				}
				var got []byte
				ended, isEnd := false, false
				buf := make([]byte, 64)
				for !isEnd {
					events, _, err := p.Wait(patience)
					if err != nil || len(events) == 0 {
						t.Fatalf("after %q, no event tells of the end (%v)", got, err)
					}
					ended = ended || events[0].Ended
					for events[0].Readable {
						n, err := netloop.Read(plain, buf)
						if errors.Is(err, netloop.ErrAgain) {
							break
						}
						if isEnd = err != nil || n == 0; isEnd {
							break
						}
						got = append(got, buf[:n]...)
						if n < len(buf) && !ended {
							break
						}
					}
				}
				if string(got) != "data" {
					t.Errorf("read %q before the end", got)
				}
			})
		})
	}
}

func endStream(c net.Conn) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return errors.New("not TCP")
	}
	return tcp.CloseWrite()
}

// Run's end passes on what loops have written.
func TestRunEnds(t *testing.T) {
	r := newRig(t, withECDSA, false)
	client, plain := r.connect(r.pair.client())
	idle, idlePlain := r.connect(r.pair.client())
	defer netloop.CloseFD(idlePlain)
	if n, err := netloop.Write(plain, []byte("bye")); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	netloop.CloseFD(plain)
	r.stop()
	if got, err := io.ReadAll(client); string(got) != "bye" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := io.ReadAll(idle); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if n, err := netloop.Read(idlePlain, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the loop reads %d, %v; want the end", n, err)
	}
}

// fill writes until nothing more is taken for a while.
func fill(t *testing.T, write func(b []byte) (int, error)) int {
	t.Helper()
	chunk := bytes.Repeat([]byte("f"), 32<<10)
	total := 0
	for range 1 << 14 {
		n, err := write(chunk)
		total += n
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return total
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("%d bytes, and more are taken: nothing holds the writer back", total)
	return 0
}

// Who does not read is felt by who writes, and nothing is lost by it.
func TestBackpressure(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		client, plain := r.connect(r.pair.client())
		f := r.file(plain)
		total := fill(t, func(b []byte) (int, error) {
			if err := f.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			return f.Write(b)
		})
		t.Logf("%d bytes were taken for a client that does not read", total)
		shutting := make(chan struct{})
		go func() {
			defer close(shutting)
			shut(t, f)
		}()
		if n, err := io.Copy(io.Discard, client); n != int64(total) || err != nil {
			t.Fatalf("the client got %d of %d, %v", n, total, err)
		}
		<-shutting
	})
}

func TestBackpressureOnClients(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		client, plain := r.connect(r.pair.client())
		f := r.file(plain)
		raw := client.NetConn()
		// A tls.Conn that could not write is of no use afterwards, so the count is of
		// whole records, and the one that was cut must not be read.
		total := fill(t, func(b []byte) (int, error) {
			if err := raw.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			return client.Write(b)
		})
		t.Logf("%d bytes were taken for a loop that does not read", total)
		if err := raw.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.Copy(io.Discard, onlyReader{f})
		if got > int64(total)+32<<10 || got < int64(total)-32<<10 {
			t.Fatalf("the loop got %d of %d, %v", got, total, err)
		}
	})
}

// A loop that has closed does not wait for a client that does not read; the relay
// does, for some seconds.
func TestLinger(t *testing.T) {
	r := newRig(t, withECDSA, false)
	_, plain := r.connect(r.pair.client())
	f := r.file(plain)
	fill(t, func(b []byte) (int, error) {
		if err := f.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		return f.Write(b)
	})
	f.Close()
	eventually(t, "the end of the relay", func() bool { return r.Relays() == 0 })
}

// The handshake leaves the options alone that the socket has from its listener.
func TestSocketOptions(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		conn, fd := r.dial()
		options := []struct{ level, option, value int }{
			{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 11},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 3},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 4},
		}
		for _, o := range options {
			if err := syscall.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
				t.Fatal(err)
			}
		}
		same, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer netloop.CloseFD(same)
		client := tls.Client(conn, r.pair.client())
		go client.Handshake()
		plain, err := r.Terminate(r.ctx, fd)
		if err != nil {
			t.Fatal(err)
		}
		defer netloop.CloseFD(plain)
		for _, o := range options {
			if got, err := syscall.GetsockoptInt(same, o.level, o.option); got != o.value || err != nil {
				t.Errorf("option %d is %d, %v; want %d", o.option, got, err, o.value)
			}
		}
	})
}
