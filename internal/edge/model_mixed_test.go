package edge

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestSubscribeWhileMixed: a client comes from another edge, and joins a topic while
// what it is sent of the mixed stretch waits for its socket. The place that it is told
// is the one from which on it gets the topic's entries, of every partition.
func TestSubscribeWhileMixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(rand.New(rand.NewPCG(1, 1)), 2, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer w.stop()
		w.cfg = Config{Loops: 1, RingBytes: 1 << 20}
		if err := w.restart(0); err != nil {
			t.Fatal(err)
		}
		c, e := w.clients[0], w.edges[0]
		subjects := wire.Subjects{}.Partitioned(2)
		// What is to everybody is in partition 0; these are not.
		c.name = elsewhere(func(id string) int { return subjects.Partition(wire.User(id)) })
		topic := elsewhere(func(id string) int { return subjects.Partition(wire.Topic(id)) })
		store := func(to wire.Audience, size int) {
			id := w.log.add(wire.Entry{
				Audience: to, Envelope: wire.Envelope{Type: wire.TypeToast, Payload: []byte(`{"title":"` + strings.Repeat("x", size) + `"}`)},
			}, false)
			e.follow(id.Partition, 1, 0)
		}
		for range 2 {
			store(wire.User(c.name), 6<<10)
		}
		store(wire.Topic(topic), 10)
		store(wire.Broadcast(), 10)
		c.place = wire.At(e.lives, make(wire.Vector, 2)) // it has seen the broadcast, and nothing else
		c.place[0].Seq = 1
		c.cursor, c.since = c.place.String(), c.place.Seqs()

		// One step after the other: hello, the answer to subscribe, and the rest.
		turn := func() {
			if err := e.turn(0); err != nil {
				t.Fatal(err)
			}
		}
		read := func(n int) {
			if err := c.read(n); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.connect(ask{buffer: 1}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			turn()
		}
		if read(512); !c.open {
			t.Fatal("no hello")
		}
		if conn := e.loops[0].conns.at(0); conn.state != stateLagging || len(conn.more.out) == 0 || conn.more.mixed > 0 {
			t.Fatalf("the session is not where it should be: %+v %+v", conn, conn.more)
		}
		c.topic(topic)
		for c.asking {
			turn()
			read(1 << 20)
		}
		for range 5 {
			turn()
			read(1 << 20)
		}
		time.Sleep(time.Second)
		if err := w.settle(); err != nil {
			t.Fatal(err)
		}
		if c.events != 2 || c.gaps > 0 {
			t.Errorf("got %d entries and %d gaps, want the 2 of its own", c.events, c.gaps)
		}
	})
}

// elsewhere is an id that is not in partition 0.
func elsewhere(partition func(id string) int) string {
	for i := 0; ; i++ {
		if id := fmt.Sprint("id", i); partition(id) > 0 {
			return id
		}
	}
}
