package tlsport

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"os"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

const (
	// pairBuffer is about how much each end of a relay's pair takes that the other
	// has not read. With the record in between it is what a slow client may be
	// behind beyond its TCP buffers.
	pairBuffer = 32 << 10
	// record is what one record holds (RFC 8446, 5.1).
	record = 16 << 10
	// stepsPerTurn bounds what one relay does while others wait.
	stepsPerTurn = 8
)

// relay carries the bytes between a client's TLS and a pair of local sockets, of
// which the other one belongs to an event loop. It has no goroutine and, while
// nothing is under way, no buffer. Each direction takes from its source only when
// its sink has taken everything, so whoever does not read is felt at the other
// side as on one connection. It belongs to a relayLoop.
type relay struct {
	id    uint64
	tls   *tls.Conn
	tcp   *transport // below tls
	plain int        // our end of the pair

	in          []byte // from the client, not yet taken by the pair
	upIdle      bool   // nothing to read from the client until the next event
	upEnded     bool   // the loop has been told of the client's end, or has closed
	clientEnded bool

	downIdle   bool // nothing to read from the loop until the next event
	downEnded  bool // the client has been told of the loop's end
	loopEnded  bool
	plainEnded bool // an event said that the loop has ended: none will say so again
	hungUp     bool // the loop has closed its end

	failed bool // nothing more can be carried
	queued bool // in relayLoop.again
}

// turn carries what can be carried, up to a bound. It reports whether there is
// more.
func (r *relay) turn(buf []byte) (more bool) {
	for range stepsPerTurn {
		up, down := r.up(buf), r.down(buf)
		if !up && !down || r.over() {
			return false
		}
	}
	return true
}

// over: nothing will be carried any more.
func (r *relay) over() bool {
	return r.failed || r.downEnded && (r.upEnded || r.hungUp)
}

// up does one step from the client to the loop, and reports whether another may
// be possible.
func (r *relay) up(buf []byte) bool {
	switch {
	case r.failed || r.upEnded:
		return false
	case len(r.in) > 0:
		return r.pass(r.in)
	case r.clientEnded:
		netloop.ShutdownWrite(r.plain)
		r.upEnded = true
		return false
	case r.upIdle:
		return false
	}
	n, err := r.tls.Read(buf)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF): // close_notify, or the end of the connection without one
		r.clientEnded = true
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.upIdle = true
	default:
		r.failed = true
		return false
	}
	return n == 0 && r.clientEnded || n > 0 && r.pass(buf[:n])
}

// pass gives bytes to the loop, and keeps what the pair does not take.
func (r *relay) pass(b []byte) bool {
	n, err := netloop.Write(r.plain, b)
	kept := len(r.in) > 0
	switch {
	case errors.Is(err, netloop.ErrAgain):
		n = 0
	case err != nil: // the loop has closed: nobody will read it
		r.in, r.upEnded = nil, true
		return false
	}
	switch rest := b[n:]; {
	case len(rest) == 0:
		r.in = nil
	case kept:
		r.in = rest
	default:
		r.in = bytes.Clone(rest)
	}
	return n > 0
}

// down does one step from the loop to the client.
func (r *relay) down(buf []byte) bool {
	if r.failed || r.downEnded {
		return false
	}
	if flushed, err := r.tcp.flush(); err != nil || !flushed {
		r.failed = err != nil
		return false
	}
	if r.loopEnded {
		netloop.ShutdownWrite(r.tcp.fd)
		r.downEnded = true
		return false
	}
	if r.downIdle {
		return false
	}
	n, err := netloop.Read(r.plain, buf)
	switch {
	case errors.Is(err, netloop.ErrAgain):
		r.downIdle = true
		return false
	case err != nil || n == 0: // an error is that the loop closed without having read everything
		r.loopEnded = true
		r.failed = r.tls.CloseWrite() != nil
		return true
	}
	r.downIdle = n < len(buf) && !r.plainEnded
	if _, err := r.tls.Write(buf[:n]); err != nil {
		r.failed = true
	}
	return true
}

// event notes what an event says of the pair, or of the client's socket.
func (r *relay) event(ofPair bool, ev netloop.Event) {
	if ofPair {
		r.downIdle = r.downIdle && !ev.Readable
		r.plainEnded = r.plainEnded || ev.Ended
		return
	}
	if ev.Readable {
		r.upIdle, r.tcp.empty = false, false
	}
	r.tcp.ended = r.tcp.ended || ev.Ended
}

// lastWords writes what the loop has left behind, as far as the socket takes it
// at once, and says that nothing follows.
func (r *relay) lastWords(buf []byte) {
	r.downIdle = false
	for r.down(buf) {
	}
	if !r.loopEnded && !r.failed {
		_ = r.tls.CloseWrite() //nolint:errcheck // a client that is not told finds the connection ended
	}
}

// close frees the sockets.
func (r *relay) close() {
	netloop.CloseFD(r.tcp.fd)
	netloop.CloseFD(r.plain)
}
