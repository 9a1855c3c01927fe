// Package netloop is the thin layer between an event loop and Linux: epoll, a
// coalesced wake, sockets without the runtime's poller, and a timer wheel. It
// knows nothing of WebSockets and is the only importer of golang.org/x/sys/unix
// on the delivery path.
package netloop

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Event is what epoll says of one descriptor.
type Event struct {
	ID       uint64 // as given to Add
	Readable bool   // bytes, end of stream or an error wait to be read
	Writable bool
	Ended    bool // the peer has ended its side: no other event will say so
}

// Poller waits for many descriptors. All methods but Wake belong to the
// goroutine that owns the loop.
type Poller struct {
	epfd   int
	file   *os.File        // of epfd, which is itself watched by the runtime
	sleep  syscall.RawConn // of file
	until  time.Time       // file's deadline
	n      int             // events that look has found
	failed error           // why it could not look
	raw    [256]unix.EpollEvent
	events [256]Event

	woken    atomic.Bool // a wake that the loop has not yet seen
	sleeping atomic.Bool // the loop has to be woken
}

// NewPoller opens an epoll instance.
func NewPoller() (*Poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	// Non-blocking, for the runtime to watch it.
	if err := unix.SetNonblock(epfd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("fcntl: %w", err), unix.Close(epfd))
	}
	p := &Poller{epfd: epfd, file: os.NewFile(uintptr(epfd), "epoll")}
	if p.sleep, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close closes the poller; descriptors added to it stay open.
func (p *Poller) Close() error { return p.file.Close() }

// Add watches a socket, edge-triggered, for both directions: a socket that
// becomes writable needs no further system call to be noticed.
func (p *Poller) Add(fd int, id uint64) error {
	return p.add(fd, id, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// AddListener watches a listening socket. One poller is to have it: EPOLLEXCLUSIVE
// spares only those that sleep in epoll_wait, which pollers do not.
func (p *Poller) AddListener(fd int, id uint64) error { return p.add(fd, id, unix.EPOLLIN) }

func (p *Poller) add(fd int, id uint64, events uint32) error {
	ev := unix.EpollEvent{Events: events}
	setID(&ev, id)
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl add: %w", err)
	}
	return nil
}

// Remove stops watching a descriptor, if it is watched. Closing one does so as well.
func (p *Poller) Remove(fd int) error {
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, fd, nil); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("epoll_ctl del: %w", err)
	}
	return nil
}

// Wait returns what has happened, for at most timeout (negative: for ever; zero:
// at once). The slice is valid until the next call. woken says that Wake was
// called since the last Wait.
func (p *Poller) Wait(timeout time.Duration) (events []Event, woken bool, err error) {
	if timeout == 0 {
		p.look()
	} else if err := p.wait(timeout); err != nil {
		return nil, false, fmt.Errorf("waiting for events: %w", err)
	}
	if p.failed != nil {
		return nil, false, fmt.Errorf("epoll_wait: %w", p.failed)
	}
	events = p.events[:0]
	for i := range p.n {
		ev := &p.raw[i]
		events = append(events, Event{
			ID:       getID(ev),
			Readable: ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
			Writable: ev.Events&unix.EPOLLOUT != 0,
			Ended:    ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
		})
	}
	// Cleared before the loop looks at what it was woken for, so that a wake from now
	// on is a new one.
	return events, p.woken.Load() && p.woken.Swap(false), nil
}

// look takes the events that are there, and reports whether there is anything to
// return.
func (p *Poller) look() bool {
	var errno unix.Errno
	p.n, errno = epollWait(p.epfd, p.raw[:], 0)
	p.failed = nil
	if errno != 0 && errno != unix.EINTR {
		p.failed = errno
	}
	return p.n > 0 || p.failed != nil
}

// wait sleeps in the runtime's own poller, which watches epfd like any other file. A
// thread that slept in epoll_wait would have to be waited for by the scheduler, and
// woken by the kernel also for what this process itself has for the loop: that took
// half of a handshake's time when they came one by one, and a third of the way of a
// message for one user.
func (p *Poller) wait(timeout time.Duration) error {
	var until time.Time
	if timeout > 0 {
		until = time.Now().Add(timeout)
	}
	if d := until.Sub(p.until); d < -time.Millisecond || d > time.Millisecond { // mostly the same tick
		if err := p.setDeadline(until); err != nil {
			return err
		}
	}
	p.sleeping.Store(true)
	defer p.sleeping.Store(false)
	if p.woken.Load() { // after sleeping is set: whoever wakes now sees that
		p.look()
		return nil
	}
	err := p.sleep.Read(func(uintptr) bool { return p.look() })
	if errors.Is(err, os.ErrDeadlineExceeded) { // Wake's, or until has come
		p.look()
		return p.setDeadline(time.Time{})
	}
	return err
}

func (p *Poller) setDeadline(t time.Time) error {
	p.until = t
	return p.file.SetReadDeadline(t)
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// Wake makes Wait return; any goroutine may call it, also after Close. Wakes that
// come before the loop has seen the last one are the same wake and cost one atomic
// load. A loop that sleeps is made runnable by the scheduler alone: its deadline is
// over. If it has woken meanwhile, its next sleep ends at once, for nothing.
func (p *Poller) Wake() {
	if p.woken.Load() || p.woken.Swap(true) || !p.sleeping.Load() {
		return
	}
	_ = p.file.SetReadDeadline(past) //nolint:errcheck // fails only when it is closed
}

// Yield lets everything else run that waits for this core: raw system calls are seen
// neither by the Go scheduler, which gets its turn here, nor as an end of a thread's
// turn by the kernel's, which may have another thread of this process waiting: the one
// that has just been woken for what came from NATS.
func Yield() {
	runtime.Gosched()
	_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) // always succeeds
}

func epollWait(epfd int, events []unix.EpollEvent, ms int) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	runtime.KeepAlive(events)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// The kernel gives back 64 bits with an event; x/sys names them Fd and Pad.
func setID(ev *unix.EpollEvent, id uint64) { ev.Fd, ev.Pad = int32(id), int32(id>>32) }

func getID(ev *unix.EpollEvent) uint64 { return uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32 }
