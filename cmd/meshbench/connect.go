//go:build linux

package main

import (
	"bytes"
	"context"
	"time"
)

// atOnce is a rate of connects that never keeps a socket waiting: what bounds
// them is inFlight, and so the server.
const atOnce = 1e9

func (b *bench) connect(ctx context.Context) (answer, error) {
	limit, err := b.startConnecting(b.ConnectRate)
	if err != nil {
		return answer{}, err
	}
	a, err := b.fleet.gather(ctx, "connected", limit)
	b.note("\r%d of %d connected\n", a.N, b.Sockets)
	return a, err
}

// startConnecting sets every worker going, and says how long that may take.
func (b *bench) startConnecting(rate float64) (limit time.Duration, err error) {
	err = b.fleet.tell(func(w *workerProc) command {
		return command{Op: "connect", Rate: b.share(w, rate)}
	})
	return b.connectLimit(rate), err
}

// share is a worker's part of a rate.
func (b *bench) share(w *workerProc, rate float64) float64 {
	return rate * float64(w.count) / float64(b.Sockets)
}

// connectLimit is the longest that connecting may take: each socket has its turn
// twice over, and there is a minute to spare.
func (b *bench) connectLimit(rate float64) time.Duration {
	return time.Minute + time.Duration(2*float64(b.Sockets)/rate*float64(time.Second))
}

// leave closes all sockets, and waits until the server has nothing more to do for
// that, so that it is no part of what is measured next.
func (b *bench) leave(ctx context.Context) error {
	if err := b.fleet.tell(func(*workerProc) command { return command{Op: "drop"} }); err != nil {
		return err
	}
	if _, err := b.fleet.gather(ctx, "dropped", 10*time.Second); err != nil {
		return err
	}
	return b.quiet(ctx)
}

// A server is quiet when it has used less than quietShare of a CPU for quietFor.
const (
	quietFor   = 500 * time.Millisecond
	quietShare = .02
	quietWait  = 30 * time.Second // and then it counts as quiet: it has a life of its own
)

// quiet waits until the server has nothing to do. Of a server whose process is not
// known nothing is seen, and nothing of its CPU is told either.
func (b *bench) quiet(ctx context.Context) error {
	if b.pid == 0 {
		return nil
	}
	for began := time.Now(); time.Since(began) < quietWait; {
		p, err := b.timed(func() (answer, error) { return answer{}, sleep(ctx, quietFor) })
		if err != nil {
			return err
		}
		if p.CPUSeconds < quietShare*p.Seconds {
			return nil
		}
	}
	return nil
}

// comeAgain measures handshakes with tokens that the server has seen before.
func (b *bench) comeAgain(ctx context.Context) error {
	if err := b.leave(ctx); err != nil {
		return err
	}
	p, err := b.timed(func() (answer, error) { return b.connect(ctx) })
	if err != nil {
		return err
	}
	b.out.Again = p
	return b.allThere(p.Count)
}

// comeback is a return of all after they have missed something.
type comeback struct {
	phase
	Resumed int64  `json:"resumed"` // of the handshakes, those whose hello said so
	First   spread `json:"first"`   // from a connect to the first replayed message
}

// comeBack lets everybody leave, publishes, and measures the return of all.
func (b *bench) comeBack(ctx context.Context, missed int, rate float64) (*comeback, error) {
	if err := b.leave(ctx); err != nil {
		return nil, err
	}
	if err := b.fleet.arm(ctx, int64(missed)); err != nil {
		return nil, err
	}
	for range missed {
		if err := b.broadcast(ctx); err != nil {
			return nil, err
		}
	}
	if err := b.pub.flush(ctx); err != nil {
		return nil, err
	}
	if err := b.quiet(ctx); err != nil { // it has taken in what it will replay
		return nil, err
	}
	var a answer
	p, err := b.timed(func() (_ answer, err error) {
		a, err = b.connectAndReplay(ctx, rate)
		return a, err
	})
	if err != nil {
		return nil, err
	}
	p.Messages, p.WireBytes = missed, 0
	b.note("\r%d of %d resumed\n", a.Resumed, b.Sockets)
	return &comeback{phase: *p, Resumed: a.Resumed, First: spreadOf(a.Kinds[kindFirst])}, b.allThere(p.Count)
}

// connectAndReplay waits for both the handshakes and the last replayed message,
// in whichever order the workers report them. It gives the handshakes.
func (b *bench) connectAndReplay(ctx context.Context, rate float64) (answer, error) {
	limit, err := b.startConnecting(rate)
	if err != nil {
		return answer{}, err
	}
	return b.fleet.gatherBoth(ctx, "connected", "done", limit+b.Wait)
}

// resumedMark is in the hello of a session that is continued from its cursor.
var resumedMark = []byte(`"resumed":true`)

// hello takes the first frame of a session that has come back or is new.
func (w *worker) hello(s *sock, frame []byte, now int64) {
	s.state = sockLive
	w.settled++
	w.handshakes.add(now - s.began)
	switch {
	case !s.missing: // it gave no cursor
	case bytes.Contains(frame, resumedMark):
		w.resumed++
	default:
		w.faults["hello of a resume without resumed:true"]++
	}
}
