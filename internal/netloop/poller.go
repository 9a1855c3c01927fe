// Package netloop is the thin layer between an event loop and Linux: epoll, a
// coalesced wake, sockets without the runtime's poller, and a timer wheel. It
// knows nothing of WebSockets and is the only importer of golang.org/x/sys/unix
// on the delivery path.
package netloop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
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
	wakeFD int
	raw    [256]unix.EpollEvent
	events [256]Event

	woken atomic.Bool // a wake is under way that the loop has not yet seen

	wakeMu sync.Mutex // a wake that comes late must not write to another's descriptor
	closed bool
}

// wakeID is reserved: the event of the wake descriptor.
const wakeID = ^uint64(0)

// NewPoller opens an epoll instance and its wake descriptor.
func NewPoller() (*Poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), unix.Close(epfd))
	}
	p := &Poller{epfd: epfd, wakeFD: wakeFD}
	if err := p.add(wakeFD, wakeID, unix.EPOLLIN|unix.EPOLLET); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Close closes the poller; descriptors added to it stay open.
func (p *Poller) Close() error {
	p.wakeMu.Lock()
	defer p.wakeMu.Unlock()
	p.closed = true
	return errors.Join(unix.Close(p.wakeFD), unix.Close(p.epfd))
}

// Add watches a socket, edge-triggered, for both directions: a socket that
// becomes writable needs no further system call to be noticed.
func (p *Poller) Add(fd int, id uint64) error {
	return p.add(fd, id, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// AddListener watches a listening socket that other pollers may watch as well;
// one of them is woken for each connection.
func (p *Poller) AddListener(fd int, id uint64) error {
	return p.add(fd, id, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
}

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
	// Look before blocking: a busy loop mostly finds something, and the raw call
	// spares the scheduler's bracket around a blocking one (about 0.2 µs a turn).
	n, errno := epollWait(p.epfd, p.raw[:], 0)
	if n == 0 && errno == 0 && timeout != 0 {
		ms := -1
		if timeout > 0 {
			ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
		}
		n, err = unix.EpollWait(p.epfd, p.raw[:], ms)
		if errors.Is(err, unix.EINTR) {
			n, err = 0, nil
		}
	} else if errno != 0 && errno != unix.EINTR {
		err = errno
	}
	if err != nil {
		return nil, false, fmt.Errorf("epoll_wait: %w", err)
	}
	events = p.events[:0]
	for i := range max(n, 0) {
		ev := &p.raw[i]
		id := getID(ev)
		if id == wakeID {
			woken = true
			continue
		}
		events = append(events, Event{
			ID:       id,
			Readable: ev.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
			Writable: ev.Events&unix.EPOLLOUT != 0,
			Ended:    ev.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
		})
	}
	if woken {
		// Cleared before the loop looks at what it was woken for, so that a wake
		// from now on is a new one. The eventfd is edge-triggered and never read:
		// each write is an edge, and 2^64 of them do not happen.
		p.woken.Store(false)
	}
	return events, woken, nil
}

// Wake makes Wait return; any goroutine may call it, also after Close. Wakes that
// come before the loop has seen the last one are the same wake and cost one atomic
// load.
func (p *Poller) Wake() {
	if p.woken.Load() || p.woken.Swap(true) {
		return
	}
	p.wakeMu.Lock()
	defer p.wakeMu.Unlock()
	if p.closed {
		return
	}
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// It cannot fail: the counter would have to overflow.
	_, _ = unix.Write(p.wakeFD, one[:]) //nolint:errcheck // see above
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
