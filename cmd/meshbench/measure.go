//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// plan is what one run does; both the edge and the floor are put through it.
type plan struct {
	Sockets     int           `help:"Sockets to hold." default:"1000"`
	ConnectRate float64       `help:"Connections started a second." default:"2000"`
	Broadcasts  int           `help:"Paced broadcasts; 0: none." default:"20"`
	Burst       int           `help:"Broadcasts published at once; 0: none." default:"50"`
	Size        int           `help:"Bytes of a toast's payload." default:"256"`
	Settle      time.Duration `help:"Wait between the last connect and reading the server's memory." default:"10s"`
	Wait        time.Duration `help:"Longest wait for the last delivery of a phase." default:"30s"`
}

func (p plan) check() error {
	switch {
	case p.Sockets < 1 || p.Sockets > 4_000_000:
		return errors.New("--sockets must be 1 to 4000000")
	case p.ConnectRate < 1:
		return errors.New("--connect-rate must be 1 or more")
	case p.Broadcasts < 0 || p.Burst < 0:
		return errors.New("--broadcasts and --burst must not be negative")
	case p.Size > 60_000:
		return errors.New("--size must be at most 60000, so that the envelope stays below its limit")
	}
	return nil
}

// phase is what one part of a run took.
type phase struct {
	Messages   int     `json:"messages,omitempty"`
	Count      int64   `json:"count"` // handshakes or deliveries
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds,omitempty"` // of the server; 0 without its process id
	PerCPU     float64 `json:"per_cpu_second,omitempty"`
	Writes     int64   `json:"write_calls,omitempty"` // write(2) and the like, of the whole server; 0: unknown
	P50MS      float64 `json:"p50_ms"`
	P99MS      float64 `json:"p99_ms"`
	MaxMS      float64 `json:"max_ms"`
}

// measure is everything about one server.
type measure struct {
	Name       string           `json:"name"`
	Sockets    int              `json:"sockets"`
	FrameBytes int              `json:"frame_bytes,omitempty"` // of a broadcast's text, as it arrived
	Before     memory           `json:"memory_before"`
	After      memory           `json:"memory_after"`
	Connect    *phase           `json:"connect,omitempty"`
	Paced      *phase           `json:"paced,omitempty"`
	Burst      *phase           `json:"burst,omitempty"`
	Users      *phase           `json:"users,omitempty"`
	Resume     *phase           `json:"resume,omitempty"`
	Faults     map[string]int64 `json:"faults,omitempty"`
}

// bench is one server being measured.
type bench struct {
	plan
	name     string
	addr     string // of its sockets
	speak    string // of dialects
	pid      int    // 0: unknown, and nothing is said of CPU and memory
	pub      publisher
	users    int     // user messages to publish
	userRate float64 // a second
	resume   int     // broadcasts to publish while everybody is away
	note     func(format string, args ...any)

	fleet *fleet
	clock clock
	name6 string // of the run
	bseq  uint32
	out   measure
}

// run does the whole plan. What it measured up to an error is returned with it.
func (b *bench) run(ctx context.Context) (measure, error) {
	err := b.open(ctx)
	if err == nil {
		err = b.phases(ctx)
	}
	return b.finish(ctx, err)
}

// open connects all sockets, and measures that and their memory.
func (b *bench) open(ctx context.Context) (err error) {
	b.clock = newClock()
	b.name6 = fmt.Sprintf("%0*s", runLen, strconv.FormatUint(rand.Uint64N(1<<31), 36))
	b.out = measure{Name: b.name, Sockets: b.Sockets}
	if b.fleet, err = startFleet(ctx, command{
		Run: b.name6, Addr: b.addr, Host: b.addr, Count: b.Sockets, Resume: b.resume > 0, Speak: b.speak,
	}, b.note); err != nil {
		return err
	}
	if b.pid > 0 {
		if b.out.Before, err = sampleMemory(b.pid); err != nil {
			return err
		}
	}
	b.note("%s: connecting %d sockets\n", b.name, b.Sockets)
	if b.out.Connect, err = b.timed(func() (answer, error) { return b.connect(ctx) }); err != nil {
		return err
	}
	if b.out.Connect.Count < int64(b.Sockets) {
		return fmt.Errorf("%s: %d of %d sockets connected", b.name, b.out.Connect.Count, b.Sockets)
	}
	if b.pid == 0 {
		return nil
	}
	b.note("%s: settling for %v\n", b.name, b.Settle)
	if err := sleep(ctx, b.Settle); err != nil {
		return err
	}
	b.out.After, err = sampleMemory(b.pid)
	return err
}

// finish asks every socket whether it has had everything, and lets them go. err
// is what went wrong before; of what went wrong, the first is returned.
func (b *bench) finish(ctx context.Context, err error) (measure, error) {
	if b.fleet == nil {
		return b.out, err
	}
	defer b.fleet.stop()
	// Also after an error: what went wrong is in the faults.
	checked := b.check(ctx)
	b.out.Faults = b.fleet.allFaults()
	if err == nil {
		err = checked
	}
	if err == nil && len(b.out.Faults) > 0 {
		err = fmt.Errorf("%s: not every message came once and in order", b.name)
	}
	return b.out, err
}

func (b *bench) phases(ctx context.Context) (err error) {
	if b.Broadcasts > 0 {
		b.note("%s: %d paced broadcasts\n", b.name, b.Broadcasts)
		if b.out.Paced, err = b.pacedPhase(ctx); err != nil {
			return err
		}
	}
	if b.Burst > 0 {
		b.note("%s: a burst of %d broadcasts\n", b.name, b.Burst)
		if b.out.Burst, err = b.burstPhase(ctx); err != nil {
			return err
		}
	}
	if b.users > 0 {
		b.note("%s: %d user messages\n", b.name, b.users)
		if b.out.Users, err = b.timed(func() (answer, error) { return b.userMessages(ctx) }); err != nil {
			return err
		}
		b.out.Users.Messages = b.users
	}
	if b.resume > 0 {
		return b.comeBack(ctx)
	}
	return nil
}

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

// timed runs one phase between two readings of clock and CPU.
func (b *bench) timed(do func() (answer, error)) (*phase, error) {
	var before, after cpuSample
	var err error
	if b.pid > 0 {
		if before, err = sampleCPU(b.pid); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	a, err := do()
	if err != nil {
		return nil, err
	}
	p := &phase{
		Count: a.N, Seconds: time.Since(began).Seconds(),
		P50MS: ms(a.Hist.quantile(.5)), P99MS: ms(a.Hist.quantile(.99)), MaxMS: ms(time.Duration(a.Hist.Max)),
	}
	if b.pid > 0 {
		if after, err = sampleCPU(b.pid); err != nil {
			return nil, err
		}
		if p.CPUSeconds = cpuBetween(before, after); p.CPUSeconds > 0 {
			p.PerCPU = float64(p.Count) / p.CPUSeconds
		}
		p.Writes = after.writes - before.writes
	}
	return p, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (b *bench) connect(ctx context.Context) (answer, error) {
	limit, err := b.startConnecting()
	if err != nil {
		return answer{}, err
	}
	a, err := b.fleet.gather(ctx, "connected", limit)
	b.note("\r%d of %d connected\n", a.N, b.Sockets)
	return a, err
}

// startConnecting sets every worker going, and says how long that may take: each
// socket has its turn twice over, and there is a minute to spare.
func (b *bench) startConnecting() (limit time.Duration, err error) {
	err = b.fleet.tell(func(w *workerProc) command {
		return command{Op: "connect", Rate: b.ConnectRate * float64(w.count) / float64(b.Sockets)}
	})
	return time.Minute + time.Duration(2*float64(b.Sockets)/b.ConnectRate*float64(time.Second)), err
}

// broadcast publishes the next broadcast.
func (b *bench) broadcast(ctx context.Context) error {
	s := stamp{kind: kindBroadcast, seq: b.bseq, at: b.clock.now()}
	b.bseq++
	return b.pub.publish(ctx, wire.Broadcast(), s.payload(b.name6, b.Size))
}

func (b *bench) paced(ctx context.Context) (sum answer, err error) {
	for range b.Broadcasts {
		a, err := b.burst(ctx, 1)
		if err != nil {
			return sum, err
		}
		sum.N += a.N
		sum.Bytes += a.Bytes
		sum.Hist.merge(a.Hist)
	}
	return sum, nil
}

// burst publishes n broadcasts and waits until every socket has them all.
func (b *bench) burst(ctx context.Context, n int) (answer, error) {
	if err := b.fleet.arm(ctx, int64(n)); err != nil {
		return answer{}, err
	}
	for range n {
		if err := b.broadcast(ctx); err != nil {
			return answer{}, err
		}
	}
	if err := b.pub.flush(ctx); err != nil {
		return answer{}, err
	}
	a, err := b.fleet.gather(ctx, "done", b.Wait)
	if a.N > 0 {
		b.out.FrameBytes = int(a.Bytes / a.N)
	}
	return a, err
}

// userMessages publishes to the users in turn: a target for each worker is the
// number of its own users among them.
func (b *bench) userMessages(ctx context.Context) (answer, error) {
	first := 0
	var expecting []*workerProc
	for _, w := range b.fleet.workers {
		n := usersBefore(b.users, b.Sockets, first+w.count) - usersBefore(b.users, b.Sockets, first)
		first += w.count
		if n > 0 {
			expecting = append(expecting, w)
		}
		if err := w.tell(command{Op: "arm", Target: n}); err != nil {
			return answer{}, err
		}
	}
	if _, err := b.fleet.gather(ctx, "armed", 10*time.Second); err != nil {
		return answer{}, err
	}
	began := time.Now()
	for k := range b.users {
		due := began.Add(time.Duration(float64(k) / b.userRate * float64(time.Second)))
		if ahead := time.Until(due); ahead > 0 {
			if err := sleep(ctx, ahead); err != nil {
				return answer{}, err
			}
		}
		user := k % b.Sockets
		s := stamp{kind: kindUser, seq: uint32(k / b.Sockets), user: uint32(user), at: b.clock.now()}
		if err := b.pub.publish(ctx, wire.User("u"+strconv.Itoa(user)), s.payload(b.name6, b.Size)); err != nil {
			return answer{}, err
		}
	}
	if err := b.pub.flush(ctx); err != nil {
		return answer{}, err
	}
	some := *b.fleet // only those that were given something to wait for will say so
	some.workers = expecting
	return some.gather(ctx, "done", b.Wait)
}

// usersBefore counts the messages to users below n when k go out in turn.
func usersBefore(k, sockets, n int) int64 {
	return int64(k/sockets)*int64(n) + int64(min(k%sockets, n))
}

// comeBack lets everybody leave, publishes, and measures the return of all.
func (b *bench) comeBack(ctx context.Context) error {
	b.note("%s: %d broadcasts while everybody is away, then all resume\n", b.name, b.resume)
	if err := b.fleet.tell(func(*workerProc) command { return command{Op: "drop"} }); err != nil {
		return err
	}
	if _, err := b.fleet.gather(ctx, "dropped", 10*time.Second); err != nil {
		return err
	}
	if err := b.fleet.arm(ctx, int64(b.resume)); err != nil {
		return err
	}
	for range b.resume {
		if err := b.broadcast(ctx); err != nil {
			return err
		}
	}
	if err := b.pub.flush(ctx); err != nil {
		return err
	}
	var err error
	b.out.Resume, err = b.timed(func() (answer, error) { return b.connectAndReplay(ctx) })
	if err == nil {
		b.out.Resume.Messages = b.resume
	}
	return err
}

// connectAndReplay waits for both the handshakes and the last replayed message,
// in whichever order the workers report them. It gives the handshakes.
func (b *bench) connectAndReplay(ctx context.Context) (answer, error) {
	limit, err := b.startConnecting()
	if err != nil {
		return answer{}, err
	}
	return b.fleet.gatherBoth(ctx, "connected", "done", limit+b.Wait)
}

// check asks every socket whether it has had everything.
func (b *bench) check(ctx context.Context) error {
	if err := b.fleet.tell(func(*workerProc) command {
		return command{Op: "check", Broadcasts: b.bseq, Users: int64(b.users), Sockets: int64(b.Sockets)}
	}); err != nil {
		return err
	}
	_, err := b.fleet.gather(ctx, "checked", 10*time.Second)
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
