// Sv-cli publishes to a Vibemesh and listens to it from a terminal.
//
// It is the tool of whoever writes a backend: toast and event publish, cancel
// takes back what waits for its time, listen follows
// one person's session with resume, history reads it, token mints a development
// token. See sv-cli --help for the environment it reads and its exit codes.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	w := world{
		stdout: os.Stdout, stderr: os.Stderr, lookupEnv: os.LookupEnv,
		now: time.Now, zone: time.Local, terminal: isTerminal(os.Stdout),
	}
	code := run(ctx, w, os.Args[1:])
	stop()
	os.Exit(code)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
