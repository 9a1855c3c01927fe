package docs_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
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
)

// The secret of `make run`, which the guides use.
const secret = "local-development-secret"

// mesh is a running `vibemesh run`.
type mesh struct {
	t               *testing.T
	cmd             *exec.Cmd
	addr, ops, nats string
	done            chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// startMesh runs a mesh on an address (port 0: any) with its log in data.
func startMesh(t *testing.T, addr, data string, env ...string) *mesh {
	t.Helper()
	m := &mesh{t: t, done: make(chan struct{})}
	m.cmd = exec.Command(filepath.Join(bin, "vibemesh"), "run")
	m.cmd.Dir = t.TempDir()
	m.cmd.Env = append(os.Environ(), "WS_AUTH=dev", "WS_ADDR="+addr, "WS_OPS_ADDR=127.0.0.1:0", "WS_NATS_LISTEN=127.0.0.1:0",
		"WS_DATA_DIR="+data, "WS_PUBLISH_SECRET="+secret, "WS_LOG_FORMAT=json", "WS_NODE=edge-1")
	m.cmd.Env = append(m.cmd.Env, env...)
	stderr, err := m.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("the mesh said:\n%s", m.log.String())
		}
	})
	up := make(chan struct{})
	go m.read(stderr, up)
	select {
	case <-up:
	case <-m.done:
		t.Fatal("the mesh ended before it was up")
	case <-time.After(30 * time.Second):
		t.Fatal("the mesh is not up")
	}
	eventually(t, "ready", func() bool { return m.get("http://"+m.ops+"/readyz") == "ready\n" })
	return m
}

func (m *mesh) read(stderr io.Reader, up chan<- struct{}) {
	defer close(m.done)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		var line struct{ Msg, Addr, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			switch line.Msg {
			case "embedded nats-server":
				m.nats = strings.TrimPrefix(line.URL, "nats://")
			case "listening":
				m.addr = line.Addr
			case "ops":
				m.ops = line.Addr
				close(up)
			}
		}
		m.mu.Lock()
		m.log.Write(append(lines.Bytes(), '\n'))
		m.mu.Unlock()
	}
	m.cmd.Wait()
}

// end sends a signal and waits for the end.
func (m *mesh) end(sig syscall.Signal) {
	m.cmd.Process.Signal(sig)
	<-m.done
}

// local puts the mesh's addresses where a guide has those of `make run`.
func (m *mesh) local(text string) string {
	return strings.NewReplacer("127.0.0.1:8080", m.addr, "127.0.0.1:9090", m.ops, "127.0.0.1:4222", m.nats).Replace(text)
}

// get is the body of a 200, and empty for any other answer.
func (m *mesh) get(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}

// toast publishes a title to one person.
func (m *mesh) toast(user, title string) {
	m.t.Helper()
	body, err := json.Marshal(map[string]any{"title": title, "to": map[string]string{"user": user}})
	if err != nil {
		m.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+m.addr+"/api/v1/ws/toast", bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("X-SV-KEY", secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		m.t.Fatalf("publish: %s", resp.Status)
	}
}

func token(t *testing.T, uid string) string {
	t.Helper()
	text, err := auth.MintDev(auth.DevClaims{UID: uid}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
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
