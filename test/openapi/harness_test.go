package openapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
)

const (
	mainSecret  = "the-secret-of-this-test"
	spentSecret = "a-secret-that-sends-much"
)

var bin string // the program

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vibemesh")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = filepath.Join(dir, "vibemesh")
	build := exec.Command("go", "build", "-o", bin, "../../cmd/vibemesh")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// server is a running vibemesh.
type server struct{ addr, url string }

// start runs a command of vibemesh on free ports until the test ends, and waits until it
// is ready.
func start(t *testing.T, command string, env ...string) *server {
	t.Helper()
	cmd := exec.Command(bin, command)
	cmd.Dir = t.TempDir()
	cmd.Env = append(append(os.Environ(),
		"WS_AUTH=dev", "WS_ADDR=127.0.0.1:0", "WS_OPS_ADDR=127.0.0.1:0", "WS_NATS_LISTEN=", "WS_NODE="+command,
		"WS_PUBLISH_SECRET="+mainSecret+","+spentSecret, "WS_LOG_FORMAT=json",
	), env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addrs, said := make(chan string, 2), new(strings.Builder)
	done := make(chan struct{})
	go func() {
		defer close(done)
		readLog(stderr, addrs, said)
		cmd.Wait() //nolint:errcheck // it is killed
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-done
		if t.Failed() {
			t.Logf("%s said:\n%s", command, said)
		}
	})
	next := func() string {
		select {
		case addr := <-addrs:
			return addr
		case <-done:
			t.Fatalf("vibemesh %s ended", command)
		case <-time.After(60 * time.Second):
			t.Fatalf("vibemesh %s is not up", command)
		}
		return ""
	}
	s := &server{addr: next()}
	s.url = "http://" + s.addr
	ops := next()
	eventually(t, "ready", func() bool {
		resp, err := http.Get("http://" + ops + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return s
}

// readLog tells where a program listens: for people first, then for operators.
func readLog(stderr io.Reader, addrs chan<- string, said *strings.Builder) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && (line.Msg == "listening" || line.Msg == "ops") {
			addrs <- line.Addr
		}
		said.Write(append(lines.Bytes(), '\n'))
	}
}

// eventually waits for another process, which can only be asked again and again.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not %s after 30 s", what)
		case <-tick.C:
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func token(t testing.TB, uid string, publisher bool) string {
	t.Helper()
	text, err := auth.MintDev(auth.DevClaims{
		UID: uid, ProjectID: auth.DevProject, Publisher: publisher, PublishClaim: "publisher", TTL: time.Hour,
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return text
}
