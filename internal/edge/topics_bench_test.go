package edge

import (
	"fmt"
	"testing"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// join has the first sessions of a crowd of one loop follow a topic.
func (c *crowd) join(members int, topic string) {
	l := c.edge.loops[0]
	for slot := range int32(members) {
		l.deliver.join(slot, l.conns.at(slot), topic)
	}
}

// TestTopicPass: a message to a topic is one write to each member, and nobody else is
// looked at, however many sessions there are.
func TestTopicPass(t *testing.T) {
	c := newCrowd(t, 3000, 1)
	c.join(1000, "chess")
	l := c.edge.loops[0]
	l.deliver.settle()
	writes := l.counters.writes.Load()
	for range 3 {
		c.append(wire.Topic("chess"))
	}
	if n := c.deliver(); n != 3*1000 {
		t.Errorf("%d deliveries, want 3000", n)
	}
	if n := l.counters.writes.Load() - writes; n != 1000 {
		t.Errorf("%d writes for three messages to 1000 members, want one a member", n)
	}
	for slot := range l.conns.high {
		if c := l.conns.at(slot); slot >= 1000 && c.pos != 0 {
			t.Fatalf("session %d, which is no member, was brought forward to %d", slot, c.pos)
		}
	}
}

// BenchmarkTopic: what a message to 100,000 members costs an edge is one pass over them,
// whoever else is connected.
func BenchmarkTopic(b *testing.B) {
	const members = 100_000
	for _, sessions := range []int{members, 4 * members} {
		b.Run(fmt.Sprintf("members=%d/sessions=%d", members, sessions), func(b *testing.B) {
			c := newCrowd(b, sessions, 1)
			c.join(members, "chess")
			for b.Loop() {
				c.append(wire.Topic("chess"))
				if n := c.deliver(); n != members {
					b.Fatalf("%d got it", n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/member")
		})
	}
}
