package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// screen is a whole terminal.
type screen interface {
	size() (width, height int)
	keys() <-chan byte
	resized() <-chan struct{}
	restore()
}

// What a terminal is told (ECMA-48, and xterm's private modes).
const (
	alternateOn  = "\x1b[?1049h\x1b[?25l" // another screen, without a cursor
	alternateOff = "\x1b[?25h\x1b[?1049l"
	cursorHome   = "\x1b[H"
	clearLine    = "\x1b[K"
	clearBelow   = "\x1b[J"
)

// Keys in raw mode.
const (
	ctrlC = 3
	ctrlD = 4
)

// terminal is the screen of a process.
type terminal struct {
	in, out *os.File
	before  *term.State // nil: in is none
	pressed chan byte
	winch   chan os.Signal
	changed chan struct{}
	done    chan struct{}
}

// openTerminal takes the terminal: keys come at once and unseen, and what was on the
// screen comes back with restore.
func openTerminal(in, out *os.File) (*terminal, error) {
	t := &terminal{
		in: in, out: out, pressed: make(chan byte), winch: make(chan os.Signal, 1),
		changed: make(chan struct{}), done: make(chan struct{}),
	}
	if term.IsTerminal(int(in.Fd())) {
		before, err := term.MakeRaw(int(in.Fd()))
		if err != nil {
			return nil, err
		}
		t.before = before
		go t.read()
	}
	if _, err := fmt.Fprint(out, alternateOn); err != nil {
		return nil, errors.Join(err, t.cooked())
	}
	signal.Notify(t.winch, syscall.SIGWINCH)
	go t.follow()
	return t, nil
}

// read passes keys on. It waits in a read that nothing can end but a key, so the
// process ends without it.
func (t *terminal) read() {
	var key [1]byte
	for {
		n, err := t.in.Read(key[:])
		if err != nil {
			return
		}
		if n == 0 {
			continue
		}
		select {
		case t.pressed <- key[0]:
		case <-t.done:
			return
		}
	}
}

// follow passes changes of the size on.
func (t *terminal) follow() {
	for {
		select {
		case <-t.winch:
		case <-t.done:
			return
		}
		select {
		case t.changed <- struct{}{}:
		case <-t.done:
			return
		}
	}
}

func (t *terminal) size() (width, height int) {
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24 // one that does not say, such as a serial line
	}
	return width, height
}

func (t *terminal) keys() <-chan byte        { return t.pressed }
func (t *terminal) resized() <-chan struct{} { return t.changed }

// restore gives the terminal back as it was.
func (t *terminal) restore() {
	signal.Stop(t.winch)
	close(t.done)
	fmt.Fprint(t.out, alternateOff)
	_ = t.cooked() // there is nothing left to do about it
}

func (t *terminal) cooked() error {
	if t.before == nil {
		return nil
	}
	return term.Restore(int(t.in.Fd()), t.before)
}
