//go:build linux

// Init is the first process of the machine that scripts/vm boots: it sets the
// kernel up, runs one command, and turns the machine off.
//
// The root folder holds what it is told: /command and /environment, strings that
// end with NUL; /modules/order, a module's name a line, in the order of loading.
// The command runs in /vm. Its output goes to the second serial line, and its exit
// code, or 125 if it could not be run, to the third; the first is the kernel's.
//
// The kernel is set up for as many sockets as memory allows: descriptors, local
// ports, and buffers that begin small.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// What the serial lines are for; the first is the kernel's console.
const (
	outputLine = "/dev/ttyS1"
	codeLine   = "/dev/ttyS2"
)

// couldNotRun is the exit code when it is not the command's own.
const couldNotRun = 125

// maxFiles is how many files a process may have open: two million and some.
const maxFiles = 2_200_000

func main() {
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err) // the kernel's console
	}
	err := syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintln(os.Stderr, "init: the machine does not turn off:", err) // and the kernel panics, since init ends
}

// command does all but turning the machine off. An error of its own is one that
// could not be told on the serial lines.
func command() error {
	prepared := prepare()
	out, err := serial(outputLine)
	if err != nil {
		return errors.Join(prepared, err)
	}
	defer drain(out)
	code, err := couldNotRun, prepared
	if err == nil {
		code, err = run(out)
	}
	if err != nil {
		fmt.Fprintln(out, "init:", err)
	}
	line, err := serial(codeLine)
	if err != nil {
		return err
	}
	defer drain(line)
	_, err = fmt.Fprint(line, code)
	return err
}

// prepare makes the kernel ready for the command.
func prepare() error {
	for _, m := range []struct{ kind, path string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"},
	} {
		if err := syscall.Mount(m.kind, m.path, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m.path, err)
		}
	}
	if err := loadModules(); err != nil {
		return err
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("starting the loopback interface: %w", err)
	}
	return limits()
}

func loadModules() error {
	order, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(order)) {
		module, err := os.ReadFile(filepath.Join("/modules", name))
		if err != nil {
			return err
		}
		none := []byte{0} // of parameters
		_, _, e := syscall.Syscall(syscall.SYS_INIT_MODULE,
			uintptr(unsafe.Pointer(&module[0])), uintptr(len(module)), uintptr(unsafe.Pointer(&none[0])))
		if e != 0 && e != syscall.EEXIST {
			return fmt.Errorf("loading module %s: %w", name, e)
		}
	}
	return nil
}

// loopbackUp gives the machine 127.0.0.0/8; a kernel that starts has it switched off.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	var request struct { // ifreq
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if e != 0 {
		return e
	}
	return nil
}

// limits sets how much of everything there may be.
func limits() error {
	for _, s := range []struct{ path, value string }{
		{"fs/nr_open", strconv.Itoa(maxFiles)},
		{"fs/file-max", strconv.Itoa(3 * maxFiles)},
		{"net/core/somaxconn", "65535"},
		{"net/core/netdev_max_backlog", "1000000"}, // packets on loopback; the kernel's own timers send in bursts
		{"net/ipv4/tcp_max_syn_backlog", "65535"},
		{"net/ipv4/ip_local_port_range", "1024 65535"},
		{"net/ipv4/tcp_rmem", "4096 16384 4194304"},
		{"net/ipv4/tcp_wmem", "4096 16384 4194304"},
		// In pages, of which a socket that has bytes waiting is charged one in each
		// direction, however few they are: no limit.
		{"net/ipv4/tcp_mem", "16000000 16000000 16000000"},
		{"vm/overcommit_memory", "1"},
	} {
		if err := os.WriteFile(filepath.Join("/proc/sys", s.path), []byte(s.value), 0); err != nil {
			return err
		}
	}
	if err := favourSoftInterrupts(); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: maxFiles, Max: maxFiles}); err != nil {
		return fmt.Errorf("allowing %d open files: %w", maxFiles, err)
	}
	return nil
}

// favourSoftInterrupts lets the kernel's threads for them go before every program.
// Under load they take packets in; an emulated machine whose programs go on sending
// meanwhile falls behind until all is sent again and again.
func favourSoftInterrupts() error {
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		return err
	}
	for _, name := range names {
		comm, err := os.ReadFile(name)
		if err != nil || !strings.HasPrefix(string(comm), "ksoftirqd/") {
			continue // another, which may just have ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err != nil {
			return err
		}
		const first = 1 // SCHED_FIFO
		priority := int32(1)
		_, _, e := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(pid), first, uintptr(unsafe.Pointer(&priority)))
		if e != 0 {
			return fmt.Errorf("favouring %s: %w", strings.TrimSpace(string(comm)), e)
		}
	}
	return nil
}

// run runs the command and gives its exit code.
func run(out *os.File) (int, error) {
	command, err := list("/command")
	if err != nil {
		return couldNotRun, err
	}
	env, err := list("/environment")
	if err != nil {
		return couldNotRun, err
	}
	if err := os.Setenv("PATH", "/vm"); err != nil {
		return couldNotRun, err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/vm", out, out
	cmd.Env = append([]string{"PATH=/vm", "HOME=/tmp", "TMPDIR=/tmp"}, env...)
	err = cmd.Run()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		if s, ok := failed.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return 128 + int(s.Signal()), nil
		}
		return failed.ExitCode(), nil
	}
	if err != nil {
		return couldNotRun, err
	}
	return 0, nil
}

// list reads a file of strings that each end with NUL.
func list(path string) ([]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00"), nil
}

// serial opens a serial line so that what is written comes out as it is.
func serial(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	var t syscall.Termios
	if err := control(f, syscall.TCGETS, &t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t.Oflag &^= syscall.OPOST
	if err := control(f, syscall.TCSETS, &t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func control(f *os.File, request uintptr, t *syscall.Termios) error {
	if _, _, e := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(t))); e != 0 {
		return e
	}
	return nil
}

// drain waits until all that was written has left the machine, as tcdrain(3) does.
// An error would be of a line that is none; the machine ends in any case.
func drain(f *os.File) {
	const sendBreak, butOnlyWait = 0x5409, 1 // TCSBRK
	_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), sendBreak, butOnlyWait)
}
