package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// runAsProgram, in the environment, has this test's binary be sv-cli: so the real program
// runs on a real terminal, signals and all.
const runAsProgram = "SV_CLI_TEST_PROGRAM"

// pty is a pseudo terminal, of which a program has the one end and the test the other.
type pty struct {
	master, slave *os.File

	mu  sync.Mutex
	out bytes.Buffer
}

func newPTY(t *testing.T, width, height int) *pty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &pty{master: master, slave: slave}
	p.resize(t, width, height)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.out.Write(buf[:n])
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		slave.Close() // the master's read ends with an error when nobody has the other end
		<-done
		master.Close()
	})
	return p
}

func (p *pty) resize(t *testing.T, width, height int) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)}); err != nil {
		t.Fatal(err)
	}
}

func (p *pty) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// shows waits for a text on the terminal, after what was there before.
func (p *pty) shows(t *testing.T, text string, from int) {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); !strings.Contains(p.text()[from:], text); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("the terminal does not show %q: %q", text, p.text()[from:])
		}
	}
}

func TestWatchOnTerminal(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(p *pty, cmd *exec.Cmd) error
	}{
		{"q", func(p *pty, _ *exec.Cmd) error { _, err := p.master.WriteString("q"); return err }},
		{"Ctrl-C", func(p *pty, _ *exec.Cmd) error { _, err := p.master.WriteString("\x03"); return err }},
		{"SIGTERM", func(_ *pty, cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGTERM) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScript(t, mesh1)
			p := newPTY(t, 120, 20)
			before, err := term.GetState(int(p.slave.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "status", "--watch", "--interval=1h", "--url", s.URL, "--secret=s")
			cmd.Env = append(os.Environ(), runAsProgram+"=1", "TERM=xterm", "NO_COLOR=")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = p.slave, p.slave, p.slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // signals of the terminal are for it
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			p.shows(t, alternateOn, 0)
			p.shows(t, "edge-4", 0)
			p.shows(t, clearBelow, 0)
			from := len(p.text())
			p.resize(t, 120, 6) // too few lines for all: it draws again at once
			p.shows(t, "and 4 more", from)
			p.shows(t, clearBelow, from)
			if err := tc.end(p, cmd); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v: %q", err, p.text())
			}
			p.shows(t, alternateOff, from)
			after, err := term.GetState(int(p.slave.Fd()))
			if err != nil || *after != *before {
				t.Errorf("the terminal is left as %+v, %v; was %+v", after, err, before)
			}
			if !strings.HasSuffix(p.text(), alternateOff) {
				t.Errorf("behind its own screen it wrote %q", p.text()[from:])
			}
		})
	}
}
