package edge

import (
	"context"
	"sync/atomic"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// do has the loop call a function in its own goroutine.
func (l *loop) do(f func()) { l.post(message{kind: msgDo, do: f}) }

// each has every loop call a function, and waits for all of them. It returns before
// when ctx ends; loops may call it afterwards.
func (e *Edge) each(ctx context.Context, f func(l *loop)) error {
	done := make(chan struct{})
	var left atomic.Int32
	left.Store(int32(len(e.loops)))
	for _, l := range e.loops {
		l.do(func() {
			f(l)
			if left.Add(-1) == 0 {
				close(done)
			}
		})
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Count is how many sessions each audience has at this edge: a user's devices, the
// members of a topic, for a broadcast everybody.
func (e *Edge) Count(ctx context.Context, who []wire.Audience) ([]int, error) {
	sums := make([]atomic.Int64, len(who))
	err := e.each(ctx, func(l *loop) {
		for i, a := range who {
			sums[i].Add(int64(l.count(a)))
		}
	})
	counts := make([]int, len(who))
	for i := range sums {
		counts[i] = int(sums[i].Load())
	}
	return counts, err
}

func (l *loop) count(a wire.Audience) int {
	switch a.Kind {
	case wire.KindUser:
		return len(l.deliver.sessionsOf(a.ID))
	case wire.KindTopic:
		if t := l.deliver.topics[a.ID]; t != nil {
			return len(t.members)
		}
		return 0
	default:
		return int(l.counters.live.Load())
	}
}

// sessionsOf are the slots of a user's sessions.
func (d *deliverer) sessionsOf(uid string) (slots []int32) {
	if d.gen == nil {
		return nil
	}
	slot, ok := d.users[d.gen.ring.Key(kindUser, uid).Hash]
	for ok && slot >= 0 {
		c := d.loop.conns.at(slot)
		if c.user == uid { // compared in full: see queueUser
			slots = append(slots, slot)
		}
		slot = c.next
	}
	return slots
}

// Disconnect ends the sessions of a user with 4403, and says how many they were.
func (e *Edge) Disconnect(ctx context.Context, uid, reason string) (int, error) {
	var ended atomic.Int64
	err := e.each(ctx, func(l *loop) {
		for _, slot := range l.deliver.sessionsOf(uid) {
			ended.Add(1)
			l.closeWith(slot, l.conns.at(slot), wire.CloseDisconnected, reason)
		}
	})
	return int(ended.Load()), err
}
