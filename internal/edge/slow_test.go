package edge_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// big makes a title that fills socket buffers and small rings quickly.
func big(i int) string { return fmt.Sprintf("%d %s", i, strings.Repeat("x", 4000)) }

// TestSlowConsumer: clients that do not read while far more goes by than their
// sockets and the ring hold get everything once they read, once and in order:
// what the socket took, then from the stream, then from the ring, then live.
func TestSlowConsumer(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2, RingBytes: 1 << 20, ReplayLimit: 10})
	slow := []*peer{
		m.connect(client.Options{Token: "alice"}), m.connect(client.Options{Token: "bob", Topics: []string{"t"}}),
	}
	fast := m.connect(client.Options{Token: "carol"})
	const n = 3000 // 12 MB
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			if i%3 == 0 {
				fast.wants(big(i))
			}
		}
	})
	for i := range n {
		m.publish([]wire.Audience{wire.Broadcast(), wire.User("alice"), wire.Topic("t")}[i%3], big(i))
	}
	wg.Wait()
	for who, p := range slow {
		for i := range n {
			if i%3 == 0 || i%3 == who+1 {
				p.wants(big(i))
			}
		}
	}
	m.publish(wire.Broadcast(), "live again")
	for _, p := range slow {
		p.wants("live again")
		p.quiet()
	}
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if m.log.pages == 0 {
		t.Error("no page was read of the stream: the test did not make anyone fall off the ring")
	}
}

// TestHistoryFails: a session that needs the stream while it cannot be read
// goes on by itself when it can.
func TestHistoryFails(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, RingBytes: 256 << 10})
	p := m.connect(client.Options{})
	m.log.mu.Lock()
	m.log.fail = errors.New("out of order")
	m.log.mu.Unlock()
	const n = 4000
	for i := range n {
		m.publish(wire.Broadcast(), big(i))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			p.wants(big(i))
		}
	})
	for failed := false; !failed && m.ctx().Err() == nil; time.Sleep(time.Millisecond) {
		m.log.mu.Lock()
		if failed = m.log.pages > 0; failed {
			m.log.fail = nil
		}
		m.log.mu.Unlock()
	}
	wg.Wait()
	p.quiet()
}

// TestEverySessionGetsItsOwn is the promise, under churn: sessions of several
// users come, are cut off at any moment, and come back with their cursor, to
// either of two edges with rings far smaller than the traffic, while broadcasts
// and messages for users and a topic go by in bursts. Each client must have seen
// each of its messages exactly once, in order.
func TestEverySessionGetsItsOwn(t *testing.T) {
	log := &fakeLog{life: 7}
	var meshes []*mesh
	for range 2 {
		m := startEdge(t, log, edge.Config{Loops: 2, RingBytes: 256 << 10, ReplayLimit: 100_000})
		m.edge.Begin([]uint64{7}, wire.Vector{0})
		meshes = append(meshes, m)
	}
	const messages, clients = 3000, 40
	audiences := []wire.Audience{wire.Broadcast(), wire.Topic("t"), wire.Broadcast()}
	for i := range clients / 2 { // two clients a user
		audiences = append(audiences, wire.User(fmt.Sprint("u", i)))
	}
	var wg sync.WaitGroup
	for i := range clients {
		user, inTopic := fmt.Sprint("u", i/2), i%2 == 0
		wg.Go(func() {
			var want []string
			got := collect(t, meshes, user, inTopic, rand.New(rand.NewPCG(uint64(i), 1)), "end")
			log.mu.Lock()
			defer log.mu.Unlock()
			for _, e := range log.entries {
				if e.Audience.Kind == wire.KindBroadcast || e.Audience == wire.User(user) || inTopic && e.Audience == wire.Topic("t") {
					want = append(want, e.ID().String())
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s got %d of %d messages", user, len(got), len(want))
				return
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s: message %d is %s, want %s", user, i, got[i], want[i])
					return
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range messages {
		e := log.add(audiences[rnd.IntN(len(audiences))], fmt.Sprintf("%d %s", i, strings.Repeat("x", rnd.IntN(1000))))
		for _, m := range meshes {
			m.edge.Append(e)
		}
		if i%200 == 0 {
			// Let the clients connect in between, without a clock: until both edges
			// have somebody.
			for meshes[0].edge.Sessions() == 0 && meshes[1].edge.Sessions() == 0 && !t.Failed() {
				time.Sleep(time.Millisecond)
			}
		}
	}
	end := log.add(wire.Broadcast(), "end")
	for _, m := range meshes {
		m.edge.Append(end)
	}
	wg.Wait()
}

// collect is one client's life: it returns the ids it has seen, in order, when a
// message with the last title has come.
func collect(t *testing.T, meshes []*mesh, user string, inTopic bool, rnd *rand.Rand, last string) (ids []string) {
	cursor := cursorText(7, 0)
	for session := 0; session < 10_000; session++ {
		opts := client.Options{URL: meshes[rnd.IntN(len(meshes))].url, Token: user, Cursor: cursor}
		if inTopic {
			opts.Topics = []string{"t"}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		c, err := client.Dial(ctx, opts)
		if err != nil {
			t.Errorf("%s: %v", user, err)
			cancel()
			return ids
		}
		done := false
		for range 1 + rnd.IntN(200) {
			f, err := c.Next(ctx)
			if err != nil {
				t.Errorf("%s: %v", user, err)
				done = true
				break
			}
			cursor = client.CursorOf(f)
			switch f := f.(type) {
			case wire.Event:
				ids = append(ids, f.ID)
				done = titleOf(t, f) == last
			case wire.Gap:
				t.Errorf("%s: a gap although nothing was removed: %+v", user, f)
			}
			if done {
				break
			}
		}
		c.Close(wire.CloseNormal)
		cancel()
		if done {
			return ids
		}
	}
	return ids
}
