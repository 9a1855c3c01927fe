package edge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/netloop"
)

// listenerID is the poller's id of the listening socket: no ref has generation 0.
const listenerID = 1

// loop owns an epoll instance, its connections and their timers. Everything in
// it but inbox, stop and the counters belongs to the loop's goroutine.
type loop struct {
	edge   *Edge
	id     int
	poller *netloop.Poller
	wheel  *netloop.Wheel
	now    time.Time // at the start of this turn
	conns  conns
	ln     *netloop.Listener
	spare  int  // a file to give up when no more may be opened
	mute   bool // not accepting until the wheel says so
	setUps int  // since the last look at what is new in the ring

	deliver deliverer
	takers  takers
	joins   joins
	lives   lives
	again   []ref // connections that have more to do than one turn allows
	leave   leave
	marking map[ref][]marking // changes to what was read that wait, the first under way
	buf     [64 << 10]byte

	counters counters
	inbox    inbox
	stop     atomic.Bool
}

// inbox is how other goroutines speak to a loop.
type inbox struct {
	mu       sync.Mutex
	messages []message
	spare    []message // the slice taken last time, to be used again
}

type msgKind uint8

const (
	msgConn   msgKind = iota // conn: from another loop, out of TLS, or back from net/http
	msgReady                 // reply: set-up is over
	msgPage                  // page: entries of the stream
	msgToken                 // reply: another token was verified
	msgMarked                // err: a change to what was read is stored, or not
	msgDrain                 // window: ask every session to move
	msgDo                    // do: a function to call
)

type message struct {
	kind   msgKind
	conn   arrival
	to     ref
	reply  *reply
	page   *page
	window time.Duration
	err    error
	do     func()
}

func newLoop(e *Edge, id int) (*loop, error) {
	p, err := netloop.NewPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{edge: e, id: id, poller: p, now: time.Now(), spare: -1, marking: make(map[ref][]marking)}
	l.wheel = netloop.NewWheel(wheelTick, wheelSlots, l.now)
	l.deliver.init(l)
	l.takers.init()
	l.joins = joins{claims: map[int32]auth.Topics{}, asked: map[asked]struct{}{}}
	if l.listens() {
		if l.spare, err = netloop.OpenSpare(); err != nil {
			return nil, errors.Join(err, p.Close())
		}
	}
	return l, nil
}

const (
	wheelTick  = time.Second // also the unit of a loop's clock
	wheelSlots = 1024
)

// setUpsPerRoute is how many sign-ins a loop does in a row, each of 0.1 ms with a new
// token, before it delivers what has come for its live sessions.
const setUpsPerRoute = 16

// post gives the loop a message and wakes it.
func (l *loop) post(m message) {
	l.inbox.mu.Lock()
	l.inbox.messages = append(l.inbox.messages, m)
	l.inbox.mu.Unlock()
	l.poller.Wake()
}

func (l *loop) run(ctx context.Context, ln *netloop.Listener) error {
	l.ln = ln
	if l.listens() {
		if err := l.poller.AddListener(ln.FD, listenerID); err != nil {
			return err
		}
	}
	defer l.shutDown()
	for !l.stop.Load() && ctx.Err() == nil {
		if err := l.turn(); err != nil {
			return err
		}
	}
	return nil
}

// listens reports whether the loop accepts for all: if each did, each would be woken
// for every connection, which epoll spares only those that sleep in it.
func (l *loop) listens() bool { return l.id == 0 }

// turn is one round of the loop. What takes long (a broadcast to very many
// sessions) is cut in slices of which a turn does one, so that everything else
// waits for a slice at most.
func (l *loop) turn() error {
	timeout := l.wheel.Until(l.now)
	busy := l.deliver.busy() || len(l.again) > 0 || l.leave.active || len(l.takers.queue) > 0
	if busy {
		timeout = 0
	}
	events, woken, err := l.poller.Wait(timeout)
	if err != nil {
		return err
	}
	l.now = time.Now()
	l.counters.turns.Add(1)
	l.wheel.Advance(l.now, l.due)
	for _, ev := range events {
		l.event(ev)
		l.between()
	}
	if woken {
		l.takeInbox()
	}
	l.setUps = 0
	l.deliver.route()
	l.deliver.slice()
	l.signalSlice()
	l.drainSlice()
	l.workAgain()
	l.counters.held.Store(l.conns.held())
	if busy {
		netloop.Yield()
	}
	return nil
}

// between is called after whatever may have signed somebody in, by all that does so in
// a row: events, the listener's queue, the inbox.
func (l *loop) between() {
	if l.setUps >= setUpsPerRoute {
		l.setUps = 0
		l.deliver.route()
	}
}

// clock is the loop's time: ticks of the wheel, which are seconds.
func (l *loop) clock() uint32 { return uint32(l.wheel.Tick(l.now)) }

// clockOf converts a time of the wall's clock, such as the end of a token, to the
// loop's, which a step of the wall's does not move. The far future is its end.
func (l *loop) clockOf(t time.Time) uint32 {
	return uint32(min(max(int64(l.clock())+int64(t.Sub(l.now)/wheelTick), 0), 1<<32-1))
}

func (l *loop) event(ev netloop.Event) {
	if ev.ID == listenerID {
		l.accept()
		return
	}
	r := ref(ev.ID)
	c := l.conns.get(r)
	if c == nil {
		return
	}
	c.ended = c.ended || ev.Ended
	if ev.Readable {
		l.readable(r.slot(), c)
	}
	if ev.Writable && l.conns.get(r) != nil {
		l.writable(r.slot(), c)
	}
}

// writable continues whatever waited for room in the socket.
func (l *loop) writable(slot int32, c *conn) {
	switch c.state {
	case stateLagging, stateReplay:
		l.resume(slot, c)
	case stateClosing, stateRefused:
		l.flushClosing(slot, c)
	}
}

// later has the loop come back to a connection that has more to do, once.
func (l *loop) later(slot int32, c *conn) {
	if !c.again {
		c.again = true
		l.again = append(l.again, refOf(slot, c))
	}
}

func (l *loop) workAgain() {
	work := l.again
	l.again = nil
	for _, r := range work {
		if c := l.conns.get(r); c != nil {
			c.again = false
			l.readable(r.slot(), c)
			if l.conns.get(r) != nil {
				l.writable(r.slot(), c)
			}
		}
	}
}

func (l *loop) takeInbox() {
	l.inbox.mu.Lock()
	messages := l.inbox.messages
	l.inbox.messages, l.inbox.spare = l.inbox.spare[:0], nil
	l.inbox.mu.Unlock()
	for i := range messages {
		m := &messages[i]
		switch m.kind {
		case msgConn:
			l.adopt(m.conn)
			l.between()
		case msgReady:
			l.ready(m.to, m.reply)
		case msgPage:
			l.pageReady(m.to, m.page)
		case msgToken:
			l.tokenReady(m.to, m.reply)
		case msgMarked:
			l.marked(m.to, m.err)
		case msgDrain:
			l.drain(m.window)
		case msgDo:
			m.do()
		}
	}
	clear(messages)
	l.inbox.mu.Lock()
	l.inbox.spare = messages
	l.inbox.mu.Unlock()
}

// drop ends a connection without another word.
func (l *loop) drop(slot int32, c *conn) {
	if c.state != stateHeader && c.state != stateRefused {
		l.edge.sessions.Add(-1)
	}
	l.forget(slot, c)
	l.edge.limits.Release(c.ticket)
	netloop.CloseFD(int(c.fd))
	l.conns.remove(slot)
}

// forget takes a session out of the indexes.
func (l *loop) forget(slot int32, c *conn) {
	switch c.state {
	case stateLive, stateLagging, stateReplay:
		l.leaveSignals(slot, c)
		delete(l.takers.sent, slot)
		delete(l.joins.claims, slot)
		l.deliver.unlinkUser(slot, c)
		if c.more != nil {
			l.deliver.leaveAll(c)
		}
		l.counters.live.Add(-1)
		if c.deflate {
			l.edge.packing.Add(-1)
		}
	}
}

func (l *loop) shutDown() {
	l.stop.Store(true) // adopt takes no more
	for slot := range l.conns.high {
		if c := l.conns.at(slot); c.state != stateFree {
			l.closeWith(slot, c, closeStop, "")
			if c.state != stateFree {
				l.drop(slot, c)
			}
		}
	}
	l.takeInbox() // connections that other loops gave it late
	if l.listens() {
		netloop.CloseFD(l.spare)
	}
}
