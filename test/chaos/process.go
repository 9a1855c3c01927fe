package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Process is a program that can be ended and started again. What it says is
// appended to one file through all its lives.
type Process struct {
	Name string

	prefix []string // what is put before the command
	path   string
	args   []string
	env    []string
	log    string
	gate   *Gate // in front of its system calls; nil: none

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// Start starts the program.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return fmt.Errorf("%s runs already", p.Name)
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	fmt.Fprintf(out, "--- %s starts\n", p.Name)
	command := append(append(append([]string(nil), p.prefix...), p.path), p.args...)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	// A process group of its own: an interrupt of the run is not one of the cluster. And
	// nothing is left behind when the run itself is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if p.gate != nil {
		cmd, err = p.gate.start(cmd)
	} else {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	go func() {
		cmd.Wait() // how it ended is nothing to act on: most are killed
		close(done)
	}()
	p.cmd, p.done = cmd, done
	return nil
}

func (p *Process) running() bool {
	if p.done == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Running reports whether the program runs.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// PID is its process id, 0 when it does not run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return p.cmd.Process.Pid
}

// Signal sends a signal.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return fmt.Errorf("%s does not run", p.Name)
	}
	return p.cmd.Process.Signal(sig)
}

// Kill ends the program without warning and waits until it is gone.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return
	}
	if err := p.cmd.Process.Kill(); err == nil || errors.Is(err, os.ErrProcessDone) {
		<-p.done
	}
}

// Terminate asks the program to end, and says so when it has not within a time.
func (p *Process) Terminate(sig syscall.Signal, patience time.Duration) error {
	if err := p.Signal(sig); err != nil {
		return err
	}
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s has not ended %v after %v", p.Name, patience, sig)
	}
}
