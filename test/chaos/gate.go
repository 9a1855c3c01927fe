package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Gate stands between a program and its disk: the kernel hands it each system call
// that writes (seccomp_unotify(2)), and it lets the call go on, lets it wait, or answers that
// no space is left. The program runs on its own files and sees what a
// full or a slow disk would show it. It needs no privileges.
type Gate struct {
	dir string // what happens to files below it

	mode atomic.Int32

	mu     sync.Mutex
	broken error // why this system has no gate
}

// How a gate answers.
const (
	gateOpen int32 = iota // as if it were not there
	gateFull              // no space is left on the disk
	gateSlow              // each write takes slowWrite, each sync slowSync
)

const (
	slowWrite = 20 * time.Millisecond
	slowSync  = 500 * time.Millisecond
)

// newGate makes a gate in front of the files below a folder.
func newGate(dir string) *Gate { return &Gate{dir: dir} }

// Usable says why there is no gate on this system, nil when there is.
func (g *Gate) Usable() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

func (g *Gate) set(mode int32) { g.mode.Store(mode) }

// start starts a program behind the gate, or without it where the system has none.
func (g *Gate) start(cmd *exec.Cmd) (*exec.Cmd, error) {
	if g.Usable() == nil {
		gated := exec.Command("/proc/self/exe", append([]string{cmd.Path}, cmd.Args[1:]...)...)
		gated.Env = append(append([]string(nil), cmd.Env...), launchEnv+"=1")
		gated.Stdout, gated.Stderr, gated.SysProcAttr = cmd.Stdout, cmd.Stderr, cmd.SysProcAttr
		listener, err := launchGated(gated)
		if err == nil {
			go g.serve(listener)
			return gated, nil
		}
		g.mu.Lock()
		g.broken = fmt.Errorf("system calls cannot be gated: %w", err)
		g.mu.Unlock()
	}
	return cmd, cmd.Start()
}

// call is a system call that waits for the gate: struct seccomp_notif of
// linux/seccomp.h.
type call struct {
	id     uint64
	thread uint32
	_      uint32
	number int32
	_      uint32
	_      uint64
	args   [6]uint64
}

// verdict is struct seccomp_notif_resp.
type verdict struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// serve answers calls until the program has ended.
func (g *Gate) serve(listener *os.File) {
	defer listener.Close()
	fd := listener.Fd()
	for {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil || ready[0].Revents&unix.POLLIN == 0 {
			return
		}
		var c call
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&c))); errno != 0 {
			continue // the thread has ended, or was interrupted
		}
		g.judge(fd, &c)
	}
}

func (g *Gate) judge(fd uintptr, c *call) {
	v := verdict{id: c.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	mode := g.mode.Load()
	wait := time.Duration(0)
	if mode != gateOpen && g.concerns(c) {
		sync := int(c.number) == unix.SYS_FSYNC || int(c.number) == unix.SYS_FDATASYNC
		switch {
		case mode == gateFull && !sync:
			v.flags, v.errno = 0, -int32(unix.ENOSPC)
		case mode == gateSlow && sync:
			wait = slowSync
		case mode == gateSlow:
			wait = slowWrite
		}
	}
	answer := func() {
		// An error says that the thread has ended.
		unix.Syscall(unix.SYS_IOCTL, fd, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&v)))
	}
	if wait > 0 {
		time.AfterFunc(wait, answer)
		return
	}
	answer()
}

// concerns reports whether a call writes to a file below the folder, or makes one.
func (g *Gate) concerns(c *call) bool {
	switch int(c.number) {
	case unix.SYS_OPENAT, unix.SYS_MKDIRAT:
		path, err := textOf(c.thread, c.args[1])
		if err != nil || !strings.HasPrefix(path, g.dir+"/") {
			return false
		}
		// A file that exists can be opened on a full disk, even to empty it.
		_, err = os.Lstat(path)
		return err != nil
	default:
		path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.thread, c.args[0]))
		return err == nil && strings.HasPrefix(path, g.dir+"/")
	}
}

// textOf reads a C string of another process.
func textOf(thread uint32, at uint64) (string, error) {
	buf := make([]byte, 1024)
	local := []unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	remote := []unix.RemoteIovec{{Base: uintptr(at), Len: len(buf)}}
	n, err := unix.ProcessVMReadv(int(thread), local, remote, 0)
	if err != nil {
		// The text may lie at the end of what is mapped.
		rest := int(4096 - at%4096)
		local[0].Len, remote[0].Len = uint64(min(rest, len(buf))), min(rest, len(buf))
		if n, err = unix.ProcessVMReadv(int(thread), local, remote, 0); err != nil {
			return "", err
		}
	}
	end := bytes.IndexByte(buf[:n], 0)
	if end < 0 {
		return "", errors.New("too long")
	}
	return string(buf[:end]), nil
}
