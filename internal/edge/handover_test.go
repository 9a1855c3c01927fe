package edge_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/netloop"
)

// through is a Terminator for connections that are plain already.
type through struct{}

func (through) Terminate(_ context.Context, fd int) (int, error) { return fd, nil }

// TestServerCloseDoesNotWait: net/http closes its connections one after the other with
// its lock held, so none may wait for its client, with TLS either.
func TestServerCloseDoesNotWait(t *testing.T) {
	e, err := edge.New(edge.Config{Loops: 1, TLS: through{}}, tokens{}, &fakeLog{life: 7}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e.Begin([]uint64{7}, []uint64{0})
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := netloop.Listen(ctx, "127.0.0.1:0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	const clients = 4
	var writes atomic.Int64
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b := make([]byte, 64<<10)
		for {
			if _, err := w.Write(b); err != nil {
				return
			}
			writes.Add(1)
		}
	})}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() { srv.Serve(e.HTTP(net.TCPAddrFromAddrPort(ln.Addr))) })
	defer func() {
		cancel()
		wg.Wait()
		ln.Close()
	}()
	for range clients {
		c, err := net.Dial("tcp", ln.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // no more than that
			t.Fatal(err)
		}
	}
	// All are written to until their sockets are full.
	last, since := int64(-1), 0
	for tick := time.Tick(10 * time.Millisecond); since < 20; <-tick {
		if n := writes.Load(); n != last {
			last, since = n, 0
		}
		since++
	}
	closed := make(chan error, 1)
	go func() { closed <- srv.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(6 * time.Second): // each would wait for 2
		t.Errorf("closing %d clients that do not read takes longer than 6 s", clients)
		<-closed
	}
}
