package edge

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// closeStop is the code for sessions that are open when the edge stops.
const closeStop = wire.CloseGoingAway

// closePatience is how long a peer has to answer a close frame and end the connection.
const closePatience = 2 * time.Second

// ready takes the result of a set-up: it writes the answer, and the session is
// live, or the connection is closed.
func (l *loop) ready(r ref, rep *reply) {
	c := l.conns.get(r)
	if c == nil || c.state != stateSetUp {
		return
	}
	l.edge.metrics.handshake(rep.result)
	if log := l.edge.log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("upgrade", "result", rep.result, "session", l.sessionID(r), "client", c.more.client)
	}
	if rep.ok && rep.gen != l.deliver.gen {
		l.deliver.route() // takes up a new life of the log
	}
	switch {
	case !rep.ok && rep.code == 0:
		l.sayAndClose(r.slot(), c, rep.out)
	case !rep.ok:
		l.sayGoodbye(r.slot(), c, rep.out, rep.code, rep.reason)
	case rep.gen != l.deliver.gen: // the log began another life meanwhile
		l.sayAndClose(r.slot(), c, []byte(busyAnswer))
	case l.edge.revoked(rep.identity):
		l.sayGoodbye(r.slot(), c, rep.out, wire.CloseToken, revokedReason)
	case l.edge.draining.Load(): // it would not be asked to move
		l.sayGoodbye(r.slot(), c, rep.out, wire.CloseDrain, "")
	default:
		l.begin(r, c, rep)
	}
	// No event comes for what the client sent meanwhile.
	if l.conns.get(r) != nil {
		l.readable(r.slot(), c)
	}
}

// begin makes a session of a connection that is set up.
func (l *loop) begin(r ref, c *conn, rep *reply) {
	slot := r.slot()
	c.user = rep.identity.UID
	if c.deflate = rep.deflate; c.deflate {
		l.edge.packing.Add(1)
	}
	l.startLife(slot, c, rep.identity)
	c.heard = l.clock()
	c.state = stateReplay // where it is in the ring is found by resume
	m := c.needMore()
	behind := m.request
	m.request = nil
	m.out, m.at = rep.out, slices.Clone(rep.after)
	l.counters.live.Add(1)
	l.deliver.linkUser(slot, c)
	if rep.signals {
		l.takeSignals(slot, c)
	}
	for _, t := range rep.topics {
		l.deliver.join(slot, c, t)
	}
	l.schedule(r, c)
	if l.rejoin(c) {
		l.topUp(c)
	}
	l.resume(slot, c)
	switch {
	case len(behind) == 0 || l.conns.get(r) == nil:
	case c.state == stateClosing:
		l.hearGoodbye(slot, c, behind)
	default:
		l.feed(r, c, behind) //nolint:errcheck // its error is that the session ends
	}
}

// sayAndClose writes last words and closes; what the socket does not take at
// once is written while closing.
func (l *loop) sayAndClose(slot int32, c *conn, words []byte) {
	l.forget(slot, c)
	m := c.needMore()
	m.out = append(m.out, words...)
	m.topics = nil
	c.state = stateClosing
	l.setDue(refOf(slot, c), c, closePatience)
	l.flushClosing(slot, c)
}

// sayGoodbye writes last words and a close frame, and waits for the answer before this
// side ends (RFC 6455, 7.1.1). Many a balancer takes the end of one side for the end of
// both, and a browser whose answer is met by a reset does not know the code any more.
func (l *loop) sayGoodbye(slot int32, c *conn, words []byte, code int, reason string) {
	r, m := refOf(slot, c), c.needMore()
	behind := m.request
	m.request, m.waits = nil, true
	l.sayAndClose(slot, c, appendClose(words, code, reason))
	if l.conns.get(r) != nil {
		l.hearGoodbye(slot, c, behind)
	}
}

// closeWith ends a session with a close frame.
func (l *loop) closeWith(slot int32, c *conn, code int, reason string) {
	switch c.state {
	case stateHeader, stateRefused:
		l.drop(slot, c)
	case stateClosing, stateFree:
	default:
		l.edge.metrics.closed(code)
		if c.state == stateSetUp {
			l.drop(slot, c) // the upgrade has not been answered: there are no frames yet
			return
		}
		if c.more != nil && len(c.more.out) > maxOut {
			l.drop(slot, c) // it does not read; a close frame would not reach it
			return
		}
		l.sayGoodbye(slot, c, nil, code, reason)
	}
}

// flushClosing writes what is left and then, if no answer is waited for, ends this side
// of the connection. The socket itself is closed when the peer has ended its side: bytes
// unread at that time would make the kernel send a reset, which could overtake the close
// frame.
func (l *loop) flushClosing(slot int32, c *conn) {
	m := c.needMore()
	for len(m.out) > 0 {
		n, err := netloop.Write(int(c.fd), m.out)
		if errors.Is(err, netloop.ErrAgain) {
			return
		}
		if err != nil {
			l.drop(slot, c)
			return
		}
		m.out = m.out[n:]
	}
	if m.waits || m.said || l.edge.cfg.TLS != nil && errors.Is(netloop.CloseNotify(int(c.fd)), netloop.ErrAgain) {
		return
	}
	m.said = true
	netloop.ShutdownWrite(int(c.fd))
}

// readClosing reads what a client still sends: the answer to the close frame, its end.
func (l *loop) readClosing(slot int32, c *conn) {
	r := refOf(slot, c)
	for range readsPerTurn {
		if l.conns.get(r) == nil {
			return
		}
		n, err := netloop.Read(int(c.fd), l.buf[:])
		if errors.Is(err, netloop.ErrAgain) {
			return
		}
		if err != nil || n == 0 {
			l.drop(slot, c)
			return
		}
		l.hearGoodbye(slot, c, l.buf[:n])
	}
	if l.conns.get(r) != nil {
		l.later(slot, c)
	}
}

// hearGoodbye looks for the answer to the close frame in what a client sends. What else
// there is does not count any more; what breaks the protocol is taken for the answer.
func (l *loop) hearGoodbye(slot int32, c *conn, data []byte) {
	m := c.more
	if !m.waits || len(data) == 0 {
		return
	}
	m.in.Deflate = c.deflate
	err := m.in.Feed(data, func(op session.Op, _ []byte) error {
		if op == session.OpClose {
			return errDone
		}
		return nil
	})
	if err != nil {
		l.answered(slot, c)
	}
}

// answered ends this side: nothing that follows from the client is looked at.
func (l *loop) answered(slot int32, c *conn) {
	c.more.waits, c.more.in = false, session.Inbound{}
	l.flushClosing(slot, c)
}

// setDue has the wheel look at a connection after a delay. One longer than a turn
// of the wheel would come up before its time, and be taken for one that was changed.
func (l *loop) setDue(r ref, c *conn, delay time.Duration) {
	delay = min(delay, (wheelSlots-64)*wheelTick)                 // less than a turn, also when the loop is late
	c.due = l.clock() + uint32((delay+wheelTick-1)/wheelTick) + 1 // never before: clock has been going for up to a tick
	l.wheel.Add(uint64(r), int64(c.due))
}

// dueWithin has the wheel look at a session after a delay, or before if that is
// what it is about to do. When one is asked to leave, its time is set for good.
func (l *loop) dueWithin(r ref, c *conn, delay time.Duration) {
	now := l.clock()
	if c.leaving || c.due > now && time.Duration(c.due-now)*wheelTick <= delay {
		return
	}
	l.setDue(r, c, delay)
}

// schedule sets the next time a session needs looking at: its ping, or what its token
// wants.
func (l *loop) schedule(r ref, c *conn) {
	now := l.clock()
	next := c.heard + uint32(l.edge.cfg.PingInterval/time.Second)
	next = max(min(next, l.tokenDue(r.slot(), c)), now+1)
	l.dueWithin(r, c, time.Duration(next-now)*time.Second)
}

// due is called by the wheel. A connection whose time was changed is in the
// wheel more than once; only the place that is its time now counts.
func (l *loop) due(id uint64) {
	if id == listenerID {
		l.listenAgain()
		return
	}
	r := ref(id)
	c := l.conns.get(r)
	if c == nil {
		return
	}
	if l.clock() < c.due {
		return
	}
	switch c.state {
	case stateHeader:
		l.refuse(r.slot(), c, "408 Request Timeout", "timeout")
	case stateClosing, stateRefused:
		l.drop(r.slot(), c)
	case stateSetUp: // SetupTimeout bounds it
	default:
		l.sessionDue(r, c)
	}
}

func (l *loop) sessionDue(r ref, c *conn) {
	now, ping := l.clock(), uint32(l.edge.cfg.PingInterval/time.Second)
	if c.leaving {
		l.closeWith(r.slot(), c, wire.CloseDrain, "")
		return
	}
	if now >= c.expires {
		l.closeWith(r.slot(), c, wire.CloseToken, "the token has expired")
		return
	}
	silent := now - c.heard
	if c.pinged && silent >= ping+ping/2 {
		l.closeWith(r.slot(), c, wire.CloseIdle, "")
		return
	}
	if c.state == stateReplay { // a page that could not be had
		l.resume(r.slot(), c)
	}
	if l.session(r) != nil {
		l.warn(r.slot(), c)
	}
	if silent >= ping && l.session(r) != nil {
		c.pinged = true
		l.send(r.slot(), c, appendHeader(nil, ws.OpPing, 0))
	}
	switch {
	case l.conns.get(r) == nil || c.state == stateClosing:
	case silent >= ping:
		l.dueWithin(r, c, max(min(l.edge.cfg.PingInterval/2, time.Duration(l.tokenDue(r.slot(), c)-now)*time.Second), time.Second))
	default:
		l.schedule(r, c)
	}
}

// leave is the walk over the sessions that a drain asks to move.
type leave struct {
	active bool
	at     int32 // the next slot
	window time.Duration
}

// drain stops accepting and begins to ask every session to move. The listener is
// closed: who comes now is refused by the system at once, and goes elsewhere, instead
// of waiting for nobody.
func (l *loop) drain(window time.Duration) {
	if l.leave.window > 0 {
		return // asked before
	}
	if l.listens() {
		if !l.mute {
			l.mute = true
			if err := l.poller.Remove(l.ln.FD); err != nil {
				l.edge.log.Warn("drain: the listener", "err", err)
			}
		}
		if err := l.ln.Close(); err != nil {
			l.edge.log.Warn("drain: closing the listener", "err", err)
		}
	}
	l.leave = leave{active: true, window: max(window, 1)}
}

// leaveBatch is how many sessions a turn asks to leave.
const leaveBatch = 256

// drainSlice does a turn's share of a drain: each session gets its own slot of the
// window.
func (l *loop) drainSlice() {
	if !l.leave.active {
		return
	}
	end := min(l.leave.at+leaveBatch, l.conns.high)
	for slot := l.leave.at; slot < end; slot++ {
		c := l.conns.at(slot)
		switch c.state {
		case stateLive, stateLagging, stateReplay:
			after := time.Duration(rand.Int64N(int64(l.leave.window) + 1))
			l.send(slot, c, appendServerFrame(nil, wire.Reconnect{AfterMS: after.Milliseconds()}))
			if c.state != stateFree && c.state != stateClosing {
				c.leaving = true
				l.setDue(refOf(slot, c), c, after+drainGrace)
			}
		case stateHeader:
			l.drop(slot, c)
		}
	}
	l.leave.at = end
	l.leave.active = end < l.conns.high
}
