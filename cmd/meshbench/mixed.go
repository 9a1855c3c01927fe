//go:build linux

package main

import (
	"context"
	"strconv"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// mixed is how long user messages took while broadcasts went out.
type mixed struct {
	Broadcasts int     `json:"broadcasts"`
	Messages   int     `json:"messages"` // to one user each
	All        spread  `json:"all"`      // of the broadcasts' deliveries
	Users      spread  `json:"users"`
	CPUSeconds float64 `json:"cpu_seconds,omitempty"`
}

// mixedUsers is how many users get the messages to one of them, at most.
const mixedUsers = 100

// mixedPhase publishes a broadcast a second, in the middle of the user messages of
// that second. Those go to some users only, whose sockets the client reads first.
func (b *bench) mixedPhase(ctx context.Context) error {
	each := int(b.MixedRate)
	n := each * b.Mixed
	some := make([]int, min(mixedUsers, b.Sockets))
	for k := range some {
		some[k] = k * b.Sockets / len(some)
	}
	armed, err := b.armMixed(ctx, some, n)
	if err != nil {
		return err
	}
	var a answer
	p, err := b.timed(func() (answer, error) {
		err := steadily(ctx, n, float64(each), func(k int) error {
			if k%each == each/2 {
				if err := b.broadcast(ctx); err != nil {
					return err
				}
				b.note("\r%d broadcasts ", k/each+1)
			}
			return b.extraMessage(ctx, some[k%len(some)], k/len(some))
		})
		if err == nil {
			err = b.pub.flush(ctx)
		}
		if err == nil {
			a, err = armed.gather(ctx, "done", b.Wait)
		}
		return a, err
	})
	if err != nil {
		return err
	}
	b.note("\r")
	b.out.Mixed = &mixed{
		Broadcasts: b.Mixed, Messages: n, CPUSeconds: p.CPUSeconds,
		All: spreadOf(a.Kinds[string(kindBroadcast)]), Users: spreadOf(a.Kinds[string(kindUser)]),
	}
	return nil
}

// armMixed makes the workers expect what some users, in turn, and all sockets get.
func (b *bench) armMixed(ctx context.Context, some []int, n int) (*fleet, error) {
	if err := b.fleet.tell(func(*workerProc) command { return command{Op: "express", Chosen: some} }); err != nil {
		return nil, err
	}
	if _, err := b.fleet.gather(ctx, "expressed", b.Wait); err != nil {
		return nil, err
	}
	first := 0
	return b.fleet.armEach(ctx, func(_ int, w *workerProc) int64 {
		target := int64(b.Mixed) * int64(w.count)
		for k, user := range some {
			if first <= user && user < first+w.count {
				target += usersBefore(n, len(some), k+1) - usersBefore(n, len(some), k)
			}
		}
		first += w.count
		return target
	})
}

// extraMessage publishes the k-th message, from 0, that a user gets beyond those
// that all have in turn. No more of these may follow.
func (b *bench) extraMessage(ctx context.Context, user, k int) error {
	inTurn := usersBefore(b.sent, b.Sockets, user+1) - usersBefore(b.sent, b.Sockets, user)
	s := stamp{kind: kindUser, seq: uint32(inTurn) + uint32(k), user: uint32(user), at: b.clock.now()}
	b.extra = append(b.extra, user)
	return b.pub.publish(ctx, wire.User("u"+strconv.Itoa(user)), s.payload(b.name6, b.Size))
}
