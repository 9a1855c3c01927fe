//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

type floorCmd struct {
	Addr    string `help:"Where sockets are taken." default:"127.0.0.1:0"`
	Control string `help:"Where broadcasts are triggered: 4 bytes of length (big endian) and the text of a frame; one byte comes back when it is written to all." default:"127.0.0.1:0"`
	Write   string `help:"raw: RawSyscall. syscall: syscall.Write." enum:"raw,syscall" default:"raw"`
}

// floorReady is the line the floor prints when it listens.
type floorReady struct {
	Addr    string `json:"addr"`
	Control string `json:"control"`
	PID     int    `json:"pid"`
}

// Run is the floor: it ends when its stdin does, or by a signal.
func (c *floorCmd) Run() error {
	runtime.LockOSThread()
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1) // nothing is allocated once all have connected
	if err := raiseFileLimit(); err != nil {
		return err
	}
	f := floor{write: rawWrite}
	if c.Write == "syscall" {
		f.write = syscall.Write
	}
	ready := floorReady{PID: os.Getpid()}
	var err error
	if f.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if f.listener, ready.Addr, err = listenRaw(c.Addr); err != nil {
		return err
	}
	if f.control, ready.Control, err = listenRaw(c.Control); err != nil {
		return err
	}
	for _, fd := range []int{f.listener, f.control, 0} {
		if err := f.watch(fd); err != nil {
			return fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	return f.loop()
}

// floorAnswer is what every upgrade gets: the answer and a hello frame.
var floorAnswer = appendTextFrame(
	[]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+wsAccept+"\r\n\r\n"),
	[]byte(`{"type":"hello","session":"0","node":"floor","cursor":"AQAA","resumed":false,"ping":60,"expires":0}`))

// floor is one thread's server; nothing here is shared.
type floor struct {
	epoll, listener, control int
	trigger                  int // the control connection; 0: none
	write                    func(fd int, p []byte) (int, error)

	sockets []int32 // signed in
	places  map[int32]int
	buf     [64 << 10]byte
	pending []byte // of the control connection
	frame   []byte
}

func (f *floor) watch(fd int) error {
	return unix.EpollCtl(f.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (f *floor) loop() error {
	f.places = map[int32]int{}
	events := make([]unix.EpollEvent, 512)
	for {
		n, err := unix.EpollWait(f.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			switch fd := int(e.Fd); fd {
			case 0:
				if n, _ := unix.Read(0, f.buf[:]); n <= 0 {
					return nil // whoever started us is gone
				}
			case f.listener:
				err = f.accept()
			case f.control:
				if f.trigger, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC); err == nil {
					f.pending = f.pending[:0]
					err = f.watch(f.trigger)
				}
			case f.trigger:
				err = f.triggered()
			default:
				f.readable(e.Fd)
			}
			if err != nil && err != unix.EINTR {
				return err
			}
		}
	}
}

func (f *floor) accept() error {
	for range 64 {
		fd, _, err := unix.Accept4(f.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err == unix.EMFILE || err == unix.ENFILE {
			return fmt.Errorf("the floor holds %d sockets, and the limit of open files (ulimit -Hn) allows no more", len(f.sockets))
		}
		if err != nil {
			return nil // no more for now, or one that has left already
		}
		// A frame goes out when it is written, as on an edge.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err := f.watch(fd); err != nil {
			return fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	return nil
}

// readable answers an upgrade request; everything else but the end is ignored.
func (f *floor) readable(fd int32) {
	n, err := unix.Read(int(fd), f.buf[:])
	if err == unix.EAGAIN {
		return
	}
	place, known := f.places[fd]
	if n <= 0 {
		if known {
			last := f.sockets[len(f.sockets)-1]
			f.sockets[place], f.places[last] = last, place
			f.sockets = f.sockets[:len(f.sockets)-1]
			delete(f.places, fd)
		}
		_ = unix.Close(int(fd))
		return
	}
	// A request of some hundred bytes on loopback comes whole.
	if !known && bytes.Contains(f.buf[:n], []byte("\r\n\r\n")) && f.all(fd, floorAnswer) {
		f.places[fd] = len(f.sockets)
		f.sockets = append(f.sockets, fd)
	}
}

// triggered reads control messages and broadcasts them.
func (f *floor) triggered() error {
	n, err := unix.Read(f.trigger, f.buf[:])
	if n <= 0 {
		_ = unix.Close(f.trigger)
		f.trigger = 0
		return nil
	}
	if err != nil {
		return err
	}
	f.pending = append(f.pending, f.buf[:n]...)
	for len(f.pending) >= 4 {
		size := int(binary.BigEndian.Uint32(f.pending))
		if size > maxFrame {
			return fmt.Errorf("a control message of %d bytes", size)
		}
		if len(f.pending) < 4+size {
			break
		}
		f.frame = appendTextFrame(f.frame[:0], f.pending[4:4+size])
		f.pending = append(f.pending[:0], f.pending[4+size:]...)
		f.broadcast()
		if _, err := unix.Write(f.trigger, []byte{1}); err != nil {
			return fmt.Errorf("answering the control connection: %w", err)
		}
	}
	return nil
}

// broadcast is what this program is for.
func (f *floor) broadcast() {
	for _, fd := range f.sockets {
		if n, err := f.write(int(fd), f.frame); n != len(f.frame) || err != nil {
			f.all(fd, f.frame[max(n, 0):])
		}
	}
}

// all writes to a socket whose buffer may be full, waiting for room. A socket
// that is gone is found by the next read.
func (f *floor) all(fd int32, p []byte) bool {
	for len(p) > 0 {
		n, err := f.write(int(fd), p)
		switch {
		case n > 0:
			p = p[n:]
		case err == unix.EAGAIN || err == unix.EINTR:
			poll := []unix.PollFd{{Fd: fd, Events: unix.POLLOUT}}
			if n, err := unix.Poll(poll, 5000); n == 0 && err == nil {
				return false // it does not read
			}
		default:
			return false
		}
	}
	return true
}

func rawWrite(fd int, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// listenRaw opens a listening socket outside Go's own poller, non-blocking.
func listenRaw(addr string) (fd int, bound string, err error) {
	sa, err := loopback(addr)
	if err != nil {
		return 0, "", err
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, "", fmt.Errorf("socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, sa); err != nil {
		return 0, "", fmt.Errorf("bind %s: %w", addr, err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return 0, "", fmt.Errorf("listen %s: %w", addr, err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, "", fmt.Errorf("getsockname: %w", err)
	}
	in, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return 0, "", fmt.Errorf("%s is not an IPv4 address", addr)
	}
	return fd, net.JoinHostPort(net.IP(in.Addr[:]).String(), strconv.Itoa(in.Port)), nil
}

// loopback reads an IPv4 loopback address with a port.
func loopback(addr string) (*unix.SockaddrInet4, error) {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	if !a.IP.IsLoopback() {
		return nil, fmt.Errorf("address %q is not a loopback address, and nothing else is loaded", addr)
	}
	return &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}, nil
}
