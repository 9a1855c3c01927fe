//go:build linux

package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/cmd/meshbench/peers/internal/check"
)

// TestServer runs the server as a program of its own, never under the race
// detector: nbio hands connections from thread to thread by epoll, which the
// detector does not know to be an order.
func TestServer(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "nbio")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run := func(stdin io.Reader, stdout io.Writer) error {
		cmd := exec.CommandContext(ctx, bin)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, os.Stderr
		return cmd.Run()
	}
	err := check.Server(ctx, run, check.Speak{Hello: `{"type":"hello"`}, check.Plan{Sockets: 200, Paced: 4, Burst: 50})
	if err != nil {
		t.Error(err)
	}
}

func TestLongTextIsRefused(t *testing.T) {
	if err := new(server).broadcast(make([]byte, 1<<16)); err == nil {
		t.Error("a text whose length does not fit was broadcast")
	}
}
