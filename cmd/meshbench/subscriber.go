//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// subscriber is a core NATS subscription in a worker's epoll, read as its sockets
// are, by one read(2) and without a goroutine: so what is compared is the way to
// the socket, not two ways of reading.
type subscriber struct {
	fd   int
	rest []byte // of an incomplete line or message
	next uint32 // number of the message that must come next
}

// subscriberEvent marks the subscription among the sockets' indices in epoll.
const subscriberEvent = -2

// subscribe connects to NATS and subscribes. The answer is said when the server
// has confirmed that.
func (w *worker) subscribe(addr, subject string) error {
	to, err := loopback(addr)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	w.core = subscriber{fd: fd}
	if err := unix.Connect(fd, to); err != nil {
		return fmt.Errorf("connecting to NATS at %s: %w", addr, err)
	}
	hello := fmt.Appendf(nil, "CONNECT {\"verbose\":false,\"name\":\"meshbench\"}\r\nSUB %s 1\r\nPING\r\n", subject)
	if n, err := unix.Write(fd, hello); n != len(hello) {
		return fmt.Errorf("subscribing: %d bytes, %w", n, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return w.watch(unix.EPOLL_CTL_ADD, fd, subscriberEvent, unix.EPOLLIN)
}

// coreReadable reads what NATS has sent.
func (w *worker) coreReadable() error {
	n, err := unix.Read(w.core.fd, w.buf[:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	now := w.clock.now()
	if n <= 0 || err != nil {
		return fmt.Errorf("NATS has ended the subscription: %w", err)
	}
	b := w.buf[:n]
	if len(w.core.rest) > 0 {
		w.core.rest = append(w.core.rest, b...)
		b = w.core.rest
	}
	rest, err := w.coreLines(b, now)
	w.core.rest = append(w.core.rest[:0], rest...)
	return err
}

// coreLines handles all that is complete of NATS's protocol and gives back the rest.
func (w *worker) coreLines(b []byte, now int64) (rest []byte, err error) {
	for {
		line, after, ok := bytes.Cut(b, []byte("\r\n"))
		if !ok {
			return b, nil
		}
		word, args, _ := bytes.Cut(line, []byte(" "))
		switch string(word) {
		case "MSG": // MSG <subject> <sid> [reply] <bytes>
			size, err := strconv.Atoi(string(args[bytes.LastIndexByte(args, ' ')+1:]))
			if err != nil || size < 0 {
				return nil, fmt.Errorf("NATS said %q", line)
			}
			if len(after) < size+2 {
				return b, nil
			}
			w.coreMessage(after[:size], now)
			after = after[size+2:]
		case "PING":
			if _, err := unix.Write(w.core.fd, []byte("PONG\r\n")); err != nil {
				return nil, fmt.Errorf("answering NATS: %w", err)
			}
		case "PONG":
			if err := w.say(answer{Op: "subscribed"}); err != nil {
				return nil, err
			}
		case "-ERR":
			return nil, fmt.Errorf("NATS said %q", line)
		}
		b = after
	}
}

// coreMessage counts a message as one of a socket is.
func (w *worker) coreMessage(data []byte, now int64) {
	m, ok := parseStamp(data, w.mark)
	if !ok || m.kind != kindCore {
		w.faults["core NATS brought something else"]++
		return
	}
	if m.seq != w.core.next {
		w.faults["core NATS lost or doubled a message"]++
	}
	w.core.next = m.seq + 1
	w.arrived(m, len(data), now)
}
