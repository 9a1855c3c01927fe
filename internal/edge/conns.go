package edge

import (
	"net/netip"

	"github.com/socialvibes/vibemesh/internal/limit"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// state is where a connection is in its life.
type state uint8

const (
	stateFree    state = iota
	stateHeader        // its request is being read
	stateRefused       // its request was not let in; waiting for the peer's end
	stateSetUp         // the pool signs it in
	stateLive          // it has everything up to max(pos, loop.done)
	stateLagging       // it is continued from the ring: see more
	stateReplay        // it is continued from the stream: see more
	stateClosing       // a close frame was sent; waiting for its answer, and the peer's end
)

// conn is one connection. Millions of them are idle: what only some need is in
// more. TestConnSize holds its size.
type conn struct {
	fd      int32
	gen     uint32 // of this slot; part of the ref, so that a stale event finds nobody
	state   state
	queued  bool  // in loop.urgent
	pinged  bool  // a ping is unanswered
	leaving bool  // it was asked to reconnect; when due, it is closed
	ended   bool  // the peer has ended its side: what is unread ends with that
	again   bool  // in loop.again
	tokens  uint8 // frames it may send
	deflate bool  // permessage-deflate was agreed on
	prev    int32 // sessions of the same user, as slots; -1 at the ends
	next    int32
	heard   uint32 // when it last sent something, seconds of the loop's clock
	due     uint32 // when the wheel wants it, the same clock
	// expires is when its token ends, the same clock.
	expires uint32
	ticket  limit.Ticket // what its address is counted by: see arrive.go
	pos     uint64       // stateLive: it has what is at or before this position, or loop.done if later
	user    string
	key     uint64 // the ring's hash of user
	more    *more
}

// more is what a connection needs only at times.
type more struct {
	in      session.Inbound // a frame or message half read; in stateHeader unused
	request []byte          // stateHeader: the request so far; stateSetUp: what came behind it
	client  netip.AddrPort  // until it is signed in: who it is from
	gate    bool            // stateHeader: it has gates to pass; see arrive.go
	out     []byte          // not yet taken by the socket: the end of a frame, whole ones after it
	pos     uint64          // out ends at this position (stateLagging)
	at      wire.Vector     // out ends at this place in the log (stateLagging, stateReplay)
	mixed   uint64          // > 0: what lies up to this position may be before at; see mixed.go
	fetch   bool            // a page has been asked for
	said    bool            // stateClosing: out is written, and this side ended
	waits   bool            // stateClosing: the client has yet to answer the close frame
	stale   bool            // the page on its way was asked for with other topics
	retries uint8           // of a failed page
	topics  []membership
}

// idle reports that nothing of m is needed by a live connection.
func (m *more) idle() bool {
	return len(m.out) == 0 && len(m.topics) == 0 && m.in.Idle()
}

// ref names a connection for ever: its slot and the slot's generation.
type ref uint64

func (r ref) slot() int32 { return int32(uint32(r)) }

const (
	chunkBits = 8
	chunkSize = 1 << chunkBits
)

// conns is a loop's connections: a slab that grows by chunks and never moves.
type conns struct {
	chunks []*[chunkSize]conn
	free   []int32
	high   int32 // slots that were ever used
}

func (cs *conns) at(slot int32) *conn {
	return &cs.chunks[slot>>chunkBits][slot&(chunkSize-1)]
}

// get finds a connection that is still the one a ref names.
func (cs *conns) get(r ref) *conn {
	if s := r.slot(); s >= 0 && s < cs.high {
		if c := cs.at(s); c.gen == uint32(r>>32) && c.state != stateFree {
			return c
		}
	}
	return nil
}

// add takes a slot for a socket.
func (cs *conns) add(fd int) (int32, *conn) {
	var slot int32
	if n := len(cs.free); n > 0 {
		slot = cs.free[n-1]
		cs.free = cs.free[:n-1]
	} else {
		slot = cs.high
		cs.high++
		if int(slot>>chunkBits) == len(cs.chunks) {
			cs.chunks = append(cs.chunks, new([chunkSize]conn))
		}
	}
	c := cs.at(slot)
	*c = conn{fd: int32(fd), gen: c.gen + 1, prev: -1, next: -1, tokens: tokenBurst}
	if c.gen == 0 { // zero is for the listener
		c.gen = 1
	}
	return slot, c
}

// held is how many connections there are.
func (cs *conns) held() int64 { return int64(cs.high) - int64(len(cs.free)) }

// remove gives a slot back.
func (cs *conns) remove(slot int32) {
	c := cs.at(slot)
	*c = conn{gen: c.gen}
	cs.free = append(cs.free, slot)
}

func refOf(slot int32, c *conn) ref { return ref(uint64(c.gen)<<32 | uint64(uint32(slot))) }

// needMore gives a connection its extra state.
func (c *conn) needMore() *more {
	if c.more == nil {
		c.more = new(more)
	}
	return c.more
}

// settle drops the extra state when a live connection no longer needs it.
func (c *conn) settle() {
	if c.state == stateLive && c.more != nil && c.more.idle() {
		c.more = nil
	}
}
