//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// command is one line that a worker is told.
type command struct {
	Op string `json:"op"` // init, connect, arm, drop, pause, read, express, subscribe, check

	// init
	Run     string `json:"run,omitempty"`   // name of the run, in every title
	Addr    string `json:"addr,omitempty"`  // of the server
	Host    string `json:"host,omitempty"`  // its Host header
	First   int    `json:"first,omitempty"` // number of this worker's first user
	Count   int    `json:"count,omitempty"` // how many it holds
	Resume  bool   `json:"resume,omitempty"`
	Speak   string `json:"speak,omitempty"`   // of dialects; empty: Vibemesh's
	Tokens  string `json:"tokens,omitempty"`  // file of all users' tokens; empty: development tokens
	Deflate bool   `json:"deflate,omitempty"` // offer permessage-deflate
	Slow    int    `json:"slow,omitempty"`    // how many will not read for a while

	InFlight int `json:"in_flight,omitempty"` // most handshakes open at once; 0: a usual number

	// connect: connections started a second, and which of the sockets; To 0: all
	Rate float64 `json:"rate,omitempty"`
	From int     `json:"from,omitempty"`
	To   int     `json:"to,omitempty"`

	Subject string `json:"subject,omitempty"` // subscribe, at the NATS server Addr

	Target int64 `json:"target,omitempty"` // arm: deliveries until done

	// check: what every socket must have had by now.
	Broadcasts uint32 `json:"broadcasts,omitempty"`
	Users      int64  `json:"users,omitempty"` // messages to all users in turn
	Sockets    int64  `json:"sockets,omitempty"`
	Chosen     []int  `json:"chosen,omitempty"` // users who each had one more, of this worker's; again for another
}

// answer is one line that a worker says.
type answer struct {
	Op      string           `json:"op"` // ready, progress, connected, armed, done, dropped, paused, expressed, subscribed, checked
	N       int64            `json:"n"`
	Resumed int64            `json:"resumed,omitempty"` // of N handshakes
	Bytes   int64            `json:"bytes,omitempty"`   // of N messages' texts
	Wire    int64            `json:"wire,omitempty"`    // of their frames, as they came
	Hist    hist             `json:"hist"`
	Kinds   map[string]hist  `json:"kinds,omitempty"`  // of Hist, by the stamps' kinds, and kindFirst
	Faults  map[string]int64 `json:"faults,omitempty"` // of the whole run so far
}

// States of a socket.
const (
	sockIdle = iota
	sockConnecting
	sockUpgrading
	sockGreeting // upgraded, no hello yet
	sockLive
	sockFailed
)

// sock is one user's session.
type sock struct {
	fd      int32
	state   uint8
	missing bool   // it came back with a cursor and has had no message since
	deflate bool   // the server may compress
	bseq    uint32 // number of the broadcast that must come next
	useq    uint32 // and of the user's own message
	began   int64  // of the connect, ns
	cursor  string // of the last frame, when the run resumes
	partial []byte // of a frame
}

// inFlight bounds the handshakes a worker has open at once, unless it is told.
const inFlight = 256

// stdinEvent marks stdin among the sockets' indices in epoll.
const stdinEvent = -1

// worker is one client process: one thread, one epoll, nothing shared.
type worker struct {
	conf  command // of init
	mark  []byte
	speak dialect
	clock clock
	epoll int
	fast  int // another epoll, see express; 0: none
	out   *json.Encoder
	input []byte // an incomplete line of stdin

	// minted is the time in every token: who comes back has the one it had, as a
	// client does, so a server may remember it.
	minted     time.Time
	socks      []sock
	rate       float64 // 0: not connecting
	rateBegan  int64
	from, to   int // of socks, those of this connect phase
	started    int // the next of them
	settled    int // of them, live or failed
	resumed    int64
	reported   int64
	handshakes recorder

	target     int64
	tally      tally
	core       subscriber
	inflater   inflater
	tokens     []string // by socket; nil: development tokens
	faults     map[string]int64
	lastCursor string
	buf        [64 << 10]byte
	request    []byte
}

type workerCmd struct{}

// Run obeys the commands on stdin until it ends.
func (workerCmd) Run() error {
	runtime.LockOSThread()
	if err := raiseFileLimit(); err != nil {
		return err
	}
	w := &worker{minted: time.Now(), clock: newClock(), out: json.NewEncoder(os.Stdout), faults: map[string]int64{}}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if err := w.watch(unix.EPOLL_CTL_ADD, 0, stdinEvent, unix.EPOLLIN); err != nil {
		return fmt.Errorf("watching stdin: %w", err)
	}
	events := make([]unix.EpollEvent, 512)
	for {
		wait := -1
		if w.rate > 0 {
			wait = 1
		}
		n, err := unix.EpollWait(w.epoll, events, wait)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for k, e := range events[:max(n, 0)] {
			if k%expressEvery == 0 {
				w.serveExpress()
			}
			switch e.Fd {
			case expressEvent: // they had their turn
			case stdinEvent:
				if done, err := w.commands(); done || err != nil {
					return err
				}
			case subscriberEvent:
				if err := w.coreReadable(); err != nil {
					return err
				}
			default:
				w.event(int(e.Fd), e.Events)
			}
		}
		w.connectMore()
	}
}

func (w *worker) watch(op, fd int, index int32, events uint32) error {
	return unix.EpollCtl(w.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: index})
}

// commands reads stdin, which is a pipe and readable now.
func (w *worker) commands() (done bool, err error) {
	n, err := unix.Read(0, w.buf[:])
	if n <= 0 || err != nil {
		return true, nil // whoever started us is gone
	}
	w.input = append(w.input, w.buf[:n]...)
	for {
		line, rest, ok := bytes.Cut(w.input, []byte("\n"))
		if !ok {
			return false, nil
		}
		var c command
		if err := json.Unmarshal(line, &c); err != nil {
			return true, fmt.Errorf("a command: %w", err)
		}
		w.input = append(w.input[:0:0], rest...)
		if err := w.obey(c); err != nil {
			return true, err
		}
	}
}

func (w *worker) obey(c command) error {
	switch c.Op {
	case "init":
		w.conf, w.mark = c, titleMark(c.Run)
		var ok bool
		if w.speak, ok = dialects[c.Speak]; !ok {
			return fmt.Errorf("unknown dialect %q", c.Speak)
		}
		if c.Tokens != "" {
			var err error
			if w.tokens, err = readTokens(c.Tokens, c.First, c.Count); err != nil {
				return err
			}
		}
		if w.conf.InFlight == 0 {
			w.conf.InFlight = inFlight
		}
		w.socks = make([]sock, c.Count)
		return w.say(answer{Op: "ready"})
	case "connect":
		w.rate, w.rateBegan = c.Rate, w.clock.now()
		if w.from, w.to = c.From, c.To; w.to == 0 {
			w.to = len(w.socks)
		}
		w.started, w.settled, w.resumed, w.reported = w.from, 0, 0, 0
		return nil
	case "arm":
		w.target, w.tally = c.Target, tally{}
		return w.say(answer{Op: "armed"})
	case "pause", "read":
		if err := w.pause(c.Op == "read"); err != nil {
			return err
		}
		return w.say(answer{Op: "paused"})
	case "express":
		if err := w.express(c.Chosen); err != nil {
			return err
		}
		return w.say(answer{Op: "expressed"})
	case "subscribe":
		return w.subscribe(c.Addr, c.Subject)
	case "drop":
		for i := range w.socks {
			w.close(i, sockIdle)
		}
		return w.say(answer{Op: "dropped"})
	case "check":
		w.check(c)
		return w.say(answer{Op: "checked", Faults: w.faults})
	}
	return fmt.Errorf("unknown command %q", c.Op)
}

func (w *worker) say(a answer) error {
	if err := w.out.Encode(a); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

// check looks for sockets that have had less than they must.
func (w *worker) check(c command) {
	chosen := map[int64]int64{}
	for _, user := range c.Chosen {
		chosen[int64(user)]++
	}
	for i := range w.socks {
		s := &w.socks[i]
		user := int64(w.conf.First + i)
		own := c.Users/c.Sockets + chosen[user]
		if user < c.Users%c.Sockets {
			own++
		}
		switch {
		case s.state != sockLive:
			w.faults["socket not connected at the end"]++
		case s.bseq != c.Broadcasts || int64(s.useq) != own:
			w.faults["socket without its last messages"]++
		}
	}
}

// connectMore starts as many connections as the rate allows by now.
func (w *worker) connectMore() {
	if w.rate == 0 {
		return
	}
	due := int(w.rate * float64(w.clock.now()-w.rateBegan) / 1e9)
	for w.started < w.to && w.started-w.from < due && w.started-w.from-w.settled < w.conf.InFlight {
		i := w.started
		w.started++
		if err := w.dial(i); err != nil {
			w.fail(i, "connect: "+err.Error())
		}
	}
	if n := int64(w.settled); n >= w.reported+500 {
		w.reported = n
		_ = w.say(answer{Op: "progress", N: int64(w.from) + n}) // a broken pipe shows at the next read of stdin
	}
	if w.settled == w.to-w.from {
		w.rate = 0
		live := int64(0)
		for i := w.from; i < w.to; i++ {
			if w.socks[i].state == sockLive {
				live++
			}
		}
		_ = w.say(answer{Op: "connected", N: live, Resumed: w.resumed, Hist: w.handshakes.take(), Faults: w.faults})
	}
}

// sourcePorts is how many sockets share one source address. Linux looks for a free
// port among every other one first, which are 14,000 unless set otherwise; once
// those are taken it looks through all of them for each connection.
const sourcePorts = 10000

func (w *worker) dial(i int) error {
	to, err := loopback(w.conf.Addr)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s := &w.socks[i]
	*s = sock{fd: int32(fd), state: sockConnecting, began: w.clock.now(), bseq: s.bseq, useq: s.useq, cursor: s.cursor}
	if w.slow(i) {
		if err := makeSlow(fd); err != nil {
			return err
		}
	}
	// The port is chosen at connect, so that it need only be free for this peer.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	n := 2 + (w.conf.First+i)/sourcePorts
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, byte(n >> 8), byte(n)}}); err != nil {
		return err
	}
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		return err
	}
	return w.watch(unix.EPOLL_CTL_ADD, fd, int32(i), unix.EPOLLOUT)
}

// upgrade sends the request once the socket is connected.
func (w *worker) upgrade(i int) error {
	s := &w.socks[i]
	if e, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || e != 0 {
		return fmt.Errorf("connect: %w", unix.Errno(e))
	}
	token, err := w.token(i)
	if err != nil {
		return err
	}
	query, offer := "", ""
	if w.conf.Resume && s.cursor != "" {
		query, s.missing = "?cursor="+s.cursor, true
	}
	if w.conf.Deflate {
		offer = deflateOffer
	}
	w.request = fmt.Appendf(w.request[:0], "GET /api/v1/ws%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nAuthorization: Bearer %s\r\n%s\r\n",
		query, w.conf.Host, wsKey, token, offer)
	if n, err := unix.Write(int(s.fd), w.request); n != len(w.request) {
		return fmt.Errorf("sending the request: %d bytes, %w", n, err)
	}
	s.state = sockUpgrading
	return w.watch(unix.EPOLL_CTL_MOD, int(s.fd), int32(i), unix.EPOLLIN)
}

// fail gives a socket up and counts why.
func (w *worker) fail(i int, why string) {
	w.faults[why]++
	if w.socks[i].state != sockLive {
		w.settled++
	}
	w.close(i, sockFailed)
}

func (w *worker) close(i int, state uint8) {
	s := &w.socks[i]
	if s.fd > 0 {
		_ = unix.Close(int(s.fd)) // epoll forgets it, too
	}
	s.fd, s.state, s.partial = 0, state, nil
}
