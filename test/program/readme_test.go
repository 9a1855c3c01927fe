package program_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestREADME runs every command of the README's sh blocks: `make run` as it is,
// on free ports, and the others against it. `make test` is what runs this.
func TestREADME(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	commands := shBlocks(t, filepath.Join(root, "README.md"))
	if len(commands) < 8 {
		t.Fatalf("the README has %d commands only: %q", len(commands), commands)
	}
	if commands[0] != "make run" {
		t.Fatalf("the README begins with %q, want make run", commands[0])
	}
	// Compiling is not what the wait for a mesh is for: it may take minutes the first time.
	if out, err := exec.CommandContext(t.Context(), "make", "-C", root, "build").CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	p := launch(t, exec.Command("make", "-C", root, "run"),
		"RUN_ADDR=127.0.0.1:0", "WS_OPS_ADDR=127.0.0.1:0", "WS_NATS_LISTEN=127.0.0.1:0", "WS_DATA_DIR="+t.TempDir(), "WS_LOG_FORMAT=json")
	for _, line := range commands[1:] {
		if line == "make test" {
			continue
		}
		line = strings.ReplaceAll(line, "http://127.0.0.1:8080", p.url())
		cmd := exec.Command("bash", "-euc", line)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "SV_URL="+p.url())
		cmd.WaitDelay = 30 * time.Second
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
		t.Logf("%s\n%s", line, out)
	}
}

func shBlocks(t *testing.T, path string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in := false
	for line := range strings.SplitSeq(string(text), "\n") {
		switch {
		case line == "```sh":
			in = true
		case line == "```":
			in = false
		case in && line != "":
			lines = append(lines, line)
		}
	}
	return lines
}
