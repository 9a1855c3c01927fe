package chaos

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// launchEnv is set in the process that puts itself behind a gate.
const launchEnv = "VIBEMESH_CHAOS_LAUNCH"

// launchFD is the socket over which it hands the gate's end to the run.
const launchFD = 3

// Launch is to be called first in main. In a process that [Gate] has started it
// becomes the program of its arguments, behind the gate, and does not return but
// with an error; in any other it does nothing.
func Launch() error {
	if os.Getenv(launchEnv) == "" {
		return nil
	}
	// The filter belongs to the thread, and to what it executes.
	runtime.LockOSThread()
	env := os.Environ()
	for i, e := range env {
		if e == launchEnv+"=1" {
			env = append(env[:i:i], env[i+1:]...)
			break
		}
	}
	if len(os.Args) < 2 {
		return errors.New("launch: no program")
	}
	filter, err := filter()
	if err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	listener, err := seccomp(&program, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
	if errors.Is(err, unix.EINVAL) { // before Linux 5.19
		listener, err = seccomp(&program, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	}
	if err != nil {
		return fmt.Errorf("seccomp: %w", err)
	}
	if err := unix.Sendmsg(launchFD, []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return err
	}
	unix.CloseOnExec(launchFD)
	return syscall.Exec(os.Args[1], os.Args[1:], env)
}

func seccomp(program *unix.SockFprog, flags uintptr) (listener int, err error) {
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(program)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// filter is a BPF program that has the gate asked about calls which write files, and
// allows all others.
func filter() ([]unix.SockFilter, error) {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("no filter for %s", runtime.GOARCH)
	}
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	jump := func(op uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, Jt: yes, Jf: no, K: k}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	// Offsets in struct seccomp_data: number 0, architecture 4, third argument 32.
	program := []unix.SockFilter{
		load(4), jump(unix.BPF_JEQ, arch, 1, 0), answer(unix.SECCOMP_RET_ALLOW),
		load(0),
	}
	for _, number := range []uint32{
		unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FALLOCATE, unix.SYS_MKDIRAT,
	} {
		program = append(program, jump(unix.BPF_JEQ, number, 0, 1), answer(unix.SECCOMP_RET_USER_NOTIF))
	}
	return append(program,
		jump(unix.BPF_JEQ, unix.SYS_OPENAT, 0, 3), load(32), jump(unix.BPF_JSET, unix.O_CREAT, 0, 1), answer(unix.SECCOMP_RET_USER_NOTIF),
		answer(unix.SECCOMP_RET_ALLOW),
	), nil
}

// launchGated starts a command that calls Launch and waits for the gate's end.
func launchGated(cmd *exec.Cmd) (listener *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "gate"), os.NewFile(uintptr(pair[1]), "gate")
	defer ours.Close()
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("a %T", conn)
	}
	if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := socket.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("the launcher failed; its log says why: %w", err)
	}
	rights, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(rights) != 1 {
		return nil, fmt.Errorf("no listener came: %w", err)
	}
	unix.CloseOnExec(rights[0])
	return os.NewFile(uintptr(rights[0]), "seccomp listener"), nil
}
