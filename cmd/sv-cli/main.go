// Sv-cli publishes to a Vibemesh, listens to it and looks after it from a terminal.
//
// It is the tool of whoever writes a backend or runs the mesh: toast, event and
// schedule publish, cancel takes back what waits for its time, listen follows one
// person's session with resume, history reads it; presence, disconnect and revoke are
// about people, status is about the edges, doctor finds what is wrong; token mints a
// development token. See sv-cli --help for the environment it reads and its exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	w := world{
		stdout: os.Stdout, stderr: os.Stderr, lookupEnv: os.LookupEnv,
		now: time.Now, zone: time.Local, terminal: isTerminal(os.Stdout),
	}
	if w.terminal {
		w.openScreen = func() (screen, error) { return openTerminal(os.Stdin, os.Stdout) }
	}
	code := run(ctx, w, os.Args[1:])
	stop()
	os.Exit(code)
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
