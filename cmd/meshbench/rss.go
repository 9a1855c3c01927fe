//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// openByThirds connects a third of the sockets at a time and reads the memory after
// each: what the last two thirds have added is what a connection costs a server
// that has its fixed costs behind it. The handshakes are those of all three, and
// the time in between is no part of them.
func (b *bench) openByThirds(ctx context.Context) error {
	sum, all := phase{}, answer{}
	for k := range 3 {
		p, err := b.timed(func() (answer, error) {
			a, err := b.connectThird(ctx, k)
			all.add(a)
			return a, err
		})
		if err != nil {
			return err
		}
		sum.Count += p.Count
		sum.Seconds += p.Seconds
		sum.CPUSeconds += p.CPUSeconds
		sum.Writes += p.Writes
		m, err := b.settled(ctx)
		if err != nil {
			return err
		}
		b.out.Thirds = append(b.out.Thirds, m)
	}
	if sum.CPUSeconds > 0 {
		sum.PerCPU = float64(sum.Count) / sum.CPUSeconds
	}
	sum.spread = spreadOf(all.Hist)
	b.out.Connect, b.out.After = &sum, b.out.Thirds[2]
	return b.allThere(sum.Count)
}

// connectThird connects the sockets of the third k, from 0; of a worker that has too
// few for that, none.
func (b *bench) connectThird(ctx context.Context, k int) (answer, error) {
	some := *b.fleet
	some.workers = nil
	for _, w := range b.fleet.workers {
		from, to := thirds(w.count, k), thirds(w.count, k+1)
		if from == to {
			continue
		}
		some.workers = append(some.workers, w)
		if err := w.tell(command{Op: "connect", Rate: b.share(w, b.ConnectRate), From: from, To: to}); err != nil {
			return answer{}, err
		}
	}
	a, err := some.gather(ctx, "connected", b.connectLimit(b.ConnectRate))
	b.note("\r%d more connected\n", a.N)
	return a, err
}

// thirds is k thirds of n.
func thirds(n, k int) int { return n * k / 3 }

// slope is what each of the last two thirds of the connections has added, in bytes.
func (m *measure) slope() float64 {
	more := m.Sockets - thirds(m.Sockets, 1)
	if len(m.Thirds) < 3 || more == 0 {
		return 0
	}
	return float64(m.Thirds[2].RSS-m.Thirds[0].RSS) / float64(more)
}

// peak is the memory that a storm of connects takes of a server that has just been
// started, at its highest, beside what is left of that when it has settled.
type peak struct {
	Connect *phase  `json:"connect"`
	Before  memory  `json:"memory_before"`
	High    int64   `json:"rss_high"` // bytes, the most since before the first connect
	After   memory  `json:"memory_after"`
	Ratio   float64 `json:"ratio"` // of the growths: the highest to the settled
}

// connectStorm connects all sockets and watches the server's memory. The rate is the
// plan's.
func (b *bench) connectStorm(ctx context.Context) (*peak, error) {
	if err := b.begin(ctx); err != nil {
		return nil, err
	}
	if err := forgetHigh(b.pid); err != nil {
		return nil, err
	}
	b.note("%s: connecting %d sockets, %.0f a second\n", b.name, b.Sockets, b.ConnectRate)
	var p peak
	var err error
	// Read after the reset: a server that gives memory back in between would have had
	// more before than at its highest.
	if p.Before, err = sampleMemory(b.pid); err != nil {
		return nil, err
	}
	if p.Connect, err = b.timed(func() (answer, error) { return b.connect(ctx) }); err != nil {
		return nil, err
	}
	if err := b.allThere(p.Connect.Count); err != nil {
		return nil, err
	}
	if p.After, err = b.settled(ctx); err != nil {
		return nil, err
	}
	// The kernel counts pages on each CPU by itself and notes the highest sum when memory is
	// given back, as far as it then knows: that may be some pages less than was read before.
	p.High = max(p.Before.High, p.After.High)
	if grown := p.After.RSS - p.Before.RSS; grown > 0 {
		p.Ratio = float64(p.High-p.Before.RSS) / float64(grown)
	}
	return &p, nil
}

// forgetHigh makes the kernel forget how much memory a process has had.
func forgetHigh(pid int) error {
	if pid == 0 {
		return errors.New("the memory of a server whose process is not known cannot be watched")
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("resetting the highest memory of process %d: %w", pid, err)
	}
	return nil
}
