//go:build linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// expressEvent marks the epoll of the express sockets among the sockets' indices.
const expressEvent = -3

// express makes sockets of users be read before all others, by an epoll of their
// own, until they are closed. When a broadcast arrives at all sockets at once, a
// message to one of these users does not wait behind it in the client.
func (w *worker) express(users []int) error {
	if w.fast == 0 {
		var err error
		if w.fast, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return fmt.Errorf("epoll_create1: %w", err)
		}
		if err := w.watch(unix.EPOLL_CTL_ADD, w.fast, expressEvent, unix.EPOLLIN); err != nil {
			return err
		}
	}
	for _, user := range users {
		i := user - w.conf.First
		if i < 0 || i >= len(w.socks) || w.socks[i].state != sockLive {
			continue
		}
		fd := int(w.socks[i].fd)
		if err := w.watch(unix.EPOLL_CTL_DEL, fd, 0, 0); err != nil {
			return err
		}
		if err := unix.EpollCtl(w.fast, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			return err
		}
	}
	return nil
}

// expressEvery is how many other sockets are read between two looks at these.
const expressEvery = 16

// serveExpress reads the express sockets that can be read.
func (w *worker) serveExpress() {
	if w.fast == 0 {
		return
	}
	var events [64]unix.EpollEvent
	n, _ := unix.EpollWait(w.fast, events[:], 0) // it cannot wait, so nothing interrupts it
	for _, e := range events[:max(n, 0)] {
		w.event(int(e.Fd), e.Events)
	}
}
