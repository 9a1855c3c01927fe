//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// event handles what epoll says of one socket.
func (w *worker) event(i int, events uint32) {
	s := &w.socks[i]
	switch s.state {
	case sockIdle, sockFailed: // closed while this event was on its way
	case sockConnecting:
		if err := w.upgrade(i); err != nil {
			w.fail(i, err.Error())
		}
	default:
		w.readable(i)
	}
}

func (w *worker) readable(i int) {
	s := &w.socks[i]
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&w.buf)), uintptr(len(w.buf)))
	switch {
	case e == unix.EAGAIN || e == unix.EINTR:
		return
	case e != 0:
		w.fail(i, "connection lost: "+e.Error())
		return
	case n == 0:
		w.fail(i, "connection ended without a close frame")
		return
	}
	now, b := w.clock.now(), w.buf[:n]
	if len(s.partial) > 0 {
		s.partial = append(s.partial, b...)
		b = s.partial
	}
	rest, fault := w.consume(i, b, now)
	if fault != "" {
		w.fail(i, fault)
		return
	}
	s.partial = append(s.partial[:0], rest...) // moves down within itself, or is a copy
	if len(rest) == 0 {
		s.partial = nil
	}
}

// consume handles all that is complete and gives back the rest.
func (w *worker) consume(i int, b []byte, now int64) (rest []byte, fault string) {
	s := &w.socks[i]
	if s.state == sockUpgrading {
		head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
		if !ok {
			if len(b) > len(w.buf) {
				return nil, "an endless answer to the upgrade"
			}
			return b, ""
		}
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		switch {
		case !bytes.HasPrefix(line, []byte("HTTP/1.1 101 ")):
			return nil, fmt.Sprintf("upgrade refused: %.60s", line)
		case !bytes.Contains(head, []byte(wsAccept)):
			return nil, "upgrade with a wrong Sec-WebSocket-Accept"
		}
		s.state, b = sockGreeting, body
		if s.deflate = w.conf.Deflate && bytes.Contains(head, deflateMark); w.conf.Deflate && !s.deflate {
			w.faults["upgrade without the compression that was offered"]++
		}
		if !w.introduce(s) {
			return nil, "cannot send the connect command"
		}
	}
	for {
		op, payload, n := w.nextMessage(s, b)
		if n == 0 {
			return b, ""
		}
		if n < 0 {
			return nil, "broken frame"
		}
		b = b[n:]
		switch op {
		case opText:
			w.tally.wire += int64(n)
			if fault := w.messages(i, payload, now); fault != "" {
				return nil, fault
			}
		case opPing:
			pong := appendMasked(nil, opPong, payload)
			if n, _ := unix.Write(int(s.fd), pong); n != len(pong) {
				return nil, "cannot answer a ping"
			}
		case opClose:
			code := 1005
			if len(payload) >= 2 {
				code = int(binary.BigEndian.Uint16(payload))
			}
			return nil, fmt.Sprintf("closed with %d", code)
		case opPong:
		default:
			return nil, "a frame that is not text"
		}
	}
}

// text handles one message of the protocol.
func (w *worker) text(i int, frame []byte, now int64) (fault string) {
	s := &w.socks[i]
	if w.conf.Resume {
		w.keepCursor(s, frame)
	}
	if s.state == sockGreeting {
		if !bytes.HasPrefix(frame, w.speak.hello) {
			return "the first frame is not hello"
		}
		w.hello(s, frame, now)
		return ""
	}
	m, ok := parseStamp(frame, w.mark)
	if !ok {
		w.other(frame)
		return ""
	}
	next := &s.bseq
	if m.kind == kindUser {
		if int(m.user) != w.conf.First+i {
			w.faults["message of another user"]++
			return ""
		}
		next = &s.useq
	}
	switch {
	case m.seq < *next:
		w.faults["message twice or out of order"]++
		return ""
	case m.seq > *next:
		w.faults["message missing"] += int64(m.seq - *next)
	}
	*next = m.seq + 1
	if s.missing {
		s.missing = false
		w.tally.first.add(now - s.began)
	}
	w.arrived(m, len(frame), now)
	return ""
}

// other counts frames that are no messages of this run.
func (w *worker) other(frame []byte) {
	for _, bad := range []string{"gap", "error", "reconnect"} {
		if bytes.HasPrefix(frame, []byte(`{"type":"`+bad+`"`)) {
			w.faults[bad+" frame"]++
		}
	}
}

// keepCursor remembers a frame's cursor. All sockets get the same broadcasts,
// so nearly all share one string.
func (w *worker) keepCursor(s *sock, frame []byte) {
	const key = `"cursor":"`
	i := bytes.Index(frame, []byte(key))
	if i < 0 {
		return
	}
	value, _, ok := bytes.Cut(frame[i+len(key):], []byte(`"`))
	if !ok {
		return
	}
	if string(value) != w.lastCursor {
		w.lastCursor = string(value)
	}
	s.cursor = w.lastCursor
}
