package mesh_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"
)

// TestHistoryOfAGrowingLog compares pages, newest-first reading and counts with plain
// slices while messages are added between them, with keys whose events take each other's
// place: what is remembered of the log has to follow it.
func TestHistoryOfAGrowingLog(t *testing.T) {
	for name, connect := range map[string]func(testing.TB) *mesh.Mesh{
		"one partition": connected,
		"four partitions": func(t testing.TB) *mesh.Mesh {
			m, _ := fourPartitions(t)
			return m
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := &growing{m: connect(t)}
			people := 0
			rapid.Check(t, func(rt *rapid.T) {
				people++ // each finds the broadcasts of those before
				g.person, g.state = fmt.Sprint("zoë", people), wire.ReadState{}
				checkGrowing(t, rt, g)
			})
		})
	}
}

// growing is what a growing log should hold.
type growing struct {
	m      *mesh.Mesh
	all    []wire.Message
	ids    []wire.EventID
	state  wire.ReadState
	person string
}

func checkGrowing(outer *testing.T, t *rapid.T, g *growing) {
	audiences := []wire.Audience{wire.Broadcast(), wire.User(g.person), wire.User("other")}
	for range rapid.IntRange(1, 6).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"publish", "publish", "read", "newest", "unread"}).Draw(t, "step") {
		case "publish":
			// One by one: then the order in which they were stored is known.
			for range rapid.IntRange(1, 6).Draw(t, "messages") {
				msg := message(rapid.SampledFrom(audiences).Draw(t, "to"), fmt.Sprint(len(g.all)))
				if rapid.IntRange(0, 3).Draw(t, "keyed") == 0 {
					msg.Collapse = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key")
				}
				g.ids = append(g.ids, publish(outer, g.m, msg)[0].ID)
				g.all = append(g.all, msg)
			}
		case "read":
			g.read(outer.Context(), t)
		case "newest":
			g.newest(outer.Context(), t)
		case "unread":
			g.unread(outer.Context(), t)
		}
	}
	g.newest(outer.Context(), t)
	g.unread(outer.Context(), t)
}

func (g *growing) read(ctx context.Context, t *rapid.T) {
	if len(g.ids) == 0 {
		return
	}
	id := rapid.SampledFrom(g.ids).Draw(t, "id")
	change := wire.Change{Read: []wire.EventID{id}}
	if rapid.Bool().Draw(t, "unread") {
		change = wire.Change{Unread: []wire.EventID{id}}
	}
	var err error
	if g.state, err = g.m.Mark(ctx, g.person, change); err != nil {
		t.Fatal(err)
	}
}

// shown are the events of the person's history, newest first.
func (g *growing) shown() (ids []wire.EventID) {
	keys := map[string]bool{}
	for i, msg := range slices.Backward(g.all) {
		if msg.Audience != wire.Broadcast() && msg.Audience != wire.User(g.person) {
			continue
		}
		if key := fmt.Sprint(msg.Audience, msg.Collapse); msg.Collapse == "" || !keys[key] {
			keys[key] = true
			ids = append(ids, g.ids[i])
		}
	}
	return ids
}

func (g *growing) newest(ctx context.Context, t *rapid.T) {
	limit := rapid.IntRange(1, 30).Draw(t, "limit")
	entries, err := g.m.Newest(ctx, []wire.Audience{wire.User(g.person), wire.Broadcast()}, nil, limit)
	if err != nil {
		t.Fatal(err)
	}
	want := g.shown()
	want = want[:min(limit, len(want))]
	got := []wire.EventID{}
	for _, e := range entries {
		got = append(got, e.ID())
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the newest %d: %v, want %v", limit, got, want)
	}
}

func (g *growing) unread(ctx context.Context, t *rapid.T) {
	got, err := g.m.Unread(ctx, g.person, g.state, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, id := range g.shown() {
		if !g.state.IsRead(id) {
			want++
		}
	}
	if want = min(want, mesh.MaxUnread); got != want {
		t.Fatalf("%d unread, want %d", got, want)
	}
}

// TestRememberedIsBounded: of many broadcasts the newest are remembered, and pages that
// reach further back are as complete.
func TestRememberedIsBounded(t *testing.T) {
	m := connected(t)
	const total = mesh.RecentMsgs + 720
	for i := 0; i < total; i += 100 {
		batch := make([]wire.Message, 100)
		for k := range batch {
			batch[k] = message(wire.Broadcast(), fmt.Sprint(i+k))
		}
		publish(t, m, batch...)
		if i == 500 {
			m.Remember(t.Context())
		}
		if _, err := m.Newest(t.Context(), []wire.Audience{wire.Broadcast()}, nil, 3); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.Remembered(); got != mesh.RecentMsgs {
		t.Errorf("%d messages are remembered, want %d", got, mesh.RecentMsgs)
	}
	all, err := m.Newest(t.Context(), []wire.Audience{wire.Broadcast()}, nil, total+1)
	if err != nil || len(all) != total {
		t.Fatalf("%d of %d events, %v", len(all), total, err)
	}
	for i := range all {
		if want := fmt.Sprintf(`{"title":%q}`, fmt.Sprint(total-1-i)); string(all[i].Payload) != want {
			t.Fatalf("event %d is %s, want %s", i, all[i].Payload, want)
		}
	}
}

// TestRememberedByManyAtOnce: who asks at the same time, while messages arrive, gets
// what was stored before they asked.
func TestRememberedByManyAtOnce(t *testing.T) {
	m := connected(t)
	var mu sync.Mutex
	stored := 0
	var group errgroup.Group
	group.Go(func() error {
		for i := range 300 {
			if _, err := m.Publish(t.Context(), []wire.Message{message(wire.Broadcast(), fmt.Sprint(i))}); err != nil {
				return err
			}
			mu.Lock()
			stored = i + 1
			mu.Unlock()
		}
		return nil
	})
	for range 8 {
		group.Go(func() error {
			for {
				mu.Lock()
				before := stored
				mu.Unlock()
				entries, err := m.Newest(t.Context(), []wire.Audience{wire.User("a"), wire.Broadcast()}, nil, 400)
				if err != nil {
					return err
				}
				for i, e := range entries {
					if want := fmt.Sprintf(`{"title":%q}`, fmt.Sprint(len(entries)-1-i)); string(e.Payload) != want {
						return fmt.Errorf("event %d of %d is %s", i, len(entries), e.Payload)
					}
				}
				if len(entries) < before {
					return fmt.Errorf("%d events, and %d were stored before", len(entries), before)
				}
				if before == 300 {
					return nil
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestRemovedIsForgotten: a message that an operator has removed is no longer shown, once
// what is remembered is too old to be believed.
func TestRemovedIsForgotten(t *testing.T) {
	m, url := reachable(t, 0)
	for i := range 5 {
		publish(t, m, message(wire.Broadcast(), fmt.Sprint(i)))
	}
	_, js := raw(t, url)
	titles := func() (list []string) {
		entries, err := m.Newest(t.Context(), []wire.Audience{wire.Broadcast()}, nil, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			list = append(list, string(e.Payload))
		}
		return list
	}
	if got := titles(); len(got) != 5 {
		t.Fatalf("%v", got)
	}
	log, err := js.Stream(t.Context(), "SV_LOG")
	if err != nil {
		t.Fatal(err)
	}
	if err := log.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	m.MakeRememberedOld(2 * time.Minute)
	if got := titles(); len(got) != 4 || slices.Contains(got, `{"title":"2"}`) {
		t.Errorf("%v, want all but 2", got)
	}
}

// TestRememberedOfALogThatWentBack: what a power failure took of the log is not shown
// from memory. Its sequences are given again.
func TestRememberedOfALogThatWentBack(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	srv := server(t, dir, "127.0.0.1:0")
	listen := strings.TrimPrefix(srv.URL(), "nats://")
	m := connectTo(t, mesh.Config{URLs: []string{srv.URL()}})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	// answered tries until the server is reached.
	answered := func(try func() error) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			err := try()
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	store := func(title string) {
		t.Helper()
		answered(func() error {
			_, err := m.Publish(t.Context(), []wire.Message{message(wire.Broadcast(), title)})
			return err
		})
	}
	newest := func() (titles []string) {
		t.Helper()
		var entries []wire.Entry
		answered(func() (err error) {
			entries, err = m.Newest(t.Context(), []wire.Audience{wire.Broadcast()}, nil, 10)
			return err
		})
		for _, e := range entries {
			titles = append(titles, string(e.Payload))
		}
		return titles
	}
	store("kept")
	srv.Stop()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	srv = server(t, dir, listen)
	store("lost")
	if got := slices.Compact(newest()); len(got) != 2 {
		t.Fatalf("%v", got)
	}
	srv.Stop()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	server(t, dir, listen)
	store("new")
	// A retry may have stored one twice.
	if got := slices.Compact(newest()); !slices.Equal(got, []string{`{"title":"new"}`, `{"title":"kept"}`}) {
		t.Errorf("%v, want new and kept", got)
	}
}
