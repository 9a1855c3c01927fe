package program_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/app"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/config"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestMeshInOneProcess has three edges, an API and clients in this process, so
// that the race detector sees all of them: clients are cut off and come back to
// any edge, one edge is stopped and replaced, and each client sees each of its
// messages exactly once, in the order of its subject.
func TestMeshInOneProcess(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) { meshInOneProcess(t, partitions) })
	}
}

func meshInOneProcess(t *testing.T, partitions int) {
	n := startPartitioned(t, partitions)
	provision(t, n.URL(), "--ws-partitions", fmt.Sprint(partitions))
	run := func(role config.Role) *app.App {
		cfg := config.Config{
			Addr: "127.0.0.1:0", NATSURL: []string{n.URL()}, Prefix: "sv", Auth: "dev", Replicas: 1, Partitions: partitions,
			PublishHeader: "X-SV-KEY", PublishSecret: []string{secret}, PublishClaim: "publisher",
			HistorySize: 50, Slice: 256, Deflate: true, HistoryAge: time.Hour, ReplayLimit: 10_000, RingBytes: 256 << 10,
			PingInterval: time.Minute, DrainTimeout: 10 * time.Second, Loops: 2, LogLevel: "error", LogFormat: "text",
		}
		if err := cfg.Validate(role); err != nil {
			t.Fatal(err)
		}
		a, err := app.Start(t.Context(), cfg, role, "test", quietLog())
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "ready", func() bool { return a.Ready() == nil })
		return a
	}
	stop := func(a *app.App) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	edges := &edgeSet{}
	for range 3 {
		edges.apps = append(edges.apps, run(config.Role{Edge: true}))
	}
	api := run(config.Role{API: true})
	t.Cleanup(func() {
		stop(api)
		for _, a := range edges.apps {
			stop(a)
		}
	})

	js := jetStream(t, n.URL())
	const users, messages = 10, 1000
	var wg sync.WaitGroup
	var mu sync.Mutex
	want := map[string]map[string][]string{} // by user and what it is addressed to, in order
	for i := range users {
		want[fmt.Sprint("u", i)] = map[string][]string{}
	}
	started := make(chan struct{}, 2*users)
	for i := range 2 * users {
		user := fmt.Sprint("u", i%users)
		wg.Go(func() {
			got := wander(t, edges, user, rand.New(rand.NewPCG(uint64(i), 7)), started)
			mu.Lock()
			defer mu.Unlock()
			if fmt.Sprint(got) != fmt.Sprint(want[user]) {
				t.Errorf("%s: got %v, want %v, in order, once each", user, got, want[user])
			}
		})
	}
	for range 2 * users {
		<-started
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range messages + users + 1 {
		title, to := fmt.Sprint("m", i), rnd.IntN(users+2)-2 // < 0: everybody
		if i >= messages {
			title, to = "end", i-messages-1
		}
		mu.Lock()
		for u := range users {
			if to < 0 || to == u {
				mine, kind := want[fmt.Sprint("u", u)], "user"
				if to < 0 {
					kind = "broadcast"
				}
				mine[kind] = append(mine[kind], title)
			}
		}
		mu.Unlock()
		publishEither(t, js, "http://"+api.Addr().String(), title, to, i%10 == 0)
		if i == messages/2 { // one edge goes, drained, and another comes
			gone := edges.replace(0, run(config.Role{Edge: true}))
			stop(gone)
		}
	}
	wg.Wait()
}

// publishEither stores a message by REST or straight to NATS.
func publishEither(t *testing.T, js jetstream.JetStream, api, title string, to int, rest bool) {
	t.Helper()
	if rest {
		body := map[string]any{"title": title}
		if to >= 0 {
			body["to"] = map[string]any{"user": fmt.Sprint("u", to)}
		}
		if status, answer := post(t, api, body); status != 201 {
			t.Errorf("publish: %d %v", status, answer)
		}
		return
	}
	subject := "sv.ws.broadcast"
	if to >= 0 {
		subject = fmt.Sprint("sv.ws.user.u", to)
	}
	if _, err := js.Publish(t.Context(), subject, fmt.Appendf(nil, `{"type":"toast","payload":{"title":%q}}`, title)); err != nil {
		t.Error(err)
	}
}

type edgeSet struct {
	mu   sync.Mutex
	apps []*app.App
}

func (s *edgeSet) replace(i int, a *app.App) *app.App {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.apps[i]
	s.apps[i] = a
	return old
}

func (s *edgeSet) any(rnd *rand.Rand) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.apps[rnd.IntN(len(s.apps))].Addr().String()
}

// wander is a client that moves from edge to edge, cut off at any moment.
func wander(t *testing.T, edges *edgeSet, user string, rnd *rand.Rand, started chan<- struct{}) map[string][]string {
	got := map[string][]string{}
	ended := func(to string) bool { return len(got[to]) > 0 && got[to][len(got[to])-1] == "end" }
	cursor, first := "", true
	for t.Context().Err() == nil {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		c, err := client.Dial(ctx, client.Options{URL: edges.any(rnd), Token: token(t, user), Cursor: cursor})
		if err != nil { // an edge that is just going
			cancel()
			continue
		}
		for n := 1 + rnd.IntN(30); n > 0 && !(ended("user") && ended("broadcast")); n-- {
			f, err := c.Next(ctx)
			if err != nil {
				break
			}
			if pos := client.CursorOf(f); pos != "" {
				cursor = pos
			}
			if first {
				first = false
				started <- struct{}{}
			}
			switch f := f.(type) {
			case wire.Gap:
				t.Errorf("%s: %+v although nothing was removed", user, f)
			case wire.Event:
				got[f.To] = append(got[f.To], titleOf(t, f))
			}
		}
		c.Close(wire.CloseNormal)
		cancel()
		if ended("user") && ended("broadcast") {
			break
		}
	}
	return got
}
