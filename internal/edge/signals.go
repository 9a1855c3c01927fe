package edge

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Signals carries between clients what is not stored. None of its methods waits.
type Signals interface {
	// Want asks for the signals to an audience; Unwant takes one asking back.
	Want(a wire.Audience)
	Unwant(a wire.Audience)
	// Signal sends what a client says to an audience, or drops it.
	Signal(to wire.Audience, from, session string, env wire.Envelope)
}

// maxSignals bounds the signals that wait in a loop.
const maxSignals = 1024

// signal is one on its way to the sessions of a loop.
type signal struct {
	to     wire.Audience
	frame  []byte
	except ref // the session that sent it; 0: none of this loop
	at     int // the next of the takers
}

// takers are the sessions of a loop that want signals, and those that have sent some: who
// does neither costs nothing.
type takers struct {
	waiting atomic.Int64 // signals in the inbox and in queue
	wanted  atomic.Bool  // there are takers

	of     map[int32][]seat // by slot; the first seat is in all
	all    *circle
	topics map[string]*circle
	queue  []*signal
	sent   map[int32]allowance // by slot; who has sent none is not in it
}

// circle is the takers of one audience, seat the place of one in it.
type circle struct {
	of    wire.Audience
	slots []int32
}

type seat struct {
	on *circle
	at int
}

func (t *takers) init() {
	t.of = map[int32][]seat{}
	t.all = &circle{of: wire.Broadcast()}
	t.topics = map[string]*circle{}
	t.sent = map[int32]allowance{}
}

// Signal takes what has come for an audience: it is encoded once, for all sessions.
// from is who sent it, if a client did, and session which of that person's sessions: it
// does not get it back. It does not wait.
func (e *Edge) Signal(to wire.Audience, from, session string, env wire.Envelope) {
	var frame []byte
	loop, except := e.sessionRef(session)
	for _, l := range e.loops {
		if !l.takers.wanted.Load() {
			continue
		}
		if l.takers.waiting.Add(1) > maxSignals {
			l.takers.waiting.Add(-1)
			e.metrics.signal(signalBusy)
			continue
		}
		if frame == nil {
			frame = appendServerFrame(nil, wire.Signal{Name: env.Type, To: to.To(), From: from, Payload: env.Payload})
		}
		s := &signal{to: to, frame: frame}
		if l.id == loop {
			s.except = except
		}
		l.do(func() { l.takers.queue = append(l.takers.queue, s) })
	}
}

// sessionRef is the inverse of sessionID for sessions of this edge.
func (e *Edge) sessionRef(id string) (loop int, r ref) {
	if len(id) < 26 || id[:8] != fmt.Sprintf("%08x", e.instance) {
		return -1, 0
	}
	number, err := strconv.ParseUint(id[8:len(id)-16], 16, 16)
	slot, err2 := strconv.ParseUint(id[len(id)-16:], 16, 64)
	if err != nil || err2 != nil {
		return -1, 0
	}
	return int(number), ref(slot)
}

// signalSlice does a turn's share of the signals, the oldest first. While one is on its
// way its takers may leave, and it may then pass one over: signals may be lost.
func (l *loop) signalSlice() {
	t := &l.takers
	for visits := l.edge.cfg.Slice; visits > 0 && len(t.queue) > 0; visits-- {
		s := t.queue[0]
		slots := l.takersOf(s.to)
		switch {
		case s.at < len(slots):
			slot := slots[s.at]
			s.at++
			l.sendSignal(slot, l.conns.at(slot), s)
			continue
		case s.at == 0:
			l.edge.metrics.signal(signalNobody)
		}
		t.queue[0] = nil
		t.queue = t.queue[1:]
		t.waiting.Add(-1)
	}
}

// takersOf are the slots of the takers among an audience.
func (l *loop) takersOf(a wire.Audience) []int32 {
	switch a.Kind {
	case wire.KindBroadcast:
		return l.takers.all.slots
	case wire.KindTopic:
		if b := l.takers.topics[a.ID]; b != nil {
			return b.slots
		}
		return nil
	default:
		return slices.DeleteFunc(l.deliver.sessionsOf(a.ID), func(slot int32) bool { return l.takers.of[slot] == nil })
	}
}

// sendSignal writes a signal to a session, if that is live and its socket takes it now.
func (l *loop) sendSignal(slot int32, c *conn, s *signal) {
	switch {
	case refOf(slot, c) == s.except:
		return
	case c.state != stateLive:
		l.edge.metrics.signal(signalLagging)
		return
	}
	n, err := netloop.Write(int(c.fd), s.frame)
	switch {
	case err != nil && !errors.Is(err, netloop.ErrAgain):
		l.drop(slot, c)
		return
	case n == 0:
		l.edge.metrics.signal(signalLagging)
		return
	case n < len(s.frame): // the rest must follow before anything else: the session lags
		l.send(slot, c, s.frame[n:])
	}
	l.edge.metrics.signal(signalDelivered)
}

// takeSignals makes a session one of the takers, before it joins topics.
func (l *loop) takeSignals(slot int32, c *conn) {
	if l.edge.cfg.Signals == nil {
		return
	}
	l.takers.wanted.Store(true)
	l.sit(slot, l.takers.all)
	l.edge.cfg.Signals.Want(wire.User(c.user))
}

// leaveSignals is the opposite, before the session leaves its topics.
func (l *loop) leaveSignals(slot int32, c *conn) {
	if l.takers.of[slot] == nil {
		return
	}
	for n := len(l.takers.of[slot]); n > 0; n-- {
		l.rise(slot, n-1)
	}
	delete(l.takers.of, slot)
	l.edge.cfg.Signals.Unwant(wire.User(c.user))
	l.takers.wanted.Store(len(l.takers.of) > 0)
}

// joined and left follow what a session does with topics.
func (l *loop) joined(slot int32, topic string) {
	if l.takers.of[slot] == nil {
		return
	}
	b := l.takers.topics[topic]
	if b == nil {
		b = &circle{of: wire.Topic(topic)}
		l.takers.topics[topic] = b
	}
	l.sit(slot, b)
}

func (l *loop) left(slot int32, topic string) {
	for i, s := range l.takers.of[slot] {
		if s.on == l.takers.topics[topic] {
			l.rise(slot, i)
			return
		}
	}
}

// sit gives a taker a seat in a circle.
func (l *loop) sit(slot int32, b *circle) {
	if len(b.slots) == 0 {
		l.edge.cfg.Signals.Want(b.of)
	}
	l.takers.of[slot] = append(l.takers.of[slot], seat{b, len(b.slots)})
	b.slots = append(b.slots, slot)
}

// rise takes a taker's i-th seat away. The last on the circle moves there.
func (l *loop) rise(slot int32, i int) {
	s := l.takers.of[slot][i]
	last := len(s.on.slots) - 1
	moved := s.on.slots[last]
	s.on.slots[s.at] = moved
	s.on.slots = s.on.slots[:last]
	for j, other := range l.takers.of[moved] {
		if other.on == s.on {
			l.takers.of[moved][j].at = s.at
		}
	}
	l.takers.of[slot] = slices.Delete(l.takers.of[slot], i, i+1)
	if last == 0 {
		l.edge.cfg.Signals.Unwant(s.on.of)
		delete(l.takers.topics, s.on.of.ID)
	}
}

// Signals that a client may send at once, and a second after that. They do not count
// as frames.
const (
	signalBurst  = 10
	signalRefill = 5
)

// allowance is what a session has sent of signals. The zero value has sent none.
type allowance struct {
	used   uint8
	at     uint32 // seconds of the loop's clock
	silent uint32 // no error before this time, the same clock
}

// take counts a signal, or reports that it is one too many and whether to say so.
func (a *allowance) take(now uint32) (ok, say bool) {
	a.used -= uint8(min(uint32(a.used), min(now-a.at, signalBurst)*signalRefill))
	a.at = now
	if a.used < signalBurst {
		a.used++
		return true, false
	}
	say = now >= a.silent
	a.silent = now + 1
	return false, say
}

// clientSignal sends on what a client says to the other members of a topic.
func (l *loop) clientSignal(r ref, c *conn, f *wire.ClientFrame) {
	e := l.edge
	if e.cfg.Signals == nil {
		l.answer(r, c, wire.Error{Code: wire.FrameErrUnsupported, Message: "this server carries no signals"})
		return
	}
	if c.more == nil || !c.more.holds(f.Topic) {
		e.metrics.signal(signalForbidden)
		l.answer(r, c, wire.Error{Code: wire.FrameErrForbidden, Message: fmt.Sprintf("you are not a member of the topic %q", f.Topic)})
		return
	}
	sent := l.takers.sent[r.slot()]
	ok, say := sent.take(l.clock())
	l.takers.sent[r.slot()] = sent
	if !ok {
		e.metrics.signal(signalTooMany)
		if say {
			l.answer(r, c, wire.Error{Code: wire.FrameErrTooManySignals, Message: fmt.Sprintf("at most %d signals a second", signalRefill)})
		}
		return
	}
	c.tokens++ // it was counted as a frame
	env := wire.Envelope{Type: f.Name, Payload: f.Payload}
	if len(env.Payload) == 0 {
		env.Payload = []byte("{}")
	}
	e.metrics.signal(signalSent)
	e.cfg.Signals.Signal(wire.Topic(f.Topic), c.user, l.sessionID(r), env)
}

// What becomes of signals, for the metrics.
type signalResult int

const (
	signalSent signalResult = iota
	signalForbidden
	signalTooMany
	signalDelivered
	signalLagging
	signalBusy
	signalNobody
)

// signalResults are their labels.
var signalResults = [...]string{"sent", "forbidden", "too_many", "delivered", "lagging", "busy", "nobody"}
