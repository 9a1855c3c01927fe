package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestPublishIsIdempotent(t *testing.T) {
	m := connected(t)
	msg := message(wire.User("a.b"), "once")
	msg.MsgID = "key"
	first := publish(t, m, msg)[0]
	again := publish(t, m, msg)[0]
	if first.Duplicate || !again.Duplicate || again.ID != first.ID || first.ID.Life == 0 {
		t.Fatalf("first %+v, again %+v: want the same id, the second a duplicate", first, again)
	}
	if first.Subject != "sv.ws.user.=YS5i" {
		t.Errorf("subject %s", first.Subject)
	}
	if state, err := m.State(t.Context()); err != nil || state[0].Last != 1 {
		t.Errorf("the log holds %+v, %v: want one message", state, err)
	}
}

func TestPublishWithoutALog(t *testing.T) {
	m := connectTo(t, mesh.Config{Server: server(t, t.TempDir(), "")})
	_, err := m.Publish(t.Context(), []wire.Message{message(wire.Broadcast(), "x")})
	if !errors.Is(err, wire.ErrUnavailable) || !strings.Contains(err.Error(), "vibemesh provision") {
		t.Fatalf("got %v, want to be told to provision", err)
	}
}

// TestDataDirIsOnes: a second server on the same directory would destroy the log.
func TestDataDirIsOnes(t *testing.T) {
	dir := t.TempDir()
	first := server(t, dir, "")
	_, err := natsserver.Start(natsserver.Config{DataDir: dir, Node: "other"}, quiet())
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("got %v, want to be told that the directory is in use", err)
	}
	first.Stop()
	server(t, dir, "")
}

func TestProvisionTwice(t *testing.T) {
	m := connected(t)
	publish(t, m, message(wire.Broadcast(), "kept"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			state, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: 2 * time.Hour})
			if err != nil || state.Last != 1 {
				t.Errorf("%+v, %v", state, err)
			}
		})
	}
	wg.Wait()
}

// sink remembers what the tail brings.
type sink struct {
	mu     sync.Mutex
	life   uint64
	begins int
	// caughtUp is asked in Begin: nobody may be let in before it has returned.
	caughtUp func() bool
	early    bool
	seqs     []uint64
	skips    []uint64
	moved    chan struct{}
}

func (s *sink) Begin(lives []uint64, _ wire.Vector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caughtUp != nil && s.caughtUp() {
		s.early = true
	}
	s.life, s.begins = lives[0], s.begins+1
	s.seqs, s.skips = nil, nil
}

func (s *sink) Append(e *wire.Entry)   { s.add(&s.seqs, e.Seq) }
func (s *sink) Skip(_ int, seq uint64) { s.add(&s.skips, seq) }

func (s *sink) add(to *[]uint64, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*to = append(*to, seq)
	select {
	case s.moved <- struct{}{}:
	default:
	}
}

// until waits for the tail to bring as many entries.
func (s *sink) until(t *testing.T, n int) {
	t.Helper()
	timeout := time.After(40 * time.Second)
	for {
		s.mu.Lock()
		got := len(s.seqs)
		s.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-s.moved:
		case <-timeout:
			t.Fatalf("%d of %d entries came", got, n)
		}
	}
}

func follow(t *testing.T, m *mesh.Mesh, warm uint64) *sink {
	t.Helper()
	s := &sink{moved: make(chan struct{}, 1), caughtUp: m.CaughtUp}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Follow(ctx, s, warm); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return s
}

func TestNotCaughtUpBeforeItBegan(t *testing.T) {
	m := connected(t) // an empty log
	s := follow(t, m, 10)
	publish(t, m, message(wire.Broadcast(), "first"))
	s.until(t, 1)
	if s.early || !m.CaughtUp() {
		t.Errorf("caught up before the sink has begun: %v, at the end: %v", s.early, m.CaughtUp())
	}
}

func TestFollowStartsInThePast(t *testing.T) {
	m := connected(t)
	for i := range 100 {
		publish(t, m, message(wire.Broadcast(), fmt.Sprint(i)))
	}
	s := follow(t, m, 30)
	s.until(t, 30)
	if s.seqs[0] != 71 {
		t.Errorf("the tail begins at %d, want 71", s.seqs[0])
	}
	publish(t, m, message(wire.Broadcast(), "unfit"), message(wire.Audience{Kind: wire.KindRead, ID: "a"}, "x"), message(wire.Broadcast(), "new"))
	s.until(t, 31)
	if fmt.Sprint(s.skips) != "[101 102]" || s.seqs[30] != 103 {
		t.Errorf("skipped %v, then %d", s.skips, s.seqs[30])
	}
	if !m.CaughtUp() || m.Lag() != 0 {
		t.Error("the tail does not know that it is at the head")
	}
}

// TestFollowThroughRestarts: the server goes and comes back, three times, and the
// tail has every message once and in order.
func TestFollowThroughRestarts(t *testing.T) {
	dir := t.TempDir()
	srv := server(t, dir, "127.0.0.1:0")
	listen := strings.TrimPrefix(srv.URL(), "nats://")
	m := connectTo(t, mesh.Config{URLs: []string{srv.URL()}})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	s := follow(t, m, 1000)
	published := 0
	for range 3 {
		for range 20 {
			for { // until NATS is back
				_, err := m.Publish(t.Context(), []wire.Message{message(wire.Broadcast(), "x")})
				if err == nil {
					break
				}
				if !errors.Is(err, wire.ErrUnavailable) {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Millisecond)
			}
			published++
		}
		srv.Stop()
		srv = server(t, dir, listen)
	}
	s.until(t, published)
	for i, seq := range s.seqs {
		if seq != uint64(i+1) {
			t.Fatalf("entry %d has sequence %d", i, seq)
		}
	}
	if s.begins != 1 {
		t.Errorf("the tail began %d times, want it to go on", s.begins)
	}
}
