// Package deploy_test holds what deploys Vibemesh to what it says, without Docker: the
// image is built by the steps of its Dockerfile and started from nothing but its files,
// and the mesh of compose.yaml runs as processes, each on a loopback address of its own,
// with the images' user, read-only files and volumes when the test is root.
package deploy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const repository = "../.."

// work is a folder that every user may enter, as those of t.TempDir may not be.
var work string

// asRoot says whether processes run as they would in containers. Otherwise they run as
// whoever runs the test.
var asRoot = os.Geteuid() == 0

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if work, err = os.MkdirTemp("", "vibemesh-deploy"); err == nil {
		err = os.Chmod(work, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(work)
	if !asRoot {
		fmt.Println("Not root: nothing runs as another user, with other files, or without capabilities.")
	}
	return m.Run()
}

// built is the image for this machine, built once.
var built = sync.OnceValues(func() (*image, error) { return buildImage(runtime.GOARCH) })

func builtImage(t *testing.T) *image {
	t.Helper()
	i, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// output runs a command to its end, in the repository.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = repository
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, text)
	}
	return string(text)
}

// eventually waits for a condition of another process, which can only be asked again and
// again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after 90 s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var direct = &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}

// get is the status and the body of an answer; 0 without one.
func get(url string) (status int, body string) {
	resp, err := direct.Get(url)
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

// said is what a process has written so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *said) lines() []string {
	text := strings.TrimSpace(s.String())
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
