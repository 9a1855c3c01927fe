package edge

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/limit"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/proxyproto"
)

// Before its request, a connection passes up to three gates: the PROXY protocol's
// header says who it is from, the limits are asked, TLS is ended.

// Terminator ends TLS on accepted sockets; tlsport.Port is one. Terminate blocks
// for a handshake, uses fd up, and returns a non-blocking socket of plain bytes.
type Terminator interface {
	Terminate(ctx context.Context, fd int) (plain int, err error)
}

// maxHandshakes bounds the TLS handshakes under way, which wait for their clients:
// each has a goroutine, some 20 KB.
const maxHandshakes = 4096

// arrival is a connection on its way to its request.
type arrival struct {
	fd     int
	read   []byte         // of its request, already
	client netip.AddrPort // who it is from
	ticket limit.Ticket   // what its address is counted by
	passed bool           // through all gates
}

// dismiss ends a connection that no loop has taken up.
func (e *Edge) dismiss(a arrival) {
	netloop.CloseFD(a.fd)
	e.limits.Release(a.ticket)
}

// adopt makes a connection this loop's own and waits for what it lacks to be a
// request. The listener holds connections back until bytes have come, so most are
// read at once, and watched only then: there is one event less, and one wake.
func (l *loop) adopt(a arrival) {
	if l.stop.Load() {
		l.edge.dismiss(a)
		return
	}
	slot, c := l.conns.add(a.fd)
	c.state = stateHeader
	c.ticket = a.ticket
	c.more = &more{client: a.client, gate: !a.passed}
	r := refOf(slot, c)
	l.setDue(r, c, l.edge.cfg.HeaderTimeout)
	if len(a.read) > 0 {
		l.judge(slot, c, a.read, 0, false)
	} else {
		l.readRequest(slot, c)
	}
	if c := l.conns.get(r); c != nil {
		if err := l.poller.Add(int(c.fd), uint64(r)); err != nil {
			l.edge.log.Error("watching a connection", "err", err)
			l.drop(slot, c)
		}
	}
}

// passGates brings a connection to its request. It reports false while that is
// not there to be read, or the connection is gone.
func (l *loop) passGates(slot int32, c *conn) bool {
	e, m := l.edge, c.more
	if e.cfg.ProxyProtocol && !l.readProxyHeader(slot, c) {
		return false
	}
	if m.client.IsValid() { // a balancer that finds no room would give the edge up
		ticket, verdict := e.limits.Admit(m.client.Addr(), l.now)
		c.ticket = ticket
		if verdict.Refused != "" {
			l.refuseForLimit(slot, c, verdict)
			return false
		}
	}
	m.gate = false
	if e.cfg.TLS != nil {
		l.terminate(slot, c)
		return false
	}
	return true
}

// readProxyHeader reads the header of a balancer, and no byte more: TLS may follow.
func (l *loop) readProxyHeader(slot int32, c *conn) bool {
	n, err := netloop.Peek(int(c.fd), l.buf[:proxyproto.MaxSize])
	if errors.Is(err, netloop.ErrAgain) {
		return false
	}
	if err != nil || n == 0 {
		l.edge.metrics.refused("aborted")
		l.drop(slot, c)
		return false
	}
	header, size, err := proxyproto.Parse(l.buf[:n])
	if err != nil {
		l.edge.metrics.refused("proxy_header")
		l.edge.refusals.log(l.edge, "a connection came without the PROXY protocol's header", c.more.client, "err", err)
		l.drop(slot, c)
		return false
	}
	if size == 0 {
		if c.ended { // nothing more will come
			l.drop(slot, c)
		}
		return false
	}
	if n, err := netloop.Read(int(c.fd), l.buf[:size]); n != size {
		l.edge.log.Error("reading a PROXY header again", "bytes", n, "err", err)
		l.drop(slot, c)
		return false
	}
	switch {
	case header.Source.IsValid():
		c.more.client = header.Source
	case header.Local:
		c.more.client = netip.AddrPort{} // the balancer looks whether we are there
	}
	return true
}

// refuseForLimit answers 429. Where TLS would have to be spoken for that, which is
// most of what the limit is to spare, the connection is closed instead.
func (l *loop) refuseForLimit(slot int32, c *conn, v limit.Verdict) {
	l.edge.metrics.refused(v.Refused)
	l.edge.refusals.log(l.edge, "connections are refused for their number", c.more.client, "limit", v.Refused)
	if l.edge.cfg.TLS != nil {
		l.drop(slot, c)
		return
	}
	seconds := int64((v.RetryAfter + time.Second - 1) / time.Second)
	status := "429 Too Many Requests\r\nRetry-After: " + strconv.FormatInt(max(seconds, 1), 10)
	// What is unread when a socket is closed makes the kernel send a reset, which
	// could overtake the answer.
	switch n, err := netloop.Read(int(c.fd), l.buf[:]); {
	case n > 0:
		l.refuse(slot, c, status, "limited")
	case errors.Is(err, netloop.ErrAgain):
		l.edge.metrics.handshake("limited")
		c.state = stateRefused
		c.more.out = refusal(status)
		l.setDue(refOf(slot, c), c, closePatience)
		l.flushClosing(slot, c)
	default:
		l.drop(slot, c)
	}
}

// terminate ends TLS on a connection, in a goroutine, since a handshake waits for
// the client. It comes back to this loop as one of plain bytes.
func (l *loop) terminate(slot int32, c *conn) {
	e := l.edge
	a := arrival{fd: int(c.fd), client: c.more.client, ticket: c.ticket, passed: true}
	err := l.poller.Remove(a.fd)
	l.conns.remove(slot)
	if err == nil {
		select {
		case e.handshakes <- struct{}{}:
		default:
			err = errors.New("too many TLS handshakes are under way")
		}
	}
	if err != nil {
		e.metrics.refused("tls_behind")
		e.refusals.log(e, "a connection was refused before TLS", a.client, "err", err)
		e.dismiss(a)
		return
	}
	e.work.wg.Go(func() {
		defer func() { <-e.handshakes }()
		ctx, cancel := context.WithTimeout(e.work.ctx, e.cfg.HeaderTimeout)
		defer cancel()
		plain, err := e.cfg.TLS.Terminate(ctx, a.fd)
		if err != nil {
			e.metrics.refused("tls")
			e.refusals.log(e, "a TLS handshake failed", a.client, "err", err)
			e.limits.Release(a.ticket)
			return
		}
		a.fd = plain
		l.post(message{kind: msgConn, conn: a})
	})
}

// seldom logs what strangers can cause as often as they like: each time for debugging,
// and once in a while, with how many went unsaid, for everybody.
type seldom struct {
	next   atomic.Int64 // Unix nanoseconds
	unsaid atomic.Int64
}

const seldomPause = 10 * time.Second

func (s *seldom) log(e *Edge, what string, client netip.AddrPort, args ...any) {
	args = append(args, "client", client)
	now, next := time.Now().UnixNano(), s.next.Load()
	if now < next || !s.next.CompareAndSwap(next, now+int64(seldomPause)) {
		s.unsaid.Add(1)
		e.log.Debug(what, args...)
		return
	}
	e.log.Warn(what, append(args, "unsaid", s.unsaid.Swap(0))...)
}
