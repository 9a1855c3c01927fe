//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// target is a server that tells where it listens and broadcasts by a control
// connection, as the floor does (see floorReady and floorPublisher).
type target struct {
	name   string
	path   string // of its program
	args   []string
	speak  string // of dialects
	around int    // bytes that it writes around a broadcast's text
	settle time.Duration
}

// floorTarget is the floor, which has no garbage to collect and settles at once.
func floorTarget(how string) (target, error) {
	self, err := os.Executable()
	return target{name: "floor-" + how, path: self, args: []string{"floor", "--write", how}, settle: time.Second}, err
}

// measureFloor starts a floor and puts it through the plan, as far as it can.
func measureFloor(ctx context.Context, p plan, how string, size int, pinned bool) (measure, error) {
	t, err := floorTarget(how)
	if err != nil {
		return measure{}, err
	}
	return t.measure(ctx, p, size, pinned)
}

// measure starts the server, on CPU 0 if pinned, and puts it through the plan;
// its broadcasts take size bytes on the wire.
func (t target) measure(ctx context.Context, p plan, size int, pinned bool) (measure, error) {
	b, stop, err := t.start(ctx, p, size, pinned)
	if err != nil {
		return measure{Name: t.name}, err
	}
	m, err := b.run(ctx)
	return m, errors.Join(err, stop())
}

// start starts the server. stop ends it, and gives an error if it did not end well.
func (t target) start(ctx context.Context, p plan, size int, pinned bool) (b *bench, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, t.path, t.args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := start(cmd, pinned); err != nil {
		return nil, nil, err
	}
	end := func() error {
		_ = stdin.Close() // it ends when its stdin does
		return cmd.Wait()
	}
	ready, conn, err := t.reach(ctx, stdout)
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	pub := &floorPublisher{conn: conn, size: size - t.around}
	if t.settle > 0 {
		p.Settle = min(p.Settle, t.settle)
	}
	b = &bench{plan: p, name: t.name, addr: ready.Addr, pid: ready.PID, speak: t.speak, pub: pub, note: note}
	return b, func() error { pub.close(); return end() }, nil
}

// reach reads where the server listens, and connects to its control port.
func (t target) reach(ctx context.Context, stdout io.Reader) (ready floorReady, conn net.Conn, err error) {
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return ready, nil, fmt.Errorf("%s did not start: %w", t.name, err)
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return ready, nil, fmt.Errorf("%s said %q: %w", t.name, line, err)
	}
	d := net.Dialer{Timeout: 5 * time.Second}
	if conn, err = d.DialContext(ctx, "tcp", ready.Control); err != nil {
		err = fmt.Errorf("reaching %s: %w", t.name, err)
	}
	return ready, conn, err
}

// start starts a process, and if pinned on CPU 0 from its first instruction, so
// that it takes itself to be on a machine with one.
func start(cmd *exec.Cmd, pinned bool) error {
	if pinned {
		// A child inherits the CPUs of the thread that forks it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var before, one unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			return fmt.Errorf("reading this thread's CPUs: %w", err)
		}
		one.Set(0)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return fmt.Errorf("binding a thread to CPU 0: %w", err)
		}
		defer func() { _ = unix.SchedSetaffinity(0, &before) }() // they were ours a moment ago
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	return nil
}
