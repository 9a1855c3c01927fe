//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// slow is what some sockets that do not read for a while do to the others, and to
// the server, and how they get what they have missed.
type slow struct {
	Sockets       int     `json:"sockets"`    // that do not read
	Broadcasts    int     `json:"broadcasts"` // meanwhile
	FrameBytes    int     `json:"frame_bytes"`
	Before        spread  `json:"before"` // others' deliveries while all read
	During        spread  `json:"during"` // and while the slow ones do not
	MemoryBefore  memory  `json:"memory_before"`
	MemoryDuring  memory  `json:"memory_during"` // at the end of it, with the most since before
	SecondsDuring float64 `json:"seconds_during"`
	CatchUp       *phase  `json:"catch_up"`         // all that they have missed, once each and in order
	Behind        int64   `json:"behind,omitempty"` // how often the ring had left a session behind
}

// Of the paced broadcasts with all reading, the first let the server take the memory
// that it needs for them in any case.
const (
	slowWarmUp = 10
	slowBefore = 20
)

// slowPhase connects all, some of them with little room, and lets these stop reading
// while n paced broadcasts go out: the next when all others have the last.
func (b *bench) slowPhase(ctx context.Context, n int) (*slow, error) {
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	b.note("%s: connecting %d sockets, of which %d will be slow\n", b.name, b.Sockets, b.slow)
	a, err := b.connect(ctx)
	if err == nil {
		err = b.allThere(a.N)
	}
	if err != nil {
		return nil, err
	}
	s := &slow{Sockets: b.slow, Broadcasts: n}
	for _, count := range []int{slowWarmUp, slowBefore} {
		if a, err = b.pacedTo(ctx, count, true); err != nil {
			return nil, err
		}
	}
	s.Before, s.FrameBytes = spreadOf(a.Hist), b.out.FrameBytes
	if err := b.memoryOf(ctx, &s.MemoryBefore); err != nil {
		return nil, err
	}
	if err := b.pause(ctx, "pause"); err != nil {
		return nil, err
	}
	b.note("%s: %d broadcasts while %d sockets do not read\n", b.name, n, b.slow)
	began := time.Now()
	if a, err = b.pacedTo(ctx, n, false); err != nil {
		return nil, err
	}
	s.During, s.SecondsDuring = spreadOf(a.Hist), time.Since(began).Seconds()
	if b.pid > 0 {
		if s.MemoryDuring, err = sampleMemory(b.pid); err != nil {
			return nil, err
		}
	}
	return s, b.catchUp(ctx, s)
}

// memoryOf lets the server settle and reads its memory, from which on its highest counts.
func (b *bench) memoryOf(ctx context.Context, m *memory) (err error) {
	if b.pid == 0 {
		return nil
	}
	if *m, err = b.settled(ctx); err != nil {
		return err
	}
	return forgetHigh(b.pid)
}

// pacedTo publishes the next broadcast when all sockets, or all but the slow ones,
// have the last.
func (b *bench) pacedTo(ctx context.Context, n int, all bool) (sum answer, err error) {
	for k := range n {
		some, err := b.fleet.armEach(ctx, func(_ int, w *workerProc) int64 {
			if all {
				return int64(w.count)
			}
			return int64(w.count - w.slow)
		})
		if err != nil {
			return sum, err
		}
		a, err := b.publishAndWait(ctx, some, 1)
		if err != nil {
			return sum, err
		}
		sum.add(a)
		b.note("\r%d broadcasts ", k+1)
	}
	b.note("\r")
	return sum, nil
}

// catchUp lets the slow sockets read again, until they have everything.
func (b *bench) catchUp(ctx context.Context, s *slow) error {
	some, err := b.fleet.armEach(ctx, func(_ int, w *workerProc) int64 { return int64(w.slow) * int64(s.Broadcasts) })
	if err != nil {
		return err
	}
	b.note("%s: the slow ones read again\n", b.name)
	s.CatchUp, err = b.timed(func() (answer, error) {
		if err := b.pause(ctx, "read"); err != nil {
			return answer{}, err
		}
		return some.gather(ctx, "done", b.Wait)
	})
	if err != nil {
		return fmt.Errorf("the slow sockets: %w", err)
	}
	s.CatchUp.Messages = s.Broadcasts
	if b.ops != "" {
		s.Behind, err = counter(ctx, b.ops, `vibemesh_edge_behind_total{reason="ring"}`)
	}
	return err
}

// pause lets the slow sockets stop reading ("pause"), or begin again ("read").
func (b *bench) pause(ctx context.Context, op string) error {
	if err := b.fleet.tell(func(*workerProc) command { return command{Op: op} }); err != nil {
		return err
	}
	_, err := b.fleet.gather(ctx, "paused", 10*time.Second)
	return err
}
