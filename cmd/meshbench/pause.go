//go:build linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A slow socket has little room: its own buffer, and segments of the size that
// they have on Ethernet, by which the server's kernel sizes its buffer for it.
// By loopback's 64 KiB that would be megabytes.
const (
	slowBuffer  = 4096
	slowSegment = 1460
)

// slow reports whether a socket is one of those that will not read for a while.
// They are spread evenly over all.
func (w *worker) slow(i int) bool {
	return (i+1)*w.conf.Slow/w.conf.Count > i*w.conf.Slow/w.conf.Count
}

// makeSlow gives a socket that is not connected yet little room.
func makeSlow(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, slowBuffer); err != nil {
		return fmt.Errorf("SO_RCVBUF: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, slowSegment); err != nil {
		return fmt.Errorf("TCP_MAXSEG: %w", err)
	}
	return nil
}

// pause lets the slow sockets stop reading, or begin again.
func (w *worker) pause(reads bool) error {
	events := uint32(0)
	if reads {
		events = unix.EPOLLIN
	}
	for i := range w.socks {
		if s := &w.socks[i]; w.slow(i) && s.state == sockLive {
			if err := w.watch(unix.EPOLL_CTL_MOD, int(s.fd), int32(i), events); err != nil {
				return err
			}
		}
	}
	return nil
}
