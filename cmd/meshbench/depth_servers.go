//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// logServer is a NATS server whose log outlives it.
type logServer struct {
	cmd   *exec.Cmd
	ended chan struct{}
	url   string
	took  time.Duration // from the start until it took connections
}

// startLog starts a server on a free port with the log that dir holds, and the
// subject mapping of a log of so many partitions.
func startLog(ctx context.Context, bin, dir string, partitions int) (*logServer, error) {
	if err := writeConfig(ctx, bin, dir, partitions); err != nil {
		return nil, err
	}
	s := &logServer{ended: make(chan struct{})}
	s.cmd = exec.Command(filepath.Join(bin, "nats-server"), "-c", filepath.Join(dir, "nats.conf"))
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_ = s.cmd.Wait() // that it has ended is all that matters
		cancel(errors.New("it has ended; see nats.log beside the log"))
		close(s.ended)
	}()
	ports := filepath.Join(dir, fmt.Sprintf("nats-server_%d.ports", s.cmd.Process.Pid))
	for {
		var found struct{ Nats []string }
		raw, err := os.ReadFile(ports)
		if err == nil && json.Unmarshal(raw, &found) == nil && len(found.Nats) > 0 {
			s.url, s.took = found.Nats[0], time.Since(began)
			return s, os.Remove(ports)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			_ = s.cmd.Process.Kill()
			return nil, err
		}
	}
}

// writeConfig writes the server's configuration; the mapping is what provision says.
func writeConfig(ctx context.Context, bin, dir string, partitions int) error {
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nports_file_dir: %q\nlog_file: %q\n"+
		"jetstream { store_dir: %q, max_file_store: 1TB }\n", dir, filepath.Join(dir, "nats.log"), filepath.Join(dir, "log"))
	if partitions > 1 {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "vibemesh"), "provision", "--print-mappings")
		cmd.Env, cmd.Dir = settings(fmt.Sprintf("WS_PARTITIONS=%d", partitions)), dir
		mapping, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("vibemesh provision --print-mappings: %w", err)
		}
		text += string(mapping)
	}
	return os.WriteFile(filepath.Join(dir, "nats.conf"), []byte(text), 0o644)
}

// stop ends the server in order: one that is killed reads its whole log when it
// starts, and would know all of it.
func (s *logServer) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(time.Minute):
		_ = s.cmd.Process.Kill()
		<-s.ended
		return errors.New("nats-server did not end within a minute")
	}
}

// program is a process of vibemesh.
type program struct {
	cmd       *exec.Cmd
	addr, ops string
	took      time.Duration // from the start until it was ready
}

// startProgram starts a role of vibemesh on free ports, and waits until it is ready.
func startProgram(ctx context.Context, path, role, dir string, env ...string) (*program, error) {
	p := &program{cmd: exec.Command(path, role)}
	p.cmd.Dir = dir
	p.cmd.Env = settings(append([]string{
		"WS_AUTH=dev", "WS_ADDR=127.0.0.1:0", "WS_OPS_ADDR=127.0.0.1:0", "WS_LOG_FORMAT=json",
	}, env...)...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	found := make(chan edgeLog, 1)
	go readEdgeLog(stderr, found)
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
	case l := <-found:
		p.addr, p.ops = l.addr, l.ops
		if l.addr == "" || l.ops == "" {
			err = fmt.Errorf("it has ended; its last words: %s", l.last)
		} else {
			err = ready(ctx, "http://"+l.ops+"/readyz")
		}
	}
	p.took = time.Since(began)
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("vibemesh %s: %w", role, err)
	}
	return p, nil
}

// kill ends the process at once: what it knows is in the log.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // how it ended no longer matters
}

// dropPages makes the kernel forget what it has of files, where that is permitted.
func dropPages() (dropped bool) {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) == nil
}

// provisionLog makes the log's streams.
func (d *diver) provisionLog(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.Bin, "vibemesh"), "provision")
	cmd.Env, cmd.Dir = settings(d.settings()...), d.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("vibemesh provision: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
