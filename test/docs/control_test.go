package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestTopicService has the Go service of the backend guide decide.
func TestTopicService(t *testing.T) {
	m := startMesh(t, "127.0.0.1:0", t.TempDir(), "WS_TOPICS=service")
	dir, err := os.MkdirTemp(".", "_topics") // as in TestGoProgram
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write(t, filepath.Join(dir, "main.go"), m.local(theBlock(t, backendGuide, "go topics").text))
	bin := filepath.Join(t.TempDir(), "topics")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./"+dir).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	service := exec.Command(bin)
	service.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		service.Process.Kill()
		service.Wait()
	})
	deadline := time.Now().Add(30 * time.Second)
	for { // until the service is there
		refused := m.join(t, "ada", "club.7", "secret")
		if len(refused) == 1 && refused[0] == wire.FrameErrForbidden {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("ada's topics: %v, want only one to be forbidden", refused)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if refused := m.join(t, "mallory", "club.7", "news"); len(refused) != 1 || refused[0] != wire.FrameErrForbidden {
		t.Errorf("mallory's topics: %v", refused)
	}
}

// join connects with two topics and returns the codes of the errors that come.
func (m *mesh) join(t *testing.T, uid string, topics ...string) (codes []string) {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{URL: "http://" + m.addr, Token: token(t, uid), Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(wire.CloseNormal)
	if err := c.Send(t.Context(), wire.ClientFrame{Type: wire.FramePing}); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case wire.Error:
			codes = append(codes, f.Code)
		case wire.Pong:
			return codes
		}
	}
}
