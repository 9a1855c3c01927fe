package edge

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// world is a simulation: several edges over one log, and clients that move between
// them. All of it runs in one goroutine of a synctest bubble, one step after the other;
// only jobs, which may wait, have others. Nothing is left to chance: the same steps bring
// the same words to every client.
type world struct {
	cfg     Config
	warm    uint64 // how far in the past a tail begins
	log     *simLog
	edges   []*simEdge
	clients []*simClient
	started int                     // edges, ever
	reads   map[string]wire.EventID // by the event that a read state has marked
	trace   []string
	steps   int
	read    int // bytes that clients have read
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%d: ", w.steps)+fmt.Sprintf(format, args...))
}

// step is one thing that happens; what its numbers mean depends on what.
type step struct {
	what    string
	a, b, c int
}

// simSteps are the kinds of steps, as often as they are to come.
var simSteps = func() (kinds []string) {
	for what, times := range map[string]int{
		"publish": 24, "burst": 2, "malformed": 1, "retention": 1, "follow": 20, "catch up": 6, "stall": 1,
		"turn": 24, "job": 16, "connect": 6, "read": 24, "hang up": 1, "ping": 3, "topic": 6, "token": 1,
		"fail": 1, "slow": 1, "short": 1, "stale": 1, "mend": 2, "sleep": 8, "round": 6, "idle": 1,
	} {
		kinds = append(kinds, slices.Repeat([]string{what}, times*4)...)
	}
	// What ends every session comes seldom.
	kinds = append(kinds, "life", "life", "life", "drain", "restart", "restart")
	slices.Sort(kinds)
	return kinds
}()

// newWorld makes one of so many partitions, edges and clients, whose other properties
// are drawn.
func newWorld(r *rand.Rand, partitions, edges, clients int) (*world, error) {
	w := &world{
		cfg: Config{
			Loops: 1 + r.IntN(8)/6, RingBytes: 1 + r.IntN(48<<10), Slice: 1 + r.IntN(3),
			ReplayLimit: []int{5, 60, 2000}[r.IntN(3)], NoHistory: r.IntN(8) == 0,
		},
		warm: uint64(r.IntN(40)), log: newSimLog(partitions), reads: map[string]wire.EventID{},
	}
	for i := range edges {
		w.edges = append(w.edges, nil)
		if err := w.restart(i); err != nil {
			return nil, err
		}
	}
	for i := range clients {
		name := fmt.Sprintf("%c%d", "uw"[i/2%2], i/2) // each person has two devices
		w.clients = append(w.clients, &simClient{w: w, name: name, id: fmt.Sprint(name, ".", i%2), fd: -1, topics: map[string]wire.Vector{}})
	}
	return w, nil
}

// restart is the crash of an edge, whose place another process takes.
func (w *world) restart(i int) error {
	if e := w.edges[i]; e != nil {
		e.stop()
	}
	w.started++
	e, err := newSimEdge(w, fmt.Sprint("edge ", i), w.started)
	if err == nil {
		w.edges[i] = e
	}
	return err
}

func (w *world) stop() {
	for _, c := range w.clients {
		c.hangUp()
	}
	for _, e := range w.edges {
		if e != nil {
			e.stop()
		}
	}
}

// publish stores a message: to everybody, a person, or a topic; or what a person has
// read.
func (w *world) publish(a, b, c int, malformed bool) {
	e := wire.Entry{Envelope: wire.Envelope{Type: wire.TypeToast}}
	person := w.clients[a/8%len(w.clients)].name
	switch a % 8 {
	case 0, 1:
		e.Audience = wire.Broadcast()
	case 2, 3, 4:
		e.Audience = wire.User(person)
	case 5, 6:
		e.Audience = wire.Topic(simTopic(a / 8))
	default:
		e.Audience = wire.Audience{Kind: wire.KindRead, ID: person}
		id := wire.EventID{Position: wire.Position{Life: 1, Seq: uint64(len(w.reads) + 1)}} // any that is new
		change := wire.Change{Read: []wire.EventID{id}, At: 1}
		state := change.State()
		e.Read, e.Envelope = &state, wire.Envelope{}
		w.reads[id.String()] = w.log.add(e, malformed)
		return
	}
	size := c % 600
	if c%7 == 0 {
		size *= 10 // as long as to be compressed, or more than a small ring holds
	}
	e.Payload = fmt.Appendf(nil, `{"title":"%d","teaser":"%s"}`, w.steps, strings.Repeat("x", size))
	if b%4 == 0 {
		e.Collapse = fmt.Sprint("key", b/4%3)
	}
	if b%5 == 0 {
		e.Expires = time.Now().Add(time.Duration(1+b%90) * time.Second)
	}
	w.log.add(e, malformed)
}

func simTopic(n int) string { return fmt.Sprint("topic", n%2) }

// slowRest is a part of a millisecond: a slow answer comes at a moment at which nothing
// else happens, such as the end of its context.
const slowRest = 137 * time.Microsecond

// do does one step.
func (w *world) do(s step) error {
	w.steps++
	e, c, part := w.edges[s.a%len(w.edges)], w.clients[s.a%len(w.clients)], s.b%len(w.log.parts)
	switch s.what {
	case "publish":
		w.publish(s.a, s.b, s.c, false)
	case "burst":
		for i := range 40 {
			w.publish(s.a+i*(s.b%3), s.b+i, s.c, false)
		}
	case "malformed":
		w.publish(s.a, 1, 0, true)
	case "retention":
		w.log.forget(part, uint64(s.c%60))
	case "life":
		w.log.begin(part)
		for i, e := range w.edges {
			e.blind = time.Now().Add(time.Duration((s.c+i)%8) * time.Second)
		}
	case "follow":
		e.follow(part, s.c%12, w.warm)
	case "catch up":
		w.catchUp(e)
	case "stall":
		e.stalls[part] = time.Now().Add(time.Duration(s.c%12) * time.Second)
	case "turn":
		for range 1 + s.c%3 {
			if err := e.turn(s.b % len(e.loops)); err != nil {
				return err
			}
		}
	case "job":
		e.job(s.b%2, s.c)
	case "connect":
		return w.connect(c, s.b, s.c)
	case "read":
		return c.read(1 + s.b*s.b%(16<<10))
	case "hang up":
		c.hangUp()
	case "ping":
		c.say(ws.OpText, `{"type":"ping"}`)
	case "topic":
		c.topic(simTopic(s.b))
	case "token":
		c.say(ws.OpText, fmt.Sprintf(`{"type":"auth","token":"%s@%ds"}`, c.name, 100+s.b%300))
	case "fail":
		e.history.set(func(h *simHistory) { h.fails = time.Now().Add(time.Duration(s.c%90) * time.Second) })
	case "slow":
		e.history.set(func(h *simHistory) { h.slow = time.Duration(s.c%16_000)*time.Millisecond + slowRest })
	case "short":
		e.history.set(func(h *simHistory) { h.most = 1 + s.c%9 })
	case "stale":
		e.history.set(func(h *simHistory) {
			h.stale = nil
			for _, p := range w.log.parts {
				h.stale = append(h.stale, p.last()*uint64(s.c%10)/10)
			}
		})
	case "mend":
		e.history.mend()
	case "drain":
		e.draining.Store(true)
		for _, l := range e.loops {
			l.leave.active = true // as msgDrain has it, without a listener, and all at once
		}
	case "restart":
		return w.restart(s.a % len(w.edges))
	case "sleep":
		time.Sleep([]time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, 20 * time.Second}[s.b%4])
	case "round":
		return w.round(time.Second)
	case "idle":
		for range 1 + s.b%20 {
			if err := w.round(time.Duration(1+s.c%60) * time.Second); err != nil {
				return err
			}
		}
	}
	w.await()
	return nil
}

// connect has a client come to an edge, with its cursor most of the time.
func (w *world) connect(c *simClient, b, n int) error {
	if c.fd >= 0 && b%4 > 0 {
		return nil // it stays
	}
	a := ask{edge: b / 4 % len(w.edges), loop: n % 2, deflate: n%3 == 0, buffer: 1 + n%(64<<10)}
	if n%10 == 0 {
		a.forget, a.replay = true, n/10%30
	}
	if n%12 == 0 {
		a.lasts = time.Duration(1+b%200) * time.Second
	}
	return c.connect(a)
}

// catchUp has a tail bring all that there is, the partitions by turns.
func (w *world) catchUp(e *simEdge) {
	for more := true; more; {
		more = false
		for part, p := range w.log.parts {
			if before := e.at[part]; before < p.last() {
				e.follow(part, 1+w.steps%5, w.warm)
				more = more || e.at[part] != before
			}
		}
	}
}

// round is some time in which every loop turns, every job runs and every client reads.
func (w *world) round(lasts time.Duration) error {
	if err := w.pass(); err != nil {
		return err
	}
	time.Sleep(lasts)
	w.await()
	return nil
}

func (w *world) pass() error {
	for _, e := range w.edges {
		for i := range e.loops {
			if err := e.turn(i); err != nil {
				return err
			}
		}
		for pool := range e.jobs {
			for e.job(pool, 0) {
				w.await()
			}
		}
	}
	for _, c := range w.clients {
		if err := c.read(1 << 20); err != nil {
			return err
		}
	}
	return nil
}

// quietRounds are the seconds in which a session comes to what it lacks by itself: a
// page that failed is asked for again after 32 seconds at the latest.
const quietRounds = 40

// settle mends all that is broken and checks that every client then comes to the end of
// the log.
func (w *world) settle() error {
	for i, e := range w.edges {
		e.history.mend()
		clear(e.stalls)
		e.blind = time.Time{}
		if e.Draining() {
			if err := w.restart(i); err != nil {
				return err
			}
		}
	}
	for round := 0; ; round++ {
		for _, e := range w.edges {
			e.follow(0, 0, w.warm) // notices another life
			w.catchUp(e)
		}
		there := true
		for i, c := range w.clients {
			if round == 0 {
				c.calm = true
			}
			if c.fd < 0 {
				c.calm = round == 0
				if err := c.connect(ask{edge: i % len(w.edges), loop: i, buffer: 32 << 10}); err != nil {
					return err
				}
			}
			if w.atEnd(c) {
				continue
			}
			there = false
			switch missing := c.missing(); {
			case round == quietRounds && c.calm && missing != nil:
				return fmt.Errorf("%s, who says nothing, still lacks %s", c.id, missing.ID())
			case round >= quietRounds && round%4 == 0:
				c.say(ws.OpText, `{"type":"ping"}`) // its answer has the cursor
			}
		}
		if there {
			return w.check()
		}
		if round > 300 {
			return fmt.Errorf("%s", w.stuck())
		}
		// As often as there is something to be read: a small socket takes little at a time.
		for before := -1; before != w.read; {
			before = w.read
			if err := w.pass(); err != nil {
				return err
			}
		}
		time.Sleep(time.Second)
		w.await()
	}
}

func (w *world) atEnd(c *simClient) bool {
	for i, p := range w.log.parts {
		if c.place == nil || c.place[i] != (wire.Position{Life: p.life, Seq: p.last()}) {
			return false
		}
	}
	return true
}

func (w *world) stuck() string {
	var b strings.Builder
	fmt.Fprintf(&b, "with the log at %+v, after minutes without faults:", w.log.state())
	for _, c := range w.clients {
		if !w.atEnd(c) {
			fmt.Fprintf(&b, " %s is at %v (connected: %t, closed with %d);", c.id, c.place, c.fd >= 0, c.code)
		}
	}
	return b.String()
}

func (w *world) check() error {
	for _, e := range w.edges {
		if err := e.check(); err != nil {
			return err
		}
	}
	return nil
}

// runWorld does steps in a world of its own, and settles it now and then; it needs a
// bubble. It returns the world with its trace.
func runWorld(r *rand.Rand, partitions, edges, clients int, steps iter.Seq[step]) (w *world, err error) {
	if w, err = newWorld(r, partitions, edges, clients); err != nil {
		return w, err
	}
	defer func() {
		w.stop()
		synctest.Wait()
	}()
	for s := range steps {
		if err := w.do(s); err != nil {
			return w, fmt.Errorf("step %d, %+v: %w", w.steps, s, err)
		}
		if w.steps%500 == 0 {
			if err := w.settle(); err != nil {
				return w, fmt.Errorf("settling at step %d: %w", w.steps, err)
			}
		}
	}
	if err := w.settle(); err != nil {
		return w, fmt.Errorf("settling at the end: %w", err)
	}
	return w, nil
}
