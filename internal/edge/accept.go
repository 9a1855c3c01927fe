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

// accept takes what waits at the listener and gives each connection to the next
// loop in turn.
func (l *loop) accept() {
	for range acceptBatch {
		fd, err := netloop.Accept(l.ln.FD)
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
		to := l.edge.loops[int(l.edge.nextLoop.Add(1))%len(l.edge.loops)]
		if to == l {
			l.adopt(fd, nil)
		} else {
			to.post(message{kind: msgConn, fd: fd})
		}
	}
}

// refuseOne keeps a full process from spinning on a listener that stays ready:
// it gives up its spare file for one connection, ends that, and pauses.
func (l *loop) refuseOne(err error) {
	l.edge.metrics.refused("file_limit")
	netloop.CloseFD(l.spare)
	if fd, err := netloop.Accept(l.ln.FD); err == nil {
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

// adopt makes a connection this loop's own and waits for its request, or for what
// is missing of it.
func (l *loop) adopt(fd int, read []byte) {
	if l.stop.Load() {
		netloop.CloseFD(fd)
		return
	}
	slot, c := l.conns.add(fd)
	c.state = stateHeader
	r := refOf(slot, c)
	if err := l.poller.Add(fd, uint64(r)); err != nil {
		l.edge.log.Error("watching a connection", "err", err)
		l.drop(slot, c)
		return
	}
	l.setDue(r, c, l.edge.cfg.HeaderTimeout)
	if len(read) > 0 {
		l.judge(slot, c, read, false)
	}
}

// readRequest reads on a connection whose request is not yet complete.
func (l *loop) readRequest(slot int32, c *conn) {
	n, err := netloop.Read(int(c.fd), l.buf[:])
	if errors.Is(err, netloop.ErrAgain) {
		return
	}
	if err != nil || n == 0 {
		l.edge.metrics.handshake("aborted")
		l.drop(slot, c)
		return
	}
	request := l.buf[:n]
	if c.more != nil {
		request = append(c.more.request, request...)
	}
	l.judge(slot, c, request, n == len(l.buf) || c.ended)
}

// judge decides what becomes of a connection by what came of its request. more
// says that no event comes for what is still unread.
func (l *loop) judge(slot int32, c *conn, request []byte, more bool) {
	switch verdict(request, l.edge.cfg.Path) {
	case requestPartial:
		if len(request) > maxRequest {
			l.refuse(slot, c, "431 Request Header Fields Too Large", "too_large")
			return
		}
		// Kept only for those whose request does not come in one piece.
		c.needMore().request = append([]byte(nil), request...)
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
	_, _ = netloop.Write(int(c.fd), []byte("HTTP/1.1 "+status+"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")) //nolint:errcheck // see above
	l.drop(slot, c)
}

// handOver gives a connection to net/http, with the bytes already read.
func (l *loop) handOver(slot int32, c *conn, read []byte) {
	fd := int(c.fd)
	err := l.poller.Remove(fd)
	l.conns.remove(slot)
	if err == nil {
		err = l.edge.http.give(fd, read)
	} else {
		netloop.CloseFD(fd)
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
// the bytes allow.
func verdict(request []byte, path string) requestVerdict {
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
	i := bytes.Index(request, endOfHeader)
	if i < 0 {
		return requestPartial
	}
	if !containsFold(request[:i], upgradeName) {
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
