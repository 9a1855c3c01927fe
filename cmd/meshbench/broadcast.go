//go:build linux

package main

import (
	"context"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func (b *bench) pacedPhase(ctx context.Context) (*phase, error) {
	p, err := b.timed(func() (answer, error) { return b.paced(ctx) })
	if err == nil {
		p.Messages = b.Broadcasts
	}
	return p, err
}

func (b *bench) burstPhase(ctx context.Context) (*phase, error) {
	p, err := b.timed(func() (answer, error) { return b.burst(ctx, b.Burst) })
	if err == nil {
		p.Messages = b.Burst
	}
	return p, err
}

// broadcast publishes the next broadcast.
func (b *bench) broadcast(ctx context.Context) error {
	s := stamp{kind: kindBroadcast, seq: b.bseq, at: b.clock.now()}
	b.bseq++
	return b.pub.publish(ctx, wire.Broadcast(), s.payload(b.name6, b.Size))
}

// paced publishes the next broadcast when every socket has the last.
func (b *bench) paced(ctx context.Context) (sum answer, err error) {
	for range b.Broadcasts {
		a, err := b.burst(ctx, 1)
		if err != nil {
			return sum, err
		}
		sum.add(a)
	}
	return sum, nil
}

// burst publishes n broadcasts and waits until every socket has them all.
func (b *bench) burst(ctx context.Context, n int) (answer, error) {
	if err := b.fleet.arm(ctx, int64(n)); err != nil {
		return answer{}, err
	}
	return b.publishAndWait(ctx, b.fleet, n)
}

// publishAndWait publishes n broadcasts and waits until those that were armed are done.
func (b *bench) publishAndWait(ctx context.Context, armed *fleet, n int) (answer, error) {
	for range n {
		if err := b.broadcast(ctx); err != nil {
			return answer{}, err
		}
	}
	if err := b.pub.flush(ctx); err != nil {
		return answer{}, err
	}
	a, err := armed.gather(ctx, "done", b.Wait)
	if a.N > 0 {
		b.out.FrameBytes = int(a.Bytes / a.N)
	}
	return a, err
}
