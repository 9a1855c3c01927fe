package edge

import (
	"bytes"
	"errors"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

const (
	maxRequest  = 16 << 10 // bytes of a request's header
	acceptBatch = 64       // connections taken in one turn
	acceptPause = 1        // ticks without accepting, when no more files may be opened
)

// accept takes what waits at the listener.
func (l *loop) accept() {
	for range acceptBatch {
		fd, peer, err := netloop.Accept(l.ln.FD)
		switch {
		case err == nil:
		case errors.Is(err, netloop.ErrAgain):
			return
		case errors.Is(err, netloop.ErrFileLimit):
			l.refuseOne(err)
			return
		default: // such as a peer that is already gone
			l.edge.metrics.refused("accept")
			return
		}
		l.edge.metrics.accepted.Add(1)
		if to := l.takes(); to == l {
			l.adopt(arrival{fd: fd, client: peer})
			l.between()
		} else {
			to.post(message{kind: msgConn, conn: arrival{fd: fd, client: peer}})
		}
	}
}

// imbalance is how many connections more than another a loop may have before it
// gives new ones away, which costs a wake.
const imbalance = 64

// takes chooses the loop for a new connection: this one, unless another has far
// fewer.
func (l *loop) takes() *loop {
	l.counters.held.Store(l.conns.held())
	least := l
	for _, other := range l.edge.loops {
		if other.counters.held.Load()+imbalance < l.counters.held.Load() &&
			other.counters.held.Load() < least.counters.held.Load() {
			least = other
		}
	}
	if least != l {
		least.counters.held.Add(1) // until it looks itself, at the end of its turn
	}
	return least
}

// refuseOne keeps a full process from spinning on a listener that stays ready:
// it gives up its spare file for one connection, ends that, and pauses.
func (l *loop) refuseOne(err error) {
	l.edge.metrics.refused("file_limit")
	netloop.CloseFD(l.spare)
	if fd, _, err := netloop.Accept(l.ln.FD); err == nil {
		netloop.CloseFD(fd)
	}
	var openErr error
	if l.spare, openErr = netloop.OpenSpare(); openErr != nil {
		l.spare = -1
	}
	if err := l.poller.Remove(l.ln.FD); err != nil {
		l.edge.log.Error("pausing the listener", "err", err)
		return
	}
	l.mute = true
	l.wheel.Add(listenerID, int64(l.clock())+acceptPause)
	l.edge.log.Error("no more connections: raise the limit on open files (ulimit -n)",
		"sessions", l.edge.Sessions(), "err", err)
}

// listenAgain ends the pause that refuseOne began.
func (l *loop) listenAgain() {
	if !l.mute || l.edge.draining.Load() {
		return
	}
	if err := l.poller.AddListener(l.ln.FD, listenerID); err != nil {
		l.edge.log.Error("listening again", "err", err)
		l.wheel.Add(listenerID, int64(l.clock())+acceptPause)
		return
	}
	l.mute = false
}

// readRequest reads on a connection whose request is not yet complete.
func (l *loop) readRequest(slot int32, c *conn) {
	if c.more.gate && !l.passGates(slot, c) {
		return
	}
	n, err := netloop.Read(int(c.fd), l.buf[:])
	if errors.Is(err, netloop.ErrAgain) {
		return
	}
	if err != nil || n == 0 {
		l.edge.metrics.handshake("aborted")
		l.drop(slot, c)
		return
	}
	request, seen := l.buf[:n], len(c.more.request)
	if seen > 0 {
		c.more.request = append(c.more.request, request...)
		request = c.more.request
	}
	l.judge(slot, c, request, seen, n == len(l.buf) || c.ended)
}

// judge decides what becomes of a connection by what came of its request, of which
// it has seen the beginning before. more says that no event comes for what is still
// unread.
func (l *loop) judge(slot int32, c *conn, request []byte, seen int, more bool) {
	switch verdict(request, seen, l.edge.cfg.Path) {
	case requestPartial:
		if len(request) > maxRequest {
			l.refuse(slot, c, "431 Request Header Fields Too Large", "too_large")
			return
		}
		if seen == 0 { // kept only for those whose request does not come in one piece
			c.more.request = append([]byte(nil), request...)
		}
		if more {
			l.later(slot, c)
		}
	case requestOther:
		l.handOver(slot, c, append([]byte(nil), request...))
	case requestUpgrade:
		end := bytes.Index(request, endOfHeader) + len(endOfHeader)
		if end > maxRequest {
			l.refuse(slot, c, "431 Request Header Fields Too Large", "too_large")
			return
		}
		l.beginSetUp(slot, c, request[:end], request[end:])
	}
}

// refuse answers a request that is not even read to its end.
func (l *loop) refuse(slot int32, c *conn, status, result string) {
	l.edge.metrics.handshake(result)
	// If it is not taken at once it is lost: the connection ends either way.
	_, _ = netloop.Write(int(c.fd), refusal(status)) //nolint:errcheck // see above
	l.drop(slot, c)
}

// refusal is an answer of a status, and headers that may follow it, alone.
func refusal(status string) []byte {
	return []byte("HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
}

// handOver gives a connection to net/http, with the bytes already read.
func (l *loop) handOver(slot int32, c *conn, read []byte) {
	a := arrival{fd: int(c.fd), read: read, client: c.more.client, ticket: c.ticket, passed: true}
	err := l.poller.Remove(a.fd)
	l.conns.remove(slot)
	if err == nil {
		err = l.edge.give(a)
	} else {
		l.edge.dismiss(a)
	}
	if err != nil {
		l.edge.metrics.refused("http_behind")
	}
}

type requestVerdict uint8

const (
	requestPartial requestVerdict = iota // more bytes are needed to tell
	requestUpgrade                       // a whole request to upgrade at the path
	requestOther                         // something for net/http
)

var (
	endOfHeader = []byte("\r\n\r\n")
	upgradeName = []byte("\r\nupgrade:")
)

// verdict tells an upgrade of the path from every other request, as early as
// the bytes allow. The first of them, seen before, are not searched again for the
// header's end: one that comes byte by byte must not cost the square of its length.
func verdict(request []byte, seen int, path string) requestVerdict {
	const method = "GET "
	want := method + path
	if n := min(len(request), len(want)); string(request[:n]) != want[:n] {
		return requestOther
	} else if n < len(want) || len(request) == n {
		return requestPartial
	}
	if end := request[len(want)]; end != '?' && end != ' ' {
		return requestOther
	}
	from := max(seen-len(endOfHeader)+1, 0)
	i := bytes.Index(request[from:], endOfHeader)
	if i < 0 {
		return requestPartial
	}
	if !containsFold(request[:from+i], upgradeName) {
		return requestOther // net/http answers 426
	}
	return requestUpgrade
}

// containsFold finds an ASCII lower-case needle, whatever the case in s.
func containsFold(s, lower []byte) bool {
	for {
		i := bytes.IndexByte(s, lower[0])
		if i < 0 || len(s)-i < len(lower) {
			return false
		}
		if bytes.EqualFold(s[i:i+len(lower)], lower) {
			return true
		}
		s = s[i+1:]
	}
}
