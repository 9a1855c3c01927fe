package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
	"pgregory.net/rapid"
)

// marks makes a change and returns what is read then.
func marks(t testing.TB, m *mesh.Mesh, uid string, c wire.Change) wire.ReadState {
	t.Helper()
	s, err := m.Mark(t.Context(), uid, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// unread counts what a person has not read, as the log has it.
func unread(t testing.TB, m *mesh.Mesh, uid string) int {
	t.Helper()
	s, err := m.ReadState(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	n, err := m.Unread(t.Context(), uid, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func wantsUnread(t testing.TB, m *mesh.Mesh, uid string, want int) {
	t.Helper()
	if got := unread(t, m, uid); got != want {
		t.Fatalf("%s has %d unread, want %d", uid, got, want)
	}
}

func TestMark(t *testing.T) {
	dir := t.TempDir()
	srv := server(t, dir, "")
	m := connectTo(t, mesh.Config{Server: srv})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	const ada = "Ada & co" // no plain token
	wantsUnread(t, m, ada, 0)
	var ids []wire.EventID
	for _, a := range []wire.Audience{
		wire.Broadcast(), wire.User(ada), wire.User("bob"), wire.Topic("t"), wire.User(ada), wire.Broadcast(), wire.User(ada),
	} {
		ids = append(ids, publish(t, m, message(a, "x"))[0].ID)
	}
	publish(t, m, message(wire.Broadcast(), "unfit"))
	wantsUnread(t, m, ada, 5)
	wantsUnread(t, m, "bob", 3)

	marks(t, m, ada, wire.Change{Read: ids[4:5]})
	wantsUnread(t, m, ada, 4)
	marks(t, m, ada, wire.Change{Through: &ids[1]})
	wantsUnread(t, m, ada, 2)
	marks(t, m, ada, wire.Change{Unread: []wire.EventID{ids[0], ids[2], ids[4]}}) // one of them is bob's
	wantsUnread(t, m, ada, 4)
	s := marks(t, m, ada, wire.Change{All: true, Unread: ids[5:6]})
	if s.IsRead(ids[5]) || !s.IsRead(ids[4]) || !s.IsRead(ids[0]) {
		t.Fatalf("after all but one: %+v", s.View())
	}
	wantsUnread(t, m, ada, 1)
	wantsUnread(t, m, "bob", 3)
	marks(t, m, ada, wire.Change{Read: ids[5:6]})
	marks(t, m, ada, wire.Change{Unread: ids[5:6]}) // within the same millisecond, perhaps: the later one counts
	wantsUnread(t, m, ada, 1)

	if _, err := m.Mark(t.Context(), ada, wire.Change{Through: &wire.EventID{Position: wire.Position{Life: ids[0].Life + 1, Seq: 1}}}); !errors.Is(err, wire.ErrForeignEvent) {
		t.Errorf("up to an event of another life: %v, want ErrForeignEvent", err)
	}
	if _, err := m.Mark(t.Context(), ada, wire.Change{Through: &wire.EventID{Position: wire.Position{Life: ids[0].Life, Seq: 1 << 40}}}); !errors.Is(err, wire.ErrForeignEvent) {
		t.Errorf("up to an event that is yet to come: %v, want ErrForeignEvent", err)
	}

	// What is read is no event.
	newest, err := m.Newest(t.Context(), []wire.Audience{wire.User(ada), wire.Broadcast()}, nil, 10)
	if err != nil || len(newest) != 5 {
		t.Errorf("the history has %d events, error %v; want 5", len(newest), err)
	}

	// Nonsense on a person's subject costs them nothing.
	publish(t, m, message(wire.Audience{Kind: wire.KindRead, ID: ada}, "x"))
	wantsUnread(t, m, ada, 1)
	marks(t, m, ada, wire.Change{Read: ids[6:7]})
	wantsUnread(t, m, ada, 1)

	before, err := m.ReadState(t.Context(), ada)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	srv.Stop()
	m = connectTo(t, mesh.Config{Server: server(t, dir, "")})
	after, err := m.ReadState(t.Context(), ada)
	if err != nil || !after.Equal(before) {
		t.Fatalf("after a restart: %+v, error %v; want %+v", after.View(), err, before.View())
	}
	wantsUnread(t, m, ada, 1)
}

// A change of an offline device counts as of when it was made, and once.
func TestMarkAfterwards(t *testing.T) {
	m := connected(t)
	ids := []wire.EventID{publish(t, m, message(wire.Broadcast(), "1"))[0].ID, publish(t, m, message(wire.Broadcast(), "2"))[0].ID}
	now := time.Now().UnixMilli()
	offline := wire.Change{Unread: ids[:1], At: now - 5000}
	marks(t, m, "ada", wire.Change{Through: &ids[1], At: now - 3000})
	marks(t, m, "ada", offline)
	wantsUnread(t, m, "ada", 0) // it was read after that
	offline.At = now - 1000
	marks(t, m, "ada", offline)
	wantsUnread(t, m, "ada", 1)

	last := func() uint64 { return publish(t, m, message(wire.User("nobody"), "x"))[0].ID.Seq }
	from := last()
	marks(t, m, "ada", offline)
	marks(t, m, "ada", wire.Change{})
	if n := last() - from - 1; n != 0 {
		t.Errorf("%d messages were stored for what was known", n)
	}

	// Nobody writes into the future: what comes after it counts.
	marks(t, m, "ada", wire.Change{Unread: ids, At: now + 3_600_000})
	wantsUnread(t, m, "ada", 2)
	s := marks(t, m, "ada", wire.Change{All: true})
	wantsUnread(t, m, "ada", 0)
	if late := s.LastChange() - now; late > 60_000 {
		t.Errorf("the state is of %d ms from now", late)
	}
}

// Devices that change the state at the same time, by way of several edges, lose
// nothing of each other.
func TestMarkAtOnce(t *testing.T) {
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			subjects := new(wire.Subjects).Partitioned(partitions)
			srv, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Node: "test", Subjects: subjects}, quiet())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(srv.Stop)
			var edges []*mesh.Mesh
			for range 3 {
				edges = append(edges, connectTo(t, mesh.Config{Server: srv, Subjects: subjects}))
			}
			if _, err := edges[0].Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
				t.Fatal(err)
			}
			const each = 30
			var wg sync.WaitGroup
			for d := range 6 {
				wg.Go(func() {
					for i := range each {
						id := wire.EventID{Position: wire.Position{Life: 1, Seq: uint64(d*each + i + 1)}}
						if _, err := edges[(d+i)%len(edges)].Mark(t.Context(), "ada", wire.Change{Read: []wire.EventID{id}}); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			s, err := edges[0].ReadState(t.Context(), "ada")
			if err != nil {
				t.Fatal(err)
			}
			if n := len(s.View().Read); n != 6*each {
				t.Errorf("%d of %d changes are there", n, 6*each)
			}
		})
	}
}

// In a log of several partitions "up to this event" is a matter of time.
func TestMarkInPartitions(t *testing.T) {
	subjects := new(wire.Subjects).Partitioned(4)
	srv, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Node: "test", Subjects: subjects}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	m := connectTo(t, mesh.Config{Server: srv, Subjects: subjects})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	uid := "ada"
	for i := 0; subjects.Partition(wire.User(uid)) == 0; i++ { // broadcasts are in the first
		uid = fmt.Sprint("ada", i)
	}
	audiences := []wire.Audience{wire.Broadcast(), wire.User(uid), wire.Topic("a"), wire.Topic("b"), wire.Topic("c")}
	var ids []wire.EventID
	for i := range 40 {
		ids = append(ids, publish(t, m, message(audiences[i%len(audiences)], "x"))[0].ID)
	}
	wantsUnread(t, m, uid, 16)
	for _, at := range []int{0, 11, 20, 23, 39} {
		s := marks(t, m, uid, wire.Change{Through: &ids[at]})
		for i, id := range ids {
			if s.IsRead(id) != (i <= at) {
				t.Fatalf("up to event %d: event %d, %v, is read: %v", at, i, id, s.IsRead(id))
			}
		}
	}
	s := marks(t, m, uid, wire.Change{All: true, Unread: []wire.EventID{ids[0], ids[1], ids[2]}})
	if s.IsRead(ids[2]) || !s.IsRead(ids[39]) {
		t.Fatalf("all but three are read: %+v", s.View())
	}
	wantsUnread(t, m, uid, 2)
}

func TestMarkWithoutALog(t *testing.T) {
	srv := server(t, t.TempDir(), "")
	m := connectTo(t, mesh.Config{Server: srv})
	if _, err := m.Mark(t.Context(), "ada", wire.Change{Read: []wire.EventID{{}}}); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("without a stream: %v, want ErrUnavailable", err)
	}
	if _, err := m.ReadState(t.Context(), "ada"); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("without a stream: %v, want ErrUnavailable", err)
	}
}

// Of events with one collapse key the newest counts, wherever it is; one that has
// expired does not.
func TestUnreadCollapsedAndExpired(t *testing.T) {
	m := connected(t)
	keyed := func(a wire.Audience, key string) wire.EventID {
		msg := message(a, "x")
		msg.Collapse = key
		return publish(t, m, msg)[0].ID
	}
	first := keyed(wire.User("ada"), "k")
	publish(t, m, message(wire.User("ada"), "x"))
	wantsUnread(t, m, "ada", 2)
	second := keyed(wire.User("ada"), "k")
	wantsUnread(t, m, "ada", 2)
	everybody := keyed(wire.Broadcast(), "k") // of another audience
	wantsUnread(t, m, "ada", 3)
	marks(t, m, "ada", wire.Change{Read: []wire.EventID{second}})
	wantsUnread(t, m, "ada", 2)
	marks(t, m, "ada", wire.Change{All: true, Unread: []wire.EventID{first, everybody}})
	wantsUnread(t, m, "ada", 1) // the first has lost its place to one that is read
	keyed(wire.Broadcast(), "k")
	wantsUnread(t, m, "ada", 1)
	marks(t, m, "ada", wire.Change{Unread: []wire.EventID{second}})
	wantsUnread(t, m, "ada", 2)

	ttl := message(wire.User("ada"), "x")
	ttl.TTL = time.Second
	publish(t, m, ttl)
	wantsUnread(t, m, "ada", 3)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for unread(t, m, "ada") != 2 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it counts although it has expired")
		}
	}
}

// TestUnreadModel compares the count, over a log in a real JetStream, with a plain
// loop over all that was published, whatever is read.
func TestUnreadModel(t *testing.T) {
	m := connected(t)
	audiences := []wire.Audience{wire.Broadcast(), wire.User("ada"), wire.User("bob"), wire.Topic("t")}
	var events []wire.Entry
	for i := range 2000 {
		a := audiences[i*i%7%len(audiences)]
		id := publish(t, m, message(a, "x"))[0].ID
		events = append(events, wire.Entry{Position: id.Position, Audience: a})
	}
	life := events[0].Life
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var s wire.ReadState
		for range rapid.IntRange(0, 5).Draw(t, "changes") {
			c := wire.Change{At: rapid.Int64Range(1, 9).Draw(t, "at")}
			seq := rapid.Uint64Range(1, 2100)
			for range rapid.IntRange(0, 20).Draw(t, "flags") {
				id := wire.EventID{Position: wire.Position{Life: life, Seq: seq.Draw(t, "flag")}}
				c.Read, c.Unread = append(c.Read, id), append(c.Unread, id)
				if rapid.Bool().Draw(t, "is") {
					c.Unread = c.Unread[:len(c.Unread)-1]
				} else {
					c.Read = c.Read[:len(c.Read)-1]
				}
			}
			if rapid.Bool().Draw(t, "mark") {
				lives := []uint64{life, life, life, life - 1, life + 1}
				c.UpTo = wire.Cursor{{Life: rapid.SampledFrom(lives).Draw(t, "life"), Seq: seq.Draw(t, "up to")}}
			}
			s = s.Merge(c.State())
		}
		var upTo wire.Cursor
		if rapid.Bool().Draw(t, "not all") {
			upTo = wire.Cursor{{Life: life, Seq: rapid.Uint64Range(0, 2100).Draw(t, "end")}}
		}
		want := 0
		for i := range events {
			if upTo != nil && events[i].Seq > upTo[0].Seq {
				break
			}
			if slices.Contains(audiences[:2], events[i].Audience) && !s.IsRead(events[i].ID()) {
				want++
			}
		}
		got, err := m.Unread(ctx, "ada", s, upTo)
		if err != nil || got != min(want, mesh.MaxUnread) {
			t.Fatalf("%d unread, error %v; want %d, up to %v with %+v", got, err, want, upTo, s.View())
		}
	})
}
