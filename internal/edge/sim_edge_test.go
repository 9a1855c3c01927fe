package edge

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"testing/synctest"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// simEdge is one edge of a simulation: its loops are turned, and the jobs of its pools
// run, when the simulation says so. Its tail has an order of the partitions of its own.
type simEdge struct {
	*Edge
	history *simHistory
	cancel  context.CancelFunc
	ctx     context.Context

	lives  []uint64 // of the partitions that its tail follows
	at     wire.Vector
	warm   wire.Vector // nobody is let in before the tail is here
	stalls []time.Time // until when each partition brings nothing
	blind  time.Time   // until when the tail does not notice that the life is another
	jobs   [2][]func(context.Context)
	sorted []int // messages in each loop's inbox that have their order
}

// simPools is how many jobs wait for each pool: few, so that some are turned away.
const simPools = 6

func newSimEdge(w *world, name string, instance int) (*simEdge, error) {
	e := &simEdge{
		history: &simHistory{log: w.log}, stalls: make([]time.Time, len(w.log.parts)), sorted: make([]int, w.cfg.Loops),
	}
	cfg := w.cfg
	cfg.Node, cfg.CaughtUp = name, func() bool { return e.at.Covers(e.warm) }
	var err error
	if e.Edge, err = New(cfg, simTokens{}, e.history, slog.New(slog.NewTextHandler(io.Discard, nil))); err != nil {
		return nil, err
	}
	e.instance = uint32(instance) // random otherwise
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.work = &pool{ctx: e.ctx, jobs: make(chan func(context.Context), simPools)}
	e.reads = &pool{ctx: e.ctx, jobs: make(chan func(context.Context), simPools)}
	e.begin(w.warm)
	return e, nil
}

// begin has the tail start over, some entries of each partition in the past.
func (e *simEdge) begin(warm uint64) {
	log := e.history.log
	e.lives, e.at, e.warm = wire.Lives(log.state()), make(wire.Vector, len(log.parts)), make(wire.Vector, len(log.parts))
	for i, p := range log.parts {
		e.warm[i] = p.last()
		e.at[i] = p.first - 1
		if p.last() > warm {
			e.at[i] = max(e.at[i], p.last()-warm)
		}
	}
	e.Begin(e.lives, e.at)
}

// follow has the tail bring up to n entries of a partition, as mesh.Follow would: it
// starts over when the life is another, or what comes next is gone.
func (e *simEdge) follow(part, n int, warm uint64) {
	log, p := e.history.log, e.history.log.parts[part]
	if time.Now().Before(e.stalls[part]) {
		return
	}
	anew := !slices.Equal(e.lives, wire.Lives(log.state()))
	if anew && time.Now().Before(e.blind) {
		if anew = false; p.life != e.lives[part] {
			return
		}
	}
	if anew || e.at[part]+1 < p.first {
		e.begin(warm)
		return
	}
	for ; n > 0 && e.at[part] < p.last(); n-- {
		s := p.entries[e.at[part]]
		e.at[part]++
		e.moved.Lock()
		awaited := e.moved.waiting > 0
		e.moved.Unlock()
		switch gone := s.Expired(time.Now()); {
		case !gone && !s.malformed:
			e.Append(&s.Entry)
		case !gone || e.at[part] == p.last(): // a hole in the sequences is not spoken of
			e.Skip(part, s.Seq)
		}
		if awaited {
			synctest.Wait() // who has waited for the tail goes on from here, not from later
		}
	}
}

// turn turns a loop once. What a loop does in no order of its own is put in one first:
// the rest of the turn then finds it done.
func (e *simEdge) turn(loop int) error {
	l := e.loops[loop]
	// Events, which the kernel has in the order in which the Go runtime, too, happens to
	// look at them: the poller is itself polled.
	events, _, err := l.poller.Wait(0)
	if err != nil {
		return err
	}
	events = slices.SortedFunc(slices.Values(events), func(a, b netloop.Event) int { return cmp.Compare(a.ID, b.ID) })
	l.now = time.Now()
	l.wheel.Advance(l.now, l.due)
	for _, ev := range events {
		l.event(ev)
		l.between()
	}
	// The sweeps of topics that begin where the ring has turned past the loop, as a map
	// has them. What has begun stays where it is.
	if d := &l.deliver; d.gen != nil && d.gen == e.gen.Load() {
		if v := d.gen.ring.View(); d.routed < v.Floor() {
			for _, name := range slices.Sorted(maps.Keys(d.topics)) {
				d.addTopic(d.topics[name], d.routed+1)
			}
		}
	}
	l.poller.Wake() // takes what is in the inbox, and does not sleep
	e.sorted[loop] = 0
	return l.turn()
}

// job runs one of the jobs that wait for a pool, until it ends or waits.
func (e *simEdge) job(pool, i int) bool {
	from := e.work
	if pool == 1 {
		from = e.reads
	}
	for len(from.jobs) > 0 {
		e.jobs[pool] = append(e.jobs[pool], <-from.jobs)
	}
	jobs := e.jobs[pool]
	if len(jobs) == 0 {
		return false
	}
	i %= len(jobs)
	job := jobs[i]
	e.jobs[pool] = slices.Delete(jobs, i, i+1)
	go job(e.ctx)
	return true
}

// await waits for the jobs that run to end, or wait, and puts what they have posted in
// an order that does not depend on the scheduler.
func (w *world) await() {
	synctest.Wait()
	for _, e := range w.edges {
		for i, l := range e.loops {
			l.inbox.mu.Lock()
			slices.SortStableFunc(l.inbox.messages[e.sorted[i]:], func(a, b message) int {
				return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.to, b.to))
			})
			e.sorted[i] = len(l.inbox.messages)
			l.inbox.mu.Unlock()
		}
	}
}

// stop ends an edge, as Serve does.
func (e *simEdge) stop() {
	e.cancel()
	synctest.Wait()
	for _, l := range e.loops {
		l.shutDown()
	}
	e.closePollers()
}

// check compares what an edge counts with what it holds.
func (e *simEdge) check() error {
	var sessions, live, packing int
	for _, l := range e.loops {
		for slot := range l.conns.high {
			c := l.conns.at(slot)
			switch c.state {
			case stateFree, stateHeader, stateRefused:
				continue
			case stateLive, stateLagging, stateReplay:
				live++
				if c.deflate {
					packing++
				}
			}
			sessions++
			if m := c.more; m != nil && len(m.out) > maxOut+2*pageBytes {
				return fmt.Errorf("%d bytes are kept for a client that does not read", len(m.out))
			}
		}
		live -= int(l.counters.live.Load())
	}
	if sessions != e.Sessions() || live != 0 || packing != int(e.packing.Load()) {
		return fmt.Errorf("there are %d sessions, counted as %d; live %+d; packing %d of %d",
			sessions, e.Sessions(), live, e.packing.Load(), packing)
	}
	return nil
}
