package netloop

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Outcomes of Accept, Read and Writev beside success and other errors.
var (
	// ErrAgain: nothing (more) can be done until the next event.
	ErrAgain = errors.New("netloop: would block")
	// ErrFileLimit: the process or the system may open no more files.
	ErrFileLimit = errors.New("netloop: no more files may be opened")
)

// Listener is a listening socket outside the runtime's poller.
type Listener struct {
	FD   int
	Addr netip.AddrPort
	file *os.File
}

// deferAccept is how long, in seconds, the kernel holds a connection back until its
// first bytes have come: it can then be answered as soon as it is accepted, which
// spares a wake for each. One that says nothing is accepted after this time.
const deferAccept = 1

// Listen opens a TCP listener, such as on ":8080" or "127.0.0.1:0". Connections
// inherit its options, which spares each of them system calls: frames go out at once
// (TCP_NODELAY), and the kernel ends a connection that has not acknowledged bytes for
// deadPeer.
//
// It does not probe who is silent: whoever reads from the connections sends pings, and
// the kernel's timers for a probe a connection fire in clumps, of which very many
// connections lose some on the way (thousands of 19,000 idle ones were reset so).
func Listen(ctx context.Context, addr string, deadPeer time.Duration) (*Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // Go's default for listeners; it costs memory and refuses options
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, fmt.Errorf("listen on %s: not TCP", addr)
	}
	file, err := tcp.File() // a copy of its own, which outlives ln
	if err != nil {
		return nil, err
	}
	fd := int(file.Fd())
	if err := errors.Join(
		unix.SetNonblock(fd, true),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, deferAccept),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds())),
	); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", addr, err), file.Close())
	}
	at, err := netip.ParseAddrPort(ln.Addr().String())
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Listener{FD: fd, Addr: at, file: file}, nil
}

// Close stops listening. Closing it again does nothing.
func (l *Listener) Close() error {
	if err := l.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Accept takes the next connection of a listener, non-blocking, and the address of
// its other side.
func Accept(listenFD int) (fd int, peer netip.AddrPort, err error) {
	var sa unix.RawSockaddrInet6 // room for either family
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listenFD), uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN:
		return -1, peer, ErrAgain
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
		return -1, peer, fmt.Errorf("%w: %w", ErrFileLimit, errno)
	default:
		return -1, peer, fmt.Errorf("accept4: %w", errno)
	}
	return int(n), addrPort(&sa), nil
}

// addrPort reads what the kernel wrote, in network byte order.
func addrPort(sa *unix.RawSockaddrInet6) netip.AddrPort {
	switch sa.Family {
	case unix.AF_INET:
		sa4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(sa4.Addr), networkOrder(sa4.Port))
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), networkOrder(sa.Port))
	}
	return netip.AddrPort{}
}

func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], v)
	return binary.BigEndian.Uint16(b[:])
}

// Read reads once. It returns 0 without an error at the end of the stream.
func Read(fd int, b []byte) (int, error) {
	// Raw: a non-blocking read cannot hold the thread, so the scheduler need not
	// be told of it.
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		runtime.KeepAlive(b)
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// Peek reads once and leaves the bytes in the socket.
func Peek(fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))),
			uintptr(len(b)), unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		runtime.KeepAlive(b)
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// Write writes once and may write less than all.
func Write(fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		runtime.KeepAlive(b)
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// MaxVectors is how many slices one Writev takes.
const MaxVectors = 1024

// Vectors is a reusable list of byte slices in the kernel's form.
type Vectors struct {
	iov  []unix.Iovec
	keep [][]byte // so that the collector sees what iov points to
	size int
}

// Reset empties the list and lets its slices go.
func (v *Vectors) Reset() {
	clear(v.keep)
	clear(v.iov) // its pointers count as well
	v.iov, v.keep, v.size = v.iov[:0], v.keep[:0], 0
}

// Add appends a slice, which must not change before it is written.
func (v *Vectors) Add(b []byte) {
	if len(b) == 0 {
		return
	}
	iov := unix.Iovec{Base: &b[0]}
	iov.SetLen(len(b))
	v.iov, v.keep, v.size = append(v.iov, iov), append(v.keep, b), v.size+len(b)
}

// Len is the number of slices, Size the number of bytes in them.
func (v *Vectors) Len() int  { return len(v.iov) }
func (v *Vectors) Size() int { return v.size }

// Writev writes the slices from the i-th on in one call: how many bytes of them.
func (v *Vectors) Writev(fd, i int) (int, error) {
	iov := v.iov[i:min(len(v.iov), i+MaxVectors)]
	if len(iov) == 0 {
		return 0, nil
	}
	if len(iov) == 1 { // one slice by write(2): it spares the kernel the import of a vector
		return Write(fd, v.keep[i])
	}
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		runtime.KeepAlive(v)
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// result never sees EINTR: with edge triggering, a call that was cut short and not
// made again would wait for an event that has come already. The kernel's TLS can be.
func result(n uintptr, errno unix.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN:
		return 0, ErrAgain
	}
	return 0, errno
}

// CloseFD closes a socket.
func CloseFD(fd int) {
	// The kernel closes it whatever close(2) returns.
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// ShutdownWrite sends the end of the stream and leaves reading open.
func ShutdownWrite(fd int) {
	_ = unix.Shutdown(fd, unix.SHUT_WR) //nolint:errcheck // fails only when the peer is gone
}

// Conn hands a socket to the runtime: a net.Conn for net/http. fd is used up.
func Conn(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "handed over")
	defer file.Close() // FileConn works on a copy
	return net.FileConn(file)
}

// Take is the inverse of Conn: a socket of its own for what the runtime's conn is
// connected to. conn must then be closed.
func Take(conn net.Conn) (int, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("a %T has no socket", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dupErr error
	err = raw.Control(func(of uintptr) {
		if fd, dupErr = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0); dupErr == nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0) //nolint:errcheck // see Listen: Conn has set it
		}
	})
	return fd, errors.Join(err, dupErr)
}

// OpenSpare opens a file to be closed when no other may be opened, so that a
// connection can still be accepted and refused.
func OpenSpare() (int, error) {
	return syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
}
