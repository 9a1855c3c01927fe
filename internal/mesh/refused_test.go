package mesh

import (
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// withUser is a server that knows one user. Its settings can be given anew.
func withUser(t *testing.T, password string) *server.Server {
	t.Helper()
	s, err := server.NewServer(userOptions(password, server.RANDOM_PORT))
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(15 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s
}

func userOptions(password string, port int) *server.Options {
	return &server.Options{
		Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true,
		Users: []*server.User{{Username: "mesh", Password: password}},
	}
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(line))
	return len(line), nil
}

// with is how many lines have a text.
func (l *lines) with(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// TestRefusedForAWhile: a server that does not know this user, since its accounts were
// changed before the credentials or the other way round, is asked again and again: when
// both fit, all is well without a restart. The log is not filled meanwhile.
func TestRefusedForAWhile(t *testing.T) {
	s := withUser(t, "one")
	port := s.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
	var said lines
	m, err := Connect(t.Context(), Config{URLs: []string{fmt.Sprintf("nats://mesh:one@127.0.0.1:%d", port)}, Node: "test"}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	m.NewSignals() // as an edge has them: they use the connection too
	reload := func(password string) {
		t.Helper()
		if err := s.ReloadOptions(userOptions(password, int(port))); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() (least uint64) {
		least = math.MaxUint64
		for i := range m.faults.of[:] {
			least = min(least, m.faults.of[i][faultAuthorization].Load())
		}
		return least
	}
	wait := func(what string, ok func() bool) {
		t.Helper()
		deadline, tick := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
		defer tick.Stop()
		for !ok() {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatal(what, m.Connected())
			}
		}
	}
	reload("two")
	// The first is that the server ends the connection; then each is asked for twice and more.
	wait("the server is not asked again: ", func() bool { return refused() >= 4 })
	if n := said.with("authorization violation"); n == 0 || n > len(roles) {
		t.Errorf("%d lines say so of %d connections", n, len(roles)+readLanes)
	}
	reload("one")
	wait("the connections do not come back: ", func() bool { return m.Connected() == nil })
}
