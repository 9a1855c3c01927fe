package mesh

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"golang.org/x/sync/errgroup"
)

// TestLaneWithoutServer: a lane whose connection is gone gets no requests while others
// have one. It would be the one with the least to do.
func TestLaneWithoutServer(t *testing.T) {
	srv, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Node: "test"}, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	m, err := Connect(t.Context(), Config{URLs: []string{srv.URL()}, Node: "test"}, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if _, err := m.Provision(t.Context(), LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	cut := forward(t, strings.TrimPrefix(srv.URL(), "nats://"))
	first, lost := true, make(chan struct{})
	r, err := newReader(func() (*conn, error) {
		url := srv.URL()
		opts := []nats.Option{nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.IgnoreDiscoveredServers()}
		if first {
			url, first = "nats://"+cut.addr, false
			opts = append(opts, nats.DisconnectErrHandler(func(*nats.Conn, error) { close(lost) }))
		}
		return dialConn(url, opts...)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	cut.end()
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Fatal("the lane is still connected")
	}
	var group errgroup.Group
	for range 16 {
		group.Go(func() error {
			for i := range 20 {
				if _, _, err := r.one(t.Context(), m.parts[0], request{Seq: 1, NextBy: "sv.ws.>"}); err != nil {
					return fmt.Errorf("request %d: %w", i, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

type forwarder struct {
	addr string
	ln   net.Listener
	mu   sync.Mutex
	open []net.Conn
}

// forward carries connections to a server until end.
func forward(t *testing.T, to string) *forwarder {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{addr: ln.Addr().String(), ln: ln}
	var all sync.WaitGroup
	t.Cleanup(func() { f.end(); all.Wait() })
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				continue
			}
			f.mu.Lock()
			f.open = append(f.open, c, s)
			f.mu.Unlock()
			all.Go(func() { io.Copy(s, c); s.Close() })
			all.Go(func() { io.Copy(c, s); c.Close() })
		}
	})
	return f
}

func (f *forwarder) end() {
	f.ln.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.open {
		c.Close()
	}
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
