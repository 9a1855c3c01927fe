//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// socketsPerWorker stays below a descriptor limit of 20,000.
const socketsPerWorker = 15000

// fleet is the client: one worker process or several, spoken to in step.
type fleet struct {
	workers  []*workerProc
	answers  chan reply
	progress []int64
	faults   []map[string]int64 // by worker, of the whole run
	note     func(format string, args ...any)
	patience float64 // by which every limit of time is multiplied
}

type workerProc struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	count int
	slow  int // of these, will not read for a while
}

// reply is a worker's answer, or its end.
type reply struct {
	worker int
	answer
	err error
}

// startFleet starts workers enough for conf.Count sockets, and gives each its share.
func startFleet(ctx context.Context, conf command, note func(string, ...any)) (*fleet, error) {
	return startWorkers(ctx, shares(conf, (conf.Count+socketsPerWorker-1)/socketsPerWorker), 1, note)
}

// shares splits conf.Count sockets into n parts, of users in turn.
func shares(conf command, n int) []command {
	parts := make([]command, n)
	for i := range parts {
		parts[i] = conf
		parts[i].First = i * conf.Count / n
		parts[i].Count = (i+1)*conf.Count/n - parts[i].First
		parts[i].Slow = (i+1)*conf.Slow/n - i*conf.Slow/n
	}
	return parts
}

// startWorkers starts a worker for each part. Patience multiplies every limit of time.
func startWorkers(ctx context.Context, parts []command, patience float64, note func(string, ...any)) (*fleet, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := len(parts)
	f := &fleet{
		answers: make(chan reply, 64), note: note, patience: patience,
		progress: make([]int64, n), faults: make([]map[string]int64, n),
	}
	for i, part := range parts {
		part.Op = "init"
		w := &workerProc{cmd: exec.CommandContext(ctx, self, "worker"), count: part.Count, slow: part.Slow}
		w.cmd.Stderr = os.Stderr
		if err := f.start(ctx, i, w); err != nil {
			f.stop()
			return nil, err
		}
		f.workers = append(f.workers, w)
		if err := w.tell(part); err != nil {
			f.stop()
			return nil, err
		}
	}
	if _, err := f.gather(ctx, "ready", 10*time.Second); err != nil {
		f.stop()
		return nil, err
	}
	return f, nil
}

func (f *fleet) start(ctx context.Context, i int, w *workerProc) error {
	var err error
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.cmd.Start(); err != nil {
		return fmt.Errorf("starting a client process: %w", err)
	}
	go func() {
		in := bufio.NewReaderSize(stdout, 64<<10)
		for {
			line, err := in.ReadBytes('\n')
			r := reply{worker: i}
			if err == nil {
				err = json.Unmarshal(line, &r.answer)
			}
			if err != nil {
				r.err = fmt.Errorf("client process %d ended early: %w", i, err)
			}
			select {
			case f.answers <- r:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return nil
}

func (w *workerProc) tell(c command) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := w.stdin.Write(append(raw, '\n')); err != nil {
		return fmt.Errorf("telling a client process: %w", err)
	}
	return nil
}

// tell sends each worker a command made for it.
func (f *fleet) tell(c func(w *workerProc) command) error {
	for _, w := range f.workers {
		if err := w.tell(c(w)); err != nil {
			return err
		}
	}
	return nil
}

// gather waits until every worker has answered op, and adds the answers up.
func (f *fleet) gather(ctx context.Context, op string, timeout time.Duration) (answer, error) {
	return f.gatherBoth(ctx, op, "", timeout)
}

// gatherBoth waits until every worker has answered op and also (if not empty),
// and adds up what they said to op, and by kind of message what they said to also.
func (f *fleet) gatherBoth(ctx context.Context, op, also string, timeout time.Duration) (sum answer, err error) {
	timeout = time.Duration(f.patience * float64(timeout))
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	missing := len(f.workers)
	if also != "" {
		missing *= 2
	}
	for missing > 0 {
		select {
		case <-ctx.Done():
			return sum, context.Cause(ctx)
		case <-timer.C:
			return sum, fmt.Errorf("%w: %d answers %q are missing after %v", errIncomplete, missing, op, timeout)
		case r := <-f.answers:
			if r.err != nil {
				return sum, r.err
			}
			f.take(r)
			switch r.Op {
			case op:
				missing--
				sum.add(r.answer)
			case also:
				missing--
				sum.addKinds(r.answer)
			}
		}
	}
	return sum, nil
}

// take notes what an answer says besides.
func (f *fleet) take(r reply) {
	if r.Op == "progress" {
		f.progress[r.worker] = r.N
		f.note("\r%d connected ", total(f.progress))
	}
	if r.Faults != nil {
		f.faults[r.worker] = r.Faults
	}
}

// errIncomplete: not every message reached every socket in time.
var errIncomplete = errors.New("incomplete")

// arm makes every worker expect so many deliveries a socket.
func (f *fleet) arm(ctx context.Context, perSocket int64) error {
	_, err := f.armEach(ctx, func(_ int, w *workerProc) int64 { return perSocket * int64(w.count) })
	return err
}

// armEach makes each worker expect so many deliveries. It gives those that expect
// any: only they will say that they are done.
func (f *fleet) armEach(ctx context.Context, target func(i int, w *workerProc) int64) (*fleet, error) {
	some := *f
	some.workers = nil
	for i, w := range f.workers {
		n := target(i, w)
		if n > 0 {
			some.workers = append(some.workers, w)
		}
		if err := w.tell(command{Op: "arm", Target: n}); err != nil {
			return nil, err
		}
	}
	_, err := f.gather(ctx, "armed", 10*time.Second)
	return &some, err
}

// allFaults adds the workers' faults up.
func (f *fleet) allFaults() map[string]int64 {
	sum := map[string]int64{}
	for _, faults := range f.faults {
		for what, n := range faults {
			sum[what] += n
		}
	}
	return sum
}

func total(ns []int64) (sum int64) {
	for _, n := range ns {
		sum += n
	}
	return sum
}

// stop ends the workers, which leave when their stdin ends.
func (f *fleet) stop() {
	for _, w := range f.workers {
		_ = w.stdin.Close()
	}
	for _, w := range f.workers {
		_ = w.cmd.Wait() // how it ended no longer matters
	}
}

// hostOf splits a base URL into the address to connect to and the Host header.
func hostOf(base string) (string, error) {
	host, ok := strings.CutPrefix(strings.TrimRight(base, "/"), "http://")
	if !ok || strings.Contains(host, "/") {
		return "", fmt.Errorf("--url=%s must look like http://127.0.0.1:8080", base)
	}
	if !strings.Contains(host, ":") {
		host += ":80"
	}
	_, err := loopback(host)
	return host, err
}
