//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// extras is what may be done beyond the plan; 0 leaves a part out.
type extras struct {
	Thirds       bool    `help:"Settle and read the memory with a third and two thirds of the sockets, too." negatable:""`
	Again        bool    `help:"Let all leave, and come back with the tokens they had." negatable:""`
	UserMessages int     `help:"Messages to one user each, to all in turn." placeholder:"N"`
	UserRate     float64 `help:"Of those, how many a second." default:"1000"`
	Latency      int     `help:"Publish N user messages, and as many by core NATS and for a consumer of the log, in turn, and compare how long they take." placeholder:"N"`
	LatencyRate  float64 `help:"Of all of them together, how many a second." default:"400"`
	Mixed        int     `help:"For N seconds a broadcast a second, and messages to one user each meanwhile." placeholder:"N"`
	MixedRate    float64 `help:"Of those to one user, how many a second." default:"200"`
	Resume       int     `help:"Let all leave, publish N broadcasts, let all resume at --connect-rate." placeholder:"N"`
	ResumeStorm  int     `help:"The same, and all resume as fast as the server lets them." placeholder:"N"`
}

// maxResume is what an edge replays to one client unless told otherwise.
const maxResume = 1000

func (e extras) check() error {
	switch {
	case e.UserMessages < 0 || e.Latency < 0 || e.Mixed < 0:
		return errors.New("--user-messages, --latency and --mixed must not be negative")
	case e.UserMessages > 0 && e.UserRate <= 0:
		return errors.New("--user-rate must be more than 0")
	case e.Latency > 0 && e.LatencyRate <= 0:
		return errors.New("--latency-rate must be more than 0")
	case e.Mixed > 0 && e.MixedRate < 1:
		return errors.New("--mixed-rate must be 1 or more")
	case min(e.Resume, e.ResumeStorm) < 0 || max(e.Resume, e.ResumeStorm) > maxResume:
		return fmt.Errorf("--resume and --resume-storm must be 0 to %d, as many as an edge replays unless told otherwise", maxResume)
	}
	return nil
}

// returns reports that sockets come back in some part, for which they need their cursors.
func (e extras) returns() bool { return e.Again || e.Resume > 0 || e.ResumeStorm > 0 }

// bench is one server being measured.
type bench struct {
	plan
	extras
	name    string
	addr    string // of its sockets
	speak   string // of dialects
	pid     int    // 0: unknown, and nothing is said of CPU and memory
	ops     string // where its metrics are; empty: unknown
	tokens  string // file of the sockets' tokens; empty: development tokens
	deflate bool   // offer permessage-deflate
	slow    int    // sockets with small buffers
	pub     publisher
	note    func(format string, args ...any)

	fleet *fleet
	clock clock
	name6 string // of the run
	bseq  uint32 // number of the next broadcast
	sent  int    // user messages published so far, to all users in turn
	extra []int  // users who had another one each
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

// begin starts the client and notes the server's memory before the first connect.
func (b *bench) begin(ctx context.Context) (err error) {
	b.clock = newClock()
	b.name6 = fmt.Sprintf("%0*s", runLen, strconv.FormatUint(rand.Uint64N(1<<31), 36))
	b.out = measure{Name: b.name, Sockets: b.Sockets}
	if b.fleet, err = startFleet(ctx, command{
		Run: b.name6, Addr: b.addr, Host: b.addr, Count: b.Sockets, Resume: b.returns(), Speak: b.speak,
		Tokens: b.tokens, Deflate: b.deflate, Slow: b.slow,
	}, b.note); err != nil {
		return err
	}
	if b.pid > 0 {
		b.out.Before, err = sampleMemory(b.pid)
	}
	return err
}

// open connects all sockets, and measures that and their memory.
func (b *bench) open(ctx context.Context) error {
	if err := b.begin(ctx); err != nil {
		return err
	}
	b.note("%s: connecting %d sockets\n", b.name, b.Sockets)
	if b.Thirds && b.pid > 0 {
		return b.openByThirds(ctx)
	}
	var err error
	if b.out.Connect, err = b.timed(func() (answer, error) { return b.connect(ctx) }); err != nil {
		return err
	}
	if err := b.allThere(b.out.Connect.Count); err != nil || b.pid == 0 {
		return err
	}
	b.out.After, err = b.settled(ctx)
	return err
}

func (b *bench) allThere(connected int64) error {
	if connected < int64(b.Sockets) {
		return fmt.Errorf("%s: %d of %d sockets connected", b.name, connected, b.Sockets)
	}
	return nil
}

// settled waits and reads the server's memory.
func (b *bench) settled(ctx context.Context) (memory, error) {
	b.note("%s: settling for %v\n", b.name, b.Settle)
	if err := sleep(ctx, b.Settle); err != nil {
		return memory{}, err
	}
	return sampleMemory(b.pid)
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

// phases are the parts after the first connect, each if it is asked for.
func (b *bench) phases(ctx context.Context) error {
	for _, part := range []struct {
		wanted int
		what   string
		do     func(context.Context) error
	}{
		{btoi(b.Again), "times all leave and come back", b.comeAgain},
		{b.Broadcasts, "paced broadcasts", func(ctx context.Context) (err error) {
			b.out.Paced, err = b.pacedPhase(ctx)
			return err
		}},
		{b.Burst, "broadcasts at once", func(ctx context.Context) (err error) {
			b.out.Burst, err = b.burstPhase(ctx)
			return err
		}},
		{b.UserMessages, "user messages", b.usersPhase},
		{b.Latency, "user messages, and as many by core NATS and for a consumer of the log", b.latencyPhase},
		{b.Mixed, "seconds of broadcasts and user messages", b.mixedPhase},
		{b.Resume, "broadcasts while everybody is away, then all resume", func(ctx context.Context) (err error) {
			b.out.Resume, err = b.comeBack(ctx, b.Resume, b.ConnectRate)
			return err
		}},
		{b.ResumeStorm, "broadcasts while everybody is away, then all resume at once", func(ctx context.Context) (err error) {
			b.out.Storm, err = b.comeBack(ctx, b.ResumeStorm, atOnce)
			return err
		}},
	} {
		if part.wanted == 0 {
			continue
		}
		b.note("%s: %d %s\n", b.name, part.wanted, part.what)
		if err := part.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
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
	p := &phase{Count: a.N, Seconds: time.Since(began).Seconds(), spread: spreadOf(a.Hist)}
	if a.N > 0 {
		p.WireBytes = float64(a.Wire) / float64(a.N)
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

// check asks every socket whether it has had everything.
func (b *bench) check(ctx context.Context) error {
	if err := b.fleet.tell(func(*workerProc) command {
		return command{Op: "check", Broadcasts: b.bseq, Users: int64(b.sent), Sockets: int64(b.Sockets), Chosen: b.extra}
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
