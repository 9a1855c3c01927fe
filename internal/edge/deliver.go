package edge

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/ring"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	routeBatch = 512 // entries routed in one turn
	writeBatch = 64  // entries in one writev of a session of its own
	sweepBatch = 512 // broadcasts in one writev that sessions share
)

// deliverer brings a loop's live sessions forward over the ring.
//
// Entries are routed in order. A message for one user is delivered in the turn
// that routes it. A broadcast, and a message to a topic, starts a sweep over the
// sessions concerned, of which each turn does a slice. Whenever a session is
// written to, for whatever reason, it is given everything of its audience up to
// routed: so its frames are always in the order of the log, and the cursor of
// the last one covers all before it, although a message for one user overtakes
// the sweep. done trails behind routed: up to it every live session has
// everything, which spares each of them from being touched by what is not for
// it.
type deliverer struct {
	loop *loop
	gen  *generation
	view ring.View

	routed uint64 // positions up to here were looked at
	done   uint64 // positions up to here every live session has
	// marks are the values of routed since done, with their places in the log: what a
	// session's position can be. They tell where it is when the ring has dropped
	// that position already.
	marks marks

	urgent []int32 // sessions that a message for one user waits for
	all    sweep   // over every session, for broadcasts
	bulk   []*topic

	users  map[uint64]int32 // ring hash of a user to the first of that user's sessions
	topics map[string]*topic

	// The broadcasts of the sweep that goes on, in the kernel's form once for all
	// sessions that have none of them: what a delivery costs is then the writev.
	shared     netloop.Vectors
	packed     netloop.Vectors // the same for those that take them compressed
	sharedPos  []uint64
	sharedFrom uint64 // they are all that came after this position

	vec    netloop.Vectors
	items  []uint64
	keys   []ring.Key
	traced []*traced // marked entries that were routed and are not done, rising
}

// sweep is a walk over sessions that brings each forward to routed.
type sweep struct {
	active bool
	at     int    // the next index
	first  uint64 // oldest position that some session still lacks
	upTo   uint64 // when the walk ends, all have what is at or before this position
	later  uint64 // first position that came for these sessions since the walk began; 0: none
}

// add notes an entry for the sessions of the sweep.
func (s *sweep) add(pos uint64) (started bool) {
	if s.active {
		if s.later == 0 {
			s.later = pos
		}
		return false
	}
	*s = sweep{active: true, first: pos}
	return true
}

// end finishes a walk and begins another if something came in between.
func (s *sweep) end() {
	if s.later == 0 {
		*s = sweep{}
		return
	}
	*s = sweep{active: true, first: s.later}
}

func (d *deliverer) init(l *loop) {
	d.loop = l
	d.users = map[uint64]int32{}
	d.topics = map[string]*topic{}
}

// busy reports work for the next turn.
func (d *deliverer) busy() bool {
	return d.all.active || len(d.bulk) > 0 || len(d.urgent) > 0 ||
		d.gen != nil && d.gen.ring.Head() > d.routed
}

// route looks at the entries that are new, notes the sweeps they start, and
// delivers at once what is for single users.
func (d *deliverer) route() {
	if g := d.loop.edge.gen.Load(); g != d.gen {
		d.begin(g)
	}
	if d.gen == nil {
		return
	}
	d.view = d.gen.ring.View()
	if d.view.Head() == d.routed {
		return
	}
	if d.routed < d.view.Floor() {
		// The ring has turned past this loop. Nobody can be routed to by entry
		// any more; a sweep over all brings each session on, from the stream.
		d.all.add(d.routed + 1)
		for _, t := range d.topics {
			d.addTopic(t, d.routed+1)
		}
		d.loop.edge.traces.abandon(d.gen, d.routed+1, d.view.Head(), "the ring has turned past a loop")
		d.moveTo(d.view.Head())
		return
	}
	to := min(d.view.Head(), d.routed+routeBatch)
	for pos := d.routed + 1; pos <= to; pos++ {
		it := d.view.At(pos)
		if it.Mark != 0 {
			d.follow(pos, it.Mark)
		}
		switch it.Kind {
		case ring.KindAll:
			d.all.add(pos)
		case kindUser:
			d.queueUser(it)
		case kindTopic:
			if t := d.topics[string(it.ID)]; t != nil {
				d.addTopic(t, pos)
			}
		}
	}
	d.moveTo(to)
	for _, slot := range d.urgent {
		c := d.loop.conns.at(slot)
		c.queued = false
		d.advance(slot, c)
	}
	d.urgent = d.urgent[:0]
	d.settle()
}

func (d *deliverer) moveTo(pos uint64) {
	d.routed = pos
	d.loop.counters.routed.Store(pos)
	d.marks.add(pos, d.placeAtRouted)
}

// placeAtRouted appends the place in the log at routed.
func (d *deliverer) placeAtRouted(dst []uint64) []uint64 { return d.view.SeqsAt(dst, d.routed) }

// begin starts over with another ring: no session's position means anything any
// more.
func (d *deliverer) begin(g *generation) {
	l := d.loop
	for slot := range l.conns.high {
		switch c := l.conns.at(slot); c.state {
		case stateLive, stateLagging, stateReplay:
			l.closeWith(slot, c, wire.CloseUnavailable, "the edge starts over")
		}
	}
	d.loop.edge.traces.abandon(d.gen, 0, math.MaxUint64, "the edge starts over")
	d.traced = nil
	d.gen = g
	d.view = g.ring.View()
	d.routed = d.view.Head()
	d.loop.edge.traces.abandon(g, 0, d.routed, "a loop begins behind it")
	d.done = d.routed
	d.marks.reset(d.done, d.view.SeqsAt(nil, d.done))
	d.urgent, d.bulk, d.all = d.urgent[:0], nil, sweep{}
	d.unshare()
}

// settle moves done up to before the oldest entry that someone still lacks.
func (d *deliverer) settle() {
	done := d.routed
	if d.all.active {
		done = min(done, d.all.first-1)
	}
	for _, t := range d.bulk {
		done = min(done, t.sweep.first-1)
	}
	if done <= d.done {
		return
	}
	// Only a mark is a position some session can be at; between two marks the
	// earlier one is as good.
	i := d.marks.before(done)
	if i < 0 {
		return
	}
	d.done = d.marks.pos[i]
	d.marks.remove(0, i)
	d.unfollow()
}

// slice does one turn's share of the sweeps.
func (d *deliverer) slice() {
	if d.gen == nil {
		return
	}
	if len(d.bulk) > 0 {
		d.topicSlice()
	}
	if d.all.active {
		d.broadcastSlice()
	}
}

func (d *deliverer) broadcastSlice() {
	l, s := d.loop, &d.all
	if s.at == 0 {
		s.upTo = d.routed
		s.later = 0
		d.share()
	} else if d.sharedFrom < d.view.Floor() {
		d.unshare() // the ring has dropped some of them
	}
	for visited := 0; visited < l.edge.cfg.Slice && s.at < int(l.conns.high); s.at++ {
		slot := int32(s.at)
		c := l.conns.at(slot)
		if c.state != stateLive || c.pos >= s.upTo {
			continue
		}
		visited++
		if len(d.sharedPos) > 0 && c.pos <= d.sharedFrom && c.more == nil {
			// All it lacks: what was for it alone was delivered when it was routed.
			vec := &d.shared
			if c.deflate {
				vec = &d.packed
			}
			if d.write(slot, c, vec, d.sharedPos, d.sharedFrom) {
				c.pos = s.upTo
			}
		} else {
			d.advance(slot, c)
		}
	}
	if s.at >= int(l.conns.high) {
		s.end()
		d.unshare()
		d.settle()
	}
}

func (d *deliverer) unshare() {
	d.shared.Reset()
	d.packed.Reset()
	d.sharedPos = d.sharedPos[:0]
}

// share collects the broadcasts that a sweep brings to sessions that lack them
// all: everything after done, up to the end of the sweep.
func (d *deliverer) share() {
	d.unshare()
	d.sharedFrom = d.done
	d.keys = append(d.keys[:0], d.gen.ring.Key(ring.KindAll, ""))
	var ok bool
	d.sharedPos, ok = d.view.Collect(d.sharedPos[:0], d.keys, d.done, d.all.upTo, sweepBatch)
	if !ok || len(d.sharedPos) == sweepBatch { // too many for one writev: each session by itself
		d.sharedPos = d.sharedPos[:0]
		return
	}
	takesPacked := conn{deflate: true}
	for _, pos := range d.sharedPos {
		d.shared.Add(d.view.At(pos).Frame)
		d.packed.Add(d.frame(&takesPacked, pos))
	}
}

// advance brings a live session forward to routed.
func (d *deliverer) advance(slot int32, c *conn) {
	if c.state != stateLive {
		return
	}
	from := max(c.pos, d.done)
	keys := d.keysOf(c)
	for from < d.routed {
		var ok bool
		d.items, ok = d.view.Collect(d.items[:0], keys, from, d.routed, writeBatch)
		if !ok {
			d.fallBehind(slot, c, from)
			return
		}
		if len(d.items) == 0 {
			break
		}
		d.vec.Reset()
		for _, pos := range d.items {
			d.vec.Add(d.frame(c, pos))
		}
		if !d.write(slot, c, &d.vec, d.items, from) {
			return
		}
		from = d.items[len(d.items)-1]
	}
	c.pos = d.routed
}

// fallBehind continues a session from the stream, because the ring has dropped
// what it lacks.
func (d *deliverer) fallBehind(slot int32, c *conn, from uint64) {
	place, ok := d.exactPlace(from)
	if !ok {
		// Its mark was dropped: only the client's own cursor is exact now.
		d.loop.closeWith(slot, c, wire.CloseBehind, "")
		return
	}
	c.needMore().at = place
	c.state = stateReplay
	d.loop.edge.metrics.behind("ring")
	d.loop.resume(slot, c)
}

// exactPlace is the place in the log at a position that a live session is at.
func (d *deliverer) exactPlace(pos uint64) (wire.Vector, bool) {
	if pos >= d.view.Floor() {
		return d.view.SeqsAt(nil, pos), true
	}
	i := d.marks.before(pos)
	if i < 0 || d.marks.pos[i] != pos {
		return nil, false
	}
	return slices.Clone(d.marks.at(i)), true
}

// write sends the frames at some positions to a live session, which is at from.
// If the socket does not take them all, the session lags, and write reports
// false.
func (d *deliverer) write(slot int32, c *conn, vec *netloop.Vectors, items []uint64, from uint64) bool {
	l := d.loop
	n, err := vec.Writev(int(c.fd), 0)
	l.counters.writes.Add(1)
	if err != nil && !errors.Is(err, netloop.ErrAgain) {
		l.drop(slot, c)
		return false
	}
	if n == vec.Size() {
		d.count(items)
		return true
	}
	whole, rest := d.taken(c, items, n)
	d.count(items[:whole])
	m := c.needMore()
	m.pos = from
	if whole > 0 {
		m.pos = items[whole-1]
	}
	if rest > 0 {
		// The frame that was cut must end before anything else begins. A copy: the
		// ring's segment must not be kept alive by a slow session.
		m.out = append(m.out[:0], d.frame(c, items[whole])[rest:]...)
		m.pos = items[whole]
		d.count(items[whole : whole+1])
	}
	m.at = d.view.SeqsAt(m.at[:0], m.pos)
	if c.state == stateLive {
		l.edge.metrics.behind("socket")
	}
	c.state = stateLagging
	return false
}

// taken finds how many whole frames n bytes are, and how much of the next one.
func (d *deliverer) taken(c *conn, items []uint64, n int) (whole, rest int) {
	for _, pos := range items {
		size := len(d.frame(c, pos))
		if n < size {
			break
		}
		n -= size
		whole++
	}
	return whole, n
}

// count notes deliveries, with the time since each entry was stored.
func (d *deliverer) count(items []uint64) {
	c := &d.loop.counters
	c.delivered.Add(uint64(len(items)))
	now := time.Now().UnixNano()
	for _, pos := range items {
		it := d.view.At(pos)
		bucket := c.latency.observe(now - it.Nanos)
		if it.Mark != 0 {
			d.wrote(pos, it.Mark, bucket, now-it.Nanos, now)
		}
	}
}

// keysOf is the audience of a session, in the ring's terms; valid until the next
// call.
func (d *deliverer) keysOf(c *conn) []ring.Key {
	d.keys = append(d.keys[:0],
		d.gen.ring.Key(ring.KindAll, ""),
		ring.Key{Kind: kindUser, ID: c.user, Hash: c.key})
	if c.more != nil {
		for _, m := range c.more.topics {
			d.keys = append(d.keys, m.topic.key)
		}
	}
	return d.keys
}
