//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// subscriber is a NATS subscription in a worker's epoll, read as its sockets are, by
// one read(2) and without a goroutine: so what is compared is the way to the socket,
// not two ways of reading. What comes to it was published by core NATS, or is pushed
// by a consumer of the log.
type subscriber struct {
	fd   int
	rest []byte // of an incomplete line or message

	// Numbers of the messages that must come next.
	next    uint32 // by core NATS
	nextLog uint32

	log recorder // of the consumer's messages, from the publish to the read
}

// subscriberEvent marks the subscription among the sockets' indices in epoll.
const subscriberEvent = -2

// Behind the subject that a subscriber is told.
const (
	byCore = ".core"
	byLog  = ".log"
)

// subscribe connects to NATS and subscribes, to each subject by its name: a consumer
// does not push to who has a wildcard. The answer is said when the server has
// confirmed that.
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
	hello := fmt.Appendf(nil, "CONNECT {\"verbose\":false,\"name\":\"meshbench\"}\r\nSUB %s 1\r\nSUB %s 2\r\nPING\r\n", subject+byCore, subject+byLog)
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

// coreMessage counts a message by core NATS as one of a socket is. Those of the log it
// counts here, until it is asked what they took.
func (w *worker) coreMessage(data []byte, now int64) {
	m, ok := parseStamp(data, w.mark)
	switch {
	case ok && m.kind == kindCore:
		w.inTurn(&w.core.next, m.seq, "core NATS")
		w.arrived(m, len(data), now)
	case ok && m.kind == kindLog:
		w.inTurn(&w.core.nextLog, m.seq, "the log's consumer")
		w.core.log.add(now - m.at)
	case ok && m.kind == kindAsk:
		w.inTurn(&w.core.nextLog, m.seq, "the log's consumer")
		took := w.core.log.take()
		_ = w.say(answer{Op: "logged", N: took.N, Hist: took, Faults: w.faults}) // a broken pipe shows at the next read of stdin
	default:
		w.faults["NATS brought something else"]++
	}
}

// inTurn notes a message that came by a way, whose next one's number is next.
func (w *worker) inTurn(next *uint32, seq uint32, by string) {
	if seq != *next {
		w.faults[by+" lost or doubled a message"]++
	}
	*next = seq + 1
}
