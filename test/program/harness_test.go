// Package program_test runs the whole program, and looks at it only from
// outside: by its sockets, its HTTP, its NATS subjects and its signals.
package program_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const secret = "a-secret-of-the-test"

var bin string // where the built programs are

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vibemesh")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, "../../cmd/vibemesh", "../../cmd/sv-cli")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs: %v\n%s", err, out)
		return 1
	}
	bin = dir
	return m.Run()
}

// process is one running vibemesh.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string // of sockets and HTTP
	ops  string
	nats string // of the embedded nats-server
	done chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// start runs a command of vibemesh on free ports and waits until it is ready.
func start(t *testing.T, command string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "vibemesh"), command)
	cmd.Dir = t.TempDir()
	return launch(t, cmd, append([]string{
		"WS_AUTH=dev", "WS_ADDR=127.0.0.1:0", "WS_OPS_ADDR=127.0.0.1:0", "WS_NATS_LISTEN=127.0.0.1:0",
		"WS_PUBLISH_SECRET=" + secret, "WS_NODE=" + command, "WS_LOG_FORMAT=json",
	}, env...)...)
}

// launch runs a vibemesh, or what starts one, and waits until it is ready.
func launch(t *testing.T, cmd *exec.Cmd, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end what it has started as well
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("%s said:\n%s", cmd, p.log.String())
		}
	})
	up := make(chan struct{})
	go p.read(stderr, up)
	select {
	case <-up:
	case <-p.done:
		t.Fatalf("%s ended before it was up", cmd)
	case <-time.After(60 * time.Second):
		t.Fatalf("%s is not up", cmd)
	}
	p.waitReady()
	return p
}

// read follows the log of the process for the addresses it listens on.
func (p *process) read(stderr io.Reader, up chan<- struct{}) {
	defer close(p.done)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Msg, Addr, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			switch line.Msg {
			case "listening":
				p.addr = line.Addr
			case "embedded nats-server":
				p.nats = line.URL
			case "ops":
				p.ops = line.Addr
				close(up)
			}
		}
		p.mu.Lock()
		p.log.Write(append(lines.Bytes(), '\n'))
		p.mu.Unlock()
	}
	p.cmd.Wait()
}

func (p *process) said(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.log.String(), text)
}

func (p *process) url() string { return "http://" + p.addr }

func (p *process) waitReady() {
	p.t.Helper()
	eventually(p.t, "ready", func() bool {
		status, _ := p.get("http://" + p.ops + "/readyz")
		return status == http.StatusOK
	})
}

func (p *process) get(url string) (status int, body string) {
	resp, err := http.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// kill ends the process without warning.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// terminate asks it to end and returns its exit status.
func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.t.Fatal("SIGTERM did not end it within 20 s")
	}
	return p.cmd.ProcessState.ExitCode()
}

// eventually waits for a condition of another process, which can only be asked
// again and again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after 30 s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// natsServer is a nats-server of its own, that can be stopped and come back.
type natsServer struct {
	*natsserver.Server
	dir, listen string
	subjects    wire.Subjects
}

func startNATS(t *testing.T) *natsServer { return startPartitioned(t, 1) }

// startPartitioned has the subject mapping of a log of several partitions.
func startPartitioned(t *testing.T, partitions int) *natsServer {
	t.Helper()
	n := &natsServer{dir: t.TempDir(), listen: "127.0.0.1:0", subjects: wire.Subjects{}.Partitioned(partitions)}
	n.start(t)
	n.listen = strings.TrimPrefix(n.URL(), "nats://")
	t.Cleanup(func() { n.Stop() })
	return n
}

func (n *natsServer) start(t *testing.T) {
	t.Helper()
	s, err := natsserver.Start(natsserver.Config{DataDir: n.dir, Listen: n.listen, Node: "test", Subjects: n.subjects}, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	n.Server = s
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func provision(t *testing.T, url string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "vibemesh"), append([]string{"provision", "--ws-nats-url", url}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("provision: %v\n%s", err, out)
	}
}

func token(t *testing.T, uid string) string {
	t.Helper()
	text, err := auth.MintDev(auth.DevClaims{UID: uid, ProjectID: auth.DevProject, TTL: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// post publishes by REST.
func post(t *testing.T, base string, body any) (status int, answer map[string]any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, base+"/api/v1/ws/toast", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-SV-KEY", secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil && err != io.EOF {
		return 0, nil
	}
	return resp.StatusCode, answer
}

// follower is a client that comes back by itself and remembers what it saw.
type follower struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	titles []string
	gaps   []wire.Gap
	hellos int
	cursor string
}

// follow signs a user in and follows the log until the test ends. Its cursor is
// that of hello before follow returns.
func follow(t *testing.T, url, uid string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		err := client.Follow(ctx, client.Options{URL: url},
			func(context.Context) (string, error) { return token(t, uid), nil }, f.take)
		if ctx.Err() == nil {
			t.Errorf("%s stopped following: %v", uid, err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-f.done
	})
	eventually(t, "signed in", func() bool { return f.seen(func() bool { return f.hellos > 0 }) })
	return f
}

func (f *follower) take(frame wire.ServerFrame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := client.CursorOf(frame); c != "" {
		f.cursor = c
	}
	switch frame := frame.(type) {
	case wire.Hello:
		f.hellos++
	case wire.Gap:
		f.gaps = append(f.gaps, frame)
	case wire.Event:
		var toast struct{ Title string }
		if err := json.Unmarshal(frame.Payload, &toast); err != nil {
			return err
		}
		f.titles = append(f.titles, toast.Title)
	}
	return nil
}

func (f *follower) seen(ok func() bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return ok()
}

// wants waits until as many titles have come and compares them all.
func (f *follower) wants(t *testing.T, titles []string) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for f.seen(func() bool { return len(f.titles) < len(titles) }) && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.gaps) > 0 {
		t.Errorf("gaps although nothing was removed: %+v", f.gaps)
	}
	for i, want := range titles {
		if i >= len(f.titles) || f.titles[i] != want {
			t.Fatalf("of %d titles came %d; number %d is %.60q, want %q", len(titles), len(f.titles), i, f.titles[min(i, len(f.titles)):][:min(1, len(f.titles)-min(i, len(f.titles)))], want)
		}
	}
	if len(f.titles) > len(titles) {
		t.Fatalf("%d titles came, want %d; the next is %q", len(f.titles), len(titles), f.titles[len(titles)])
	}
}
