//go:build firebase

package firebase_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long the emulator may take to answer; some ten seconds are usual.
const startTimeout = 90 * time.Second

// emulator is a running Firebase Auth emulator.
type emulator struct {
	host string // host:port
	stop func() // kills it and all its children, and waits
}

// startEmulator starts the Auth emulator on free ports and ends it with the test.
func startEmulator(t *testing.T, project string) *emulator {
	t.Helper()
	cli, err := filepath.Abs("node_modules/firebase-tools/lib/bin/firebase.js")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cli); err != nil {
		t.Fatalf("the Firebase emulator is not installed; run npm ci --ignore-scripts in test/firebase: %v", err)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("the Firebase emulator needs Node.js 20 or newer: %v", err)
	}
	dir := t.TempDir()
	ports := freePorts(t, 3)
	config := map[string]any{"emulators": map[string]any{
		"auth":    map[string]any{"host": "127.0.0.1", "port": ports[0]},
		"hub":     map[string]any{"host": "127.0.0.1", "port": ports[1]},
		"logging": map[string]any{"host": "127.0.0.1", "port": ports[2]},
		"ui":      map[string]any{"enabled": false},

		"singleProjectMode": true,
	}}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "firebase.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	output := &safeBuffer{}
	cmd := exec.Command(node, cli, "emulators:start", "--only", "auth", "--project", project)
	cmd.Dir = dir
	// CI: no questions and no usage statistics; the rest: nothing is left in anybody's home, or in /tmp.
	cmd.Env = append(os.Environ(), "CI=1", "XDG_CONFIG_HOME="+dir, "TMPDIR="+dir, "NO_UPDATE_NOTIFIER=1")
	cmd.Stdout, cmd.Stderr = output, output
	// A group of its own, so that what it starts ends with it; and all of it ends with us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	e := &emulator{host: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	e.stop = sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-exited
	})
	t.Cleanup(e.stop)
	e.awaitReady(t, exited, output)
	return e
}

func (e *emulator) awaitReady(t *testing.T, exited <-chan struct{}, output *safeBuffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.host+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-tick.C:
		case <-exited:
			t.Fatalf("the Firebase emulator ended at once:\n%s", output)
		case <-ctx.Done():
			t.Fatalf("the Firebase emulator did not answer within %v:\n%s", startTimeout, output)
		}
	}
}

// account is a user as the emulator's REST API shows one.
type account struct {
	LocalID      string `json:"localId"`
	IDToken      string `json:"idToken"`
	RefreshToken string `json:"refreshToken"`
}

// signUp makes a user; with no fields, an anonymous one.
func (e *emulator) signUp(t *testing.T, fields map[string]any) account {
	t.Helper()
	body := map[string]any{"returnSecureToken": true}
	for k, v := range fields {
		body[k] = v
	}
	var a account
	e.post(t, "/identitytoolkit.googleapis.com/v1/accounts:signUp?key=any", "", body, &a)
	if a.LocalID == "" || a.IDToken == "" {
		t.Fatal("the emulator made no user")
	}
	return a
}

// refresh gets a new ID token, with the claims of now.
func (e *emulator) refresh(t *testing.T, a account) string {
	t.Helper()
	var answer struct {
		IDToken string `json:"id_token"`
	}
	e.post(t, "/securetoken.googleapis.com/v1/token?key=any", "",
		map[string]any{"grant_type": "refresh_token", "refresh_token": a.RefreshToken}, &answer)
	return answer.IDToken
}

// admin calls a method on the accounts of a project, as their administrator.
func (e *emulator) admin(t *testing.T, project, method string, body map[string]any) {
	t.Helper()
	e.post(t, "/identitytoolkit.googleapis.com/v1/projects/"+project+"/accounts:"+method, "owner", body, nil)
}

func (e *emulator) post(t *testing.T, path, bearer string, body, answer any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.host+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", path, resp.Status, raw.String())
	}
	if answer != nil {
		if err := json.Unmarshal(raw.Bytes(), answer); err != nil {
			t.Fatal(err)
		}
	}
}

// freePorts finds n ports that nobody listens on; they are given back all at once.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// safeBuffer takes the output of a process while a test may read it.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
