package netloop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Cipher is a protection of TLS 1.3 records that the kernel may know, by its
// number in linux/tls.h.
type Cipher uint16

// The ciphers of TLS 1.3 (RFC 8446, B.4) that both crypto/tls and Linux have.
const (
	AES128GCM        Cipher = 51
	AES256GCM        Cipher = 52
	ChaCha20Poly1305 Cipher = 54
)

// RecordKey protects the records of one direction, from its first record on
// (RFC 8446, 7.3).
type RecordKey struct {
	Cipher Cipher
	Key    []byte // 16 bytes for AES128GCM, else 32
	IV     [12]byte
}

// ErrNoKernelTLS: the kernel does not take a socket over; it is as it was.
var ErrNoKernelTLS = errors.New("netloop: the kernel does not do TLS here")

// What golang.org/x/sys/unix does not name, of linux/tls.h.
const (
	tlsSend          = 1 // TLS_TX
	tlsReceive       = 2 // TLS_RX
	tlsSetRecordType = 1
	tlsVersion13     = 0x0304
	tlsAlert         = 21 // RFC 8446, 5.1
)

// StartKernelTLS has the kernel protect what is written to a TCP socket and
// unprotect what is read from it, from the next byte of each direction on. The
// socket is usable after nil and after ErrNoKernelTLS, and must be closed after
// any other error.
//
// A record that carries no data cannot be had by Read, which fails with EIO from
// then on: an alert, of which close_notify is the usual end of a connection, or a
// change of keys (RFC 8446, 4.6.3), which thus ends one as well.
func StartKernelTLS(fd int, send, receive RecordKey) error {
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_ULP, "tls"); err != nil {
		return fmt.Errorf("%w: TCP_ULP: %w", ErrNoKernelTLS, err)
	}
	// Until one direction has a key the socket goes on in the clear.
	if err := setRecordKey(fd, tlsSend, send); err != nil {
		return fmt.Errorf("%w: TLS_TX: %w", ErrNoKernelTLS, err)
	}
	if err := setRecordKey(fd, tlsReceive, receive); err != nil {
		return fmt.Errorf("TLS_RX: %w", err)
	}
	return nil
}

// setRecordKey is written out because the key would be copied on its way through
// unix.SetsockoptString.
func setRecordKey(fd, direction int, k RecordKey) error {
	info := cryptoInfo(k)
	defer clear(info)
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_TLS, uintptr(direction),
		uintptr(unsafe.Pointer(unsafe.SliceData(info))), uintptr(len(info)), 0)
	runtime.KeepAlive(info)
	if errno != 0 {
		return errno
	}
	return nil
}

// cryptoInfo is the kernel's struct tls12_crypto_info_* of a cipher, its record
// sequence at zero. For AES it has the first four bytes of the IV apart, as salt.
func cryptoInfo(k RecordKey) []byte {
	info := make([]byte, 0, 56) // of the greatest: appending never leaves a key behind
	info = binary.NativeEndian.AppendUint16(info, tlsVersion13)
	info = binary.NativeEndian.AppendUint16(info, uint16(k.Cipher))
	if k.Cipher == ChaCha20Poly1305 {
		info = append(append(info, k.IV[:]...), k.Key...)
	} else {
		info = append(append(append(info, k.IV[4:]...), k.Key...), k.IV[:4]...)
	}
	return binary.NativeEndian.AppendUint64(info, 0)
}

// CloseNotify tells the peer of a socket with kernel TLS that nothing follows
// (RFC 8446, 6.1). On any other socket it does nothing.
//
// It must come before the end of a socket that may be full: the kernel holds back
// up to a record of what Write has taken, and forgets it when the socket is shut
// or closed. ErrAgain: call it again when the socket is writable. After nil, TCP
// has everything.
func CloseNotify(fd int) error {
	if !hasKernelTLS(fd) { // the alert would be sent as data
		return nil
	}
	// Where there is room, sending the alert pushes what is held back before it. The
	// poll also has the kernel say when there is.
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if n, err := unix.Poll(p, 0); n == 0 || errors.Is(err, unix.EINTR) {
		return ErrAgain
	}
	control := make([]byte, unix.CmsgSpace(1))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	h.Level, h.Type = unix.SOL_TLS, tlsSetRecordType
	h.SetLen(unix.CmsgLen(1))
	control[unix.CmsgLen(0)] = tlsAlert
	closeNotify := []byte{1, 0} // warning, close_notify
	_, err := unix.SendmsgN(fd, closeNotify, control, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return ErrAgain
	}
	return err
}

// Waiter is a connection that waits by the runtime's poller: a net.Conn of Conn,
// or a file.
type Waiter interface {
	syscall.Conn
	SetWriteDeadline(at time.Time) error
}

// CloseNotifyConn is CloseNotify for a connection that the runtime has. It waits
// until the socket is writable, or for patience.
func CloseNotifyConn(conn Waiter, patience time.Duration) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var notifyErr error
	err = raw.Write(func(fd uintptr) (done bool) {
		notifyErr = CloseNotify(int(fd))
		return !errors.Is(notifyErr, ErrAgain)
	})
	return errors.Join(err, notifyErr)
}

// CloseNotifyNow is CloseNotify for a connection that the runtime has, and does not
// wait, not even for a write that is under way.
func CloseNotifyNow(conn Waiter) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var notifyErr error
	err = raw.Control(func(fd uintptr) { notifyErr = CloseNotify(int(fd)) })
	return errors.Join(err, notifyErr)
}

func hasKernelTLS(fd int) bool {
	var name [16]byte // TCP_ULP_NAME_MAX
	size := uint32(len(name))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_ULP,
		uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || int(size) > len(name) {
		return false
	}
	return strings.TrimRight(string(name[:size]), "\x00") == "tls"
}

// KernelCiphers tries out, over loopback, which ciphers the kernel takes over in
// both directions: none when it has no TLS. The kernel may load its module for it.
func KernelCiphers() []Cipher {
	var works []Cipher
	for _, c := range []Cipher{AES128GCM, AES256GCM, ChaCha20Poly1305} {
		if tryCipher(c) == nil {
			works = append(works, c)
		}
	}
	return works
}

// tryCipher sends a byte through two sockets that the kernel protects.
func tryCipher(c Cipher) error {
	a, b, err := loopback()
	if err != nil {
		return err
	}
	defer CloseFD(a)
	defer CloseFD(b)
	key := RecordKey{Cipher: c, Key: make([]byte, 32)}
	if c == AES128GCM {
		key.Key = key.Key[:16]
	}
	if err := errors.Join(StartKernelTLS(a, key, key), StartKernelTLS(b, key, key)); err != nil {
		return err
	}
	if _, err := Write(a, []byte("x")); err != nil {
		return err
	}
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(b), Events: unix.POLLIN}}, 1000); err != nil {
		return err
	}
	got := make([]byte, 2)
	if n, err := Read(b, got); err != nil || string(got[:n]) != "x" {
		return fmt.Errorf("read back %q: %w", got[:n], err)
	}
	return nil
}

// loopback makes two TCP sockets that are connected to each other.
func loopback() (a, b int, err error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return -1, -1, err
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		return -1, -1, err
	}
	defer dialled.Close()
	accepted, err := ln.Accept()
	if err != nil {
		return -1, -1, err
	}
	defer accepted.Close()
	if a, err = Take(dialled); err != nil {
		return -1, -1, err
	}
	if b, err = Take(accepted); err != nil {
		CloseFD(a)
		return -1, -1, err
	}
	return a, b, nil
}

// Pair makes two local stream sockets that are connected to each other. Each
// takes about buffer bytes that the other has not read, at least one write of any
// size, and less if they come in many small writes.
func Pair(buffer int) (a, b int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("socketpair: %w", err)
	}
	// The kernel doubles it, for what it spends on each write beside the bytes.
	if err := errors.Join(
		unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_SNDBUF, buffer),
		unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUF, buffer),
	); err != nil {
		CloseFD(fds[0])
		CloseFD(fds[1])
		return -1, -1, fmt.Errorf("SO_SNDBUF: %w", err)
	}
	return fds[0], fds[1], nil
}

// HungUp tells whether the other socket of a pair is closed, and not only shut
// for writing: an Ended event does not say which.
func HungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	_, err := unix.Poll(p, 0)
	return err == nil && p[0].Revents&unix.POLLHUP != 0
}
