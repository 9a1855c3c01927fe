//go:build linux

package main

import (
	"context"
	"strconv"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func (b *bench) usersPhase(ctx context.Context) (err error) {
	if b.out.Users, err = b.timed(func() (answer, error) { return b.userMessages(ctx) }); err == nil {
		b.out.Users.Messages = b.UserMessages
	}
	return err
}

// userMessages publishes to the users in turn at a steady rate.
func (b *bench) userMessages(ctx context.Context) (answer, error) {
	expecting, err := b.armUsers(ctx, b.UserMessages, 0)
	if err != nil {
		return answer{}, err
	}
	if err := steadily(ctx, b.UserMessages, b.UserRate, func(int) error { return b.userMessage(ctx) }); err != nil {
		return answer{}, err
	}
	if err := b.pub.flush(ctx); err != nil {
		return answer{}, err
	}
	return expecting.gather(ctx, "done", b.Wait)
}

// userMessage publishes to the user whose turn it is.
func (b *bench) userMessage(ctx context.Context) error {
	return b.userMessageBy(ctx, b.pub.publish)
}

// userMessageBy does so by a way of its own.
func (b *bench) userMessageBy(ctx context.Context, publish func(context.Context, wire.Audience, []byte) error) error {
	user := b.sent % b.Sockets
	s := stamp{kind: kindUser, seq: uint32(b.sent / b.Sockets), user: uint32(user), at: b.clock.now()}
	b.sent++
	return publish(ctx, wire.User("u"+strconv.Itoa(user)), s.payload(b.name6, b.Size))
}

// armUsers makes the workers expect the next n user messages, each its own users'
// share, and the first of them messages by core NATS besides. It gives those that
// expect any.
func (b *bench) armUsers(ctx context.Context, n, core int) (*fleet, error) {
	first := 0
	return b.fleet.armEach(ctx, func(i int, w *workerProc) int64 {
		before := func(k int) int64 {
			return usersBefore(k, b.Sockets, first+w.count) - usersBefore(k, b.Sockets, first)
		}
		target := before(b.sent+n) - before(b.sent)
		if first += w.count; i == 0 {
			target += int64(core)
		}
		return target
	})
}

// usersBefore counts the messages to users below n when k go out in turn.
func usersBefore(k, sockets, n int) int64 {
	return int64(k/sockets)*int64(n) + int64(min(k%sockets, n))
}

// steadily calls do n times, so many times a second, with the number of the call.
// What is late is made up for.
func steadily(ctx context.Context, n int, rate float64, do func(k int) error) error {
	began := time.Now()
	for k := range n {
		due := began.Add(time.Duration(float64(k) / rate * float64(time.Second)))
		if ahead := time.Until(due); ahead > 0 {
			if err := sleep(ctx, ahead); err != nil {
				return err
			}
		}
		if err := do(k); err != nil {
			return err
		}
	}
	return nil
}
