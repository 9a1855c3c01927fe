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
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// mesh is one edge with one loop, and NATS in a process of its own.
type mesh struct {
	edge, nats *exec.Cmd
	natsEnded  chan struct{}
	addr       string // of the edge's sockets
	ops        string // of its metrics
	url        string // of NATS
	dir        string // of the log, removed at the end
}

// startWait is how long a server may take to be there.
const startWait = 30 * time.Second

// startMesh starts vibemesh and nats-server out of the folder bin, with default
// settings but for those in env, for the edge. If pinned, the edge has CPU 0; NATS
// is wherever the caller is.
func startMesh(ctx context.Context, bin string, pinned bool, env ...string) (m *mesh, err error) {
	m = &mesh{}
	defer func() {
		if err != nil {
			m.stop()
			m = nil
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, startWait, fmt.Errorf("not ready after %v", startWait))
	defer cancel()
	if m.dir, err = os.MkdirTemp("", "meshbench-"); err != nil {
		return m, err
	}
	if err := m.startNATS(ctx, filepath.Join(bin, "nats-server")); err != nil {
		return m, fmt.Errorf("nats-server: %w", err)
	}
	vibemesh := filepath.Join(bin, "vibemesh")
	if err := m.provision(ctx, vibemesh); err != nil {
		return m, err
	}
	if err := m.startEdge(ctx, vibemesh, pinned, env...); err != nil {
		return m, fmt.Errorf("vibemesh edge: %w", err)
	}
	return m, nil
}

// provision makes the log in NATS.
func (m *mesh) provision(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, path, "provision", "--ws-nats-url", m.url)
	cmd.Env, cmd.Dir = settings(), m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("vibemesh provision: %w: %s", err, out)
	}
	return nil
}

// settings is the environment without what would change Vibemesh's defaults, and
// what is given. Of the same name, the last one counts.
func settings(own ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WS_") && !strings.HasPrefix(e, "FIREBASE_") {
			env = append(env, e)
		}
	}
	return append(env, own...)
}

// startNATS starts a server on a free port, which it writes into a file.
func (m *mesh) startNATS(ctx context.Context, path string) error {
	log := filepath.Join(m.dir, "nats.log")
	m.nats = exec.Command(path, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", filepath.Join(m.dir, "log"),
		"--ports_file_dir", m.dir, "-l", log)
	if err := m.nats.Start(); err != nil {
		return err
	}
	m.natsEnded = make(chan struct{})
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		_ = m.nats.Wait() // that it has ended is all that matters
		cancel(errors.New("it has ended"))
		close(m.natsEnded)
	}()
	for {
		// The file is named by the program and its process id.
		files, err := filepath.Glob(filepath.Join(m.dir, "*.ports"))
		if err != nil {
			return err
		}
		for _, f := range files {
			var ports struct{ Nats []string }
			raw, err := os.ReadFile(f)
			if err == nil && json.Unmarshal(raw, &ports) == nil && len(ports.Nats) > 0 {
				m.url = ports.Nats[0]
				return nil
			}
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			raw, _ := os.ReadFile(log) // only to say more
			return fmt.Errorf("%w; it logged: %.2000s", err, raw)
		}
	}
}

// startEdge starts an edge on free ports, which it logs, and waits until it is ready.
func (m *mesh) startEdge(ctx context.Context, path string, pinned bool, env ...string) error {
	m.edge = exec.Command(path, "edge", "--ws-nats-url", m.url)
	m.edge.Dir = m.dir
	m.edge.Env = settings(append([]string{
		"WS_AUTH=dev", "WS_LOOPS=1", "WS_ADDR=127.0.0.1:0", "WS_OPS_ADDR=127.0.0.1:0", "WS_LOG_FORMAT=json",
	}, env...)...)
	stderr, err := m.edge.StderrPipe()
	if err != nil {
		return err
	}
	if err := start(m.edge, pinned); err != nil {
		return err
	}
	found := make(chan edgeLog, 1)
	go readEdgeLog(stderr, found)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case l := <-found:
		if l.addr == "" || l.ops == "" {
			return fmt.Errorf("it has ended; its last words: %s", l.last)
		}
		m.addr, m.ops = l.addr, l.ops
		return ready(ctx, "http://"+l.ops+"/readyz")
	}
}

// edgeLog is what an edge's log tells.
type edgeLog struct{ addr, ops, last string }

// readEdgeLog reads a log to its end, so that its writer never waits, and gives
// what it found once both addresses are known, or at the end.
func readEdgeLog(r io.Reader, found chan<- edgeLog) {
	var l edgeLog
	told := false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var line struct{ Msg, Addr string }
		l.last = lines.Text()
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		switch line.Msg {
		case "listening":
			l.addr = line.Addr
		case "ops":
			l.ops = line.Addr
		}
		if !told && l.addr != "" && l.ops != "" {
			told = true
			found <- l
		}
	}
	if !told {
		found <- l
	}
	_, _ = io.Copy(io.Discard, r) // after a line that is too long
}

// ready waits until url answers 200.
func ready(ctx context.Context, url string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		} else if opErr := (*net.OpError)(nil); !errors.As(err, &opErr) {
			return errors.Join(context.Cause(ctx), err)
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// bench is the measurement of the edge; its publisher is to be closed.
func (m *mesh) bench(p plan) (b *bench, err error) {
	pub, err := newNATSPublisher(m.url, "sv")
	if err != nil {
		return nil, err
	}
	return &bench{plan: p, name: "edge", addr: m.addr, ops: m.ops, pid: m.edge.Process.Pid, pub: pub, note: note}, nil
}

// stop ends both processes at once: nobody is connected, and the log is removed.
func (m *mesh) stop() {
	if m.edge != nil && m.edge.Process != nil {
		_ = m.edge.Process.Kill()
		_ = m.edge.Wait() // how it ended no longer matters
	}
	if m.natsEnded != nil {
		_ = m.nats.Process.Kill()
		<-m.natsEnded
	}
	if m.dir != "" {
		_ = os.RemoveAll(m.dir)
	}
}
