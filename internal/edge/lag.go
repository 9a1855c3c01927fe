package edge

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	resumeBatches = 16        // writes to one lagging session in a turn
	maxOut        = 128 << 10 // bytes of frames that may wait behind out
	pageRetries   = 5
	pageTimeout   = 15 * time.Second
)

// page is what a job read of the stream for one session.
type page struct {
	frames  []byte
	through wire.Vector
	code    int // a close code, when the session cannot be continued here
	err     error
}

// resume brings a session that is behind further on: first what is left of a
// frame, then entries of the ring, or pages of the stream until the ring holds
// what comes next. It ends when the socket is full, a page is on its way, or the
// session is live again.
func (l *loop) resume(slot int32, c *conn) {
	d := &l.deliver
	for range resumeBatches {
		m := c.more
		if !l.flushOut(slot, c) {
			return
		}
		if c.state == stateReplay && !l.rejoin(c) {
			l.fetchPage(slot, c)
			return
		}
		if max(m.pos, m.mixed) > d.routed {
			break // set-up has seen more of the ring than this loop, which comes to it next turn
		}
		if m.pos == d.routed {
			l.live(c)
			return
		}
		if m.mixed > 0 {
			l.unmix(c)
			continue
		}
		var ok bool
		d.items, ok = d.view.Collect(d.items[:0], d.keysOf(c), m.pos, d.routed, writeBatch)
		if !ok {
			c.state = stateReplay
			l.edge.metrics.behind("ring")
			continue
		}
		if len(d.items) == 0 {
			l.live(c)
			return
		}
		d.vec.Reset()
		for _, pos := range d.items {
			d.vec.Add(d.frame(c, pos))
		}
		from := m.pos
		if !d.write(slot, c, &d.vec, d.items, from) {
			return
		}
		m.pos = d.items[len(d.items)-1]
		m.at = d.view.SeqsAt(m.at[:0], m.pos)
	}
	l.later(slot, c) // after the others
}

// topUpBytes bounds what topUp copies.
const topUpBytes = 16 << 10

// topUp puts what a new session has missed, if it is little, behind its first
// frames, so that a resume is one write: the write is most of what it costs.
func (l *loop) topUp(c *conn) {
	d, m := &l.deliver, c.more
	if m.pos >= d.routed || m.mixed > 0 {
		return
	}
	var ok bool
	if d.items, ok = d.view.Collect(d.items[:0], d.keysOf(c), m.pos, d.routed, writeBatch); !ok {
		return // resume finds out
	}
	for i, pos := range d.items {
		frame := d.frame(c, pos)
		if len(m.out)+len(frame) > topUpBytes {
			d.items = d.items[:i]
			break
		}
		m.out = append(m.out, frame...)
	}
	if n := len(d.items); n > 0 {
		m.pos = d.items[n-1]
		m.at = d.view.SeqsAt(m.at[:0], m.pos)
		d.count(d.items)
	}
}

// live returns a session to the head.
func (l *loop) live(c *conn) {
	c.state = stateLive
	c.pos = l.deliver.routed
	c.more.retries = 0
	c.settle()
}

// rejoin moves a session from the stream to the ring, if the ring holds what
// comes next.
func (l *loop) rejoin(c *conn) bool {
	view := l.deliver.gen.ring.View() // set-up may have seen more of it than this loop
	pos, mixed, ok := view.Find(c.more.at)
	if ok {
		c.more.pos, c.more.mixed = pos, 0
		if mixed > pos {
			c.more.mixed = mixed
		}
		c.state = stateLagging
	}
	return ok
}

// flushOut writes what is left over; false when something still is, or the
// connection has ended.
func (l *loop) flushOut(slot int32, c *conn) bool {
	m := c.more
	for len(m.out) > 0 {
		n, err := netloop.Write(int(c.fd), m.out)
		l.counters.writes.Add(1)
		if errors.Is(err, netloop.ErrAgain) {
			return false
		}
		if err != nil {
			l.drop(slot, c)
			return false
		}
		m.out = m.out[n:]
	}
	m.out = nil
	return true
}

// fetchPage asks the pool for what comes next in the stream, one page at a time
// for a session.
func (l *loop) fetchPage(slot int32, c *conn) {
	m, d, e := c.more, &l.deliver, l.edge
	if m.fetch {
		return
	}
	if e.cfg.NoHistory {
		// Nothing beyond the ring is promised: say so and go on in the ring.
		e.metrics.gap(wire.GapRetention)
		m.at = m.at.Raised(d.view.FloorSeqs())
		m.out = appendServerFrame(m.out, wire.Gap{
			Reason: wire.GapRetention, Cursor: d.gen.cursor(m.at).String(),
		})
		l.later(slot, c)
		return
	}
	r, g, after := refOf(slot, c), d.gen, slices.Clone(m.at)
	audiences := everything(c.user)
	for _, ms := range m.topics {
		audiences = append(audiences, wire.Topic(ms.topic.name))
	}
	m.fetch = true
	queued := e.reads.try(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, pageTimeout)
		defer cancel()
		l.post(message{kind: msgPage, to: r, page: e.readPage(ctx, g, audiences, after)})
	})
	if !queued {
		m.fetch = false
		l.dueWithin(r, c, time.Second) // the wheel tries again: see sessionDue
	}
}

// readPage reads and encodes the next page for a session at after.
func (e *Edge) readPage(ctx context.Context, g *generation, audiences []wire.Audience, after wire.Vector) *page {
	view := g.ring.View()
	p, err := e.history.Page(ctx, wire.PageRequest{
		Audiences: audiences, After: after, UpTo: after.Raised(view.HeadSeqs()), Limit: pageEvents, MaxBytes: pageBytes,
	})
	if err != nil {
		return &page{err: err}
	}
	if !g.isOf(p.State) {
		return &page{code: wire.CloseUnavailable}
	}
	e.metrics.pages.Add(1)
	return &page{frames: e.encodePage(g, after, p), through: p.Through}
}

// pageReady takes a page that a job has read.
func (l *loop) pageReady(to ref, p *page) {
	c := l.conns.get(to)
	if c == nil || c.state != stateReplay {
		return
	}
	m := c.more
	stale := m.stale
	m.fetch, m.stale = false, false
	switch {
	case p.code != 0:
		l.closeWith(to.slot(), c, p.code, "")
	case p.err != nil && m.retries >= pageRetries:
		l.edge.log.Warn("history cannot be read; the client is asked to come back", "err", p.err)
		l.closeWith(to.slot(), c, wire.CloseUnavailable, "")
	case p.err != nil:
		m.retries++
		l.dueWithin(to, c, time.Second<<m.retries)
	case stale:
		l.resume(to.slot(), c) // asks again, for the topics as they are
	default:
		m.retries = 0
		m.out = append(m.out, p.frames...)
		m.at = p.through
		l.resume(to.slot(), c)
	}
}

// send gives a session a frame of its own, such as a pong, behind what it is
// already owed. The session may be gone or closing afterwards.
func (l *loop) send(slot int32, c *conn, frame []byte) {
	if c.state == stateLive {
		n, err := netloop.Write(int(c.fd), frame)
		switch {
		case err == nil && n == len(frame):
			return
		case err != nil && !errors.Is(err, netloop.ErrAgain):
			l.drop(slot, c)
			return
		}
		d := &l.deliver
		m := c.needMore()
		m.pos = max(c.pos, d.done)
		m.at = slices.Clone(d.placeAt(m.pos))
		m.out = slices.Clone(frame[n:])
		c.state = stateLagging
		return
	}
	m := c.needMore()
	if len(m.out)+len(frame) > maxOut+pageBytes {
		l.closeWith(slot, c, wire.CloseBehind, "")
		return
	}
	waits := len(m.out) > 0
	if m.out = append(m.out, frame...); !waits {
		l.flushOut(slot, c) // it waits for a page, not for its socket
	}
}

// position is the place in the log up to which a session has been sent everything. It
// is not the caller's to keep.
func (l *loop) position(c *conn) wire.Vector {
	if c.state == stateLive {
		return l.deliver.placeAt(max(c.pos, l.deliver.done))
	}
	return c.more.at
}

// placeAt is the place at a position that a live session is at, or an earlier
// one: as a cursor it may bring an event twice, never skip one.
func (d *deliverer) placeAt(pos uint64) wire.Vector {
	return d.marks.at(max(d.marks.before(pos), 0)) // the first is done's own
}
