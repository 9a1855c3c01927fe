//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// crowd is very many sockets on some edges, and what became of them.
type crowd struct {
	*millionCmd
	addrs []string // of the edges
	pids  []int    // of the edges
	pub   publisher
	clock clock
	spare time.Duration // for the last delivery, beside what so many take
	note  func(format string, args ...any)

	fleet  *fleet
	first  []int // user of each client process
	chosen []int // users who had a message each; some may have had more
	name   string
	began  time.Time

	connected, broadcasts, users int64       // sockets, and deliveries of each kind
	footprints                   []footprint // before, connected, after the messages
	faults                       map[string]int64
	complete                     bool // every message came exactly once to whom it was for
}

// run connects everybody, sends the messages, and asks every socket what it had.
func (h *crowd) run(ctx context.Context) (err error) {
	h.began = time.Now()
	h.name = fmt.Sprintf("%0*s", runLen, strconv.FormatUint(rand.Uint64N(1<<31), 36))
	if err := h.start(ctx); err != nil {
		return err
	}
	defer h.fleet.stop()
	if err = h.measure(); err != nil {
		return err
	}
	watch, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); h.watch(watch) }()
	defer func() { cancel(); <-watched }()

	if err = h.connect(ctx); err == nil {
		err = h.messages(ctx)
	}
	// Also after an error: what went wrong is in the faults.
	checked := h.check(ctx)
	h.faults = h.fleet.allFaults()
	switch {
	case err != nil:
		return err
	case checked != nil:
		return checked
	case len(h.faults) > 0:
		return fmt.Errorf("%w: not every message came exactly once to whom it was for", errIncomplete)
	}
	h.complete = true
	return nil
}

// inFlightEach bounds the handshakes of each client process: on a machine that is
// slow and busy, more of them would wait for longer than an edge does.
const inFlightEach = 64

// start starts the client processes, one an edge.
func (h *crowd) start(ctx context.Context) (err error) {
	parts := shares(command{Run: h.name, Count: h.Sockets, InFlight: inFlightEach}, len(h.addrs))
	for i := range parts {
		parts[i].Addr = h.addrs[i]
		parts[i].Host = parts[i].Addr
		h.first = append(h.first, parts[i].First)
	}
	h.fleet, err = startWorkers(ctx, parts, h.Patience, func(string, ...any) {}) // watch says more
	return err
}

func (h *crowd) say(format string, args ...any) {
	h.note("%6.0f s: %s\n", time.Since(h.began).Seconds(), fmt.Sprintf(format, args...))
}

// handshakesASecond and deliveriesASecond are what any machine manages that is not emulated.
const (
	handshakesASecond = 500
	deliveriesASecond = 5000
)

func (h *crowd) connect(ctx context.Context) error {
	h.say("connecting")
	// As fast as it goes; a worker bounds what it has begun.
	if err := h.fleet.tell(func(*workerProc) command { return command{Op: "connect", Rate: 1e9} }); err != nil {
		return err
	}
	a, err := h.fleet.gather(ctx, "connected", time.Minute+time.Duration(h.Sockets)*time.Second/handshakesASecond)
	if err != nil {
		return err
	}
	if h.connected = a.N; a.N < int64(h.Sockets) {
		return fmt.Errorf("%w: %d of %d sockets connected", errIncomplete, a.N, h.Sockets)
	}
	h.say("%d connected; settling for %v", a.N, h.Settle)
	if err := sleep(ctx, h.Settle); err != nil {
		return err
	}
	return h.measure()
}

// messages sends the broadcasts and the users' messages, and waits for each.
func (h *crowd) messages(ctx context.Context) error {
	all := make([]int64, len(h.fleet.workers))
	for i, w := range h.fleet.workers {
		all[i] = int64(w.count)
	}
	for seq := range h.Broadcasts {
		h.say("a message to all")
		s := stamp{kind: kindBroadcast, seq: uint32(seq)}
		n, err := h.deliver(ctx, all, func() error { return h.publish(ctx, wire.Broadcast(), s) })
		if err != nil {
			return err
		}
		h.broadcasts += n
	}
	if h.UserMessages > 0 {
		h.say("%d messages to one user each", h.UserMessages)
		theirs := make([]int64, len(h.fleet.workers))
		for range h.UserMessages {
			user := rand.IntN(h.Sockets)
			h.chosen = append(h.chosen, user)
			theirs[h.workerOf(user)]++
		}
		n, err := h.deliver(ctx, theirs, func() error { return h.publishToChosen(ctx) })
		if err != nil {
			return err
		}
		h.users = n
	}
	h.say("every message has arrived")
	return h.measure()
}

// deliver publishes, and waits until every worker has had what it has to expect.
func (h *crowd) deliver(ctx context.Context, expected []int64, publish func() error) (int64, error) {
	waiting, err := h.fleet.armEach(ctx, func(i int, _ *workerProc) int64 { return expected[i] })
	if err != nil {
		return 0, err
	}
	if err := publish(); err != nil {
		return 0, err
	}
	if err := h.pub.flush(ctx); err != nil {
		return 0, err
	}
	a, err := waiting.gather(ctx, "done", h.spare+time.Duration(total(expected))*time.Second/deliveriesASecond)
	return a.N, err
}

func (h *crowd) publish(ctx context.Context, to wire.Audience, s stamp) error {
	s.at = h.clock.now()
	return h.pub.publish(ctx, to, s.payload(h.name, h.Size))
}

func (h *crowd) publishToChosen(ctx context.Context) error {
	seq := map[int]uint32{}
	for _, user := range h.chosen {
		s := stamp{kind: kindUser, seq: seq[user], user: uint32(user)}
		seq[user]++
		if err := h.publish(ctx, wire.User("u"+strconv.Itoa(user)), s); err != nil {
			return err
		}
	}
	return nil
}

// workerOf finds who holds a user's socket.
func (h *crowd) workerOf(user int) int {
	i, found := slices.BinarySearch(h.first, user)
	if !found {
		i--
	}
	return i
}

// check asks every socket whether it has had just what was for it.
func (h *crowd) check(ctx context.Context) error {
	theirs := make([][]int, len(h.fleet.workers))
	for _, user := range h.chosen {
		i := h.workerOf(user)
		theirs[i] = append(theirs[i], user)
	}
	for i, w := range h.fleet.workers {
		c := command{Op: "check", Broadcasts: uint32(h.Broadcasts), Sockets: int64(h.Sockets), Chosen: theirs[i]}
		if err := w.tell(c); err != nil {
			return err
		}
	}
	_, err := h.fleet.gather(ctx, "checked", 30*time.Second)
	return err
}
