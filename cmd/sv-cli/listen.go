package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

type listenCmd struct {
	person     `embed:""`
	Topic      []string `help:"Also events of this topic; repeat it for several." placeholder:"TOPIC" sep:"none"`
	Replay     int      `help:"Begin with the last N events, when there is no cursor." placeholder:"N"`
	CursorFile string   `help:"Continue from the cursor in this file, and keep it there." placeholder:"FILE" type:"path"`
	Count      int      `help:"Stop after N events; 0: never." placeholder:"N"`
}

// errCounted ends a listen that has its --count of events.
var errCounted = errors.New("as many events as were asked for")

func (c *listenCmd) check() error {
	if c.Replay < 0 || c.Count < 0 {
		return usage("--replay and --count must not be negative")
	}
	if len(c.Topic) > wire.MaxTopics {
		return usage("a session holds at most %d topics", wire.MaxTopics)
	}
	for _, t := range c.Topic {
		if _, err := wire.EncodeID(t); err != nil || strings.Contains(t, ",") {
			return usage("--topic=%q: a topic has 1 to %d bytes and no comma", t, wire.MaxIDLen)
		}
	}
	return nil
}

// Run follows the session until it is interrupted, which is a success.
func (c *listenCmd) Run(ctx context.Context, w world, g globals) error {
	if err := c.check(); err != nil {
		return err
	}
	if _, err := c.token(w.now()); err != nil {
		return err
	}
	cursor, err := readCursor(c.CursorFile)
	if err != nil {
		return err
	}
	l := listener{w: w, g: g, cmd: c}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	first := time.AfterFunc(g.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer first.Stop()
	l.connected = func() { first.Stop() }
	err = client.Follow(ctx, client.Options{
		URL: g.URL, Cursor: cursor, Topics: c.Topic, Replay: c.Replay,
		DialTimeout: g.Timeout, OnRetry: l.retry,
	}, func(context.Context) (string, error) { return c.token(w.now()) }, l.handle)
	var upgrade *client.UpgradeError
	switch {
	case errors.Is(err, errCounted), errors.Is(err, context.Canceled):
		return nil
	case errors.Is(err, context.DeadlineExceeded) && errors.As(l.last, &upgrade):
		return parseProblem(upgrade.Status, nil, upgrade.Body)
	case errors.Is(err, context.DeadlineExceeded):
		if l.last != nil {
			err = l.last
		}
		return unreachable(ctx, g, err)
	case errors.As(err, &upgrade):
		return parseProblem(upgrade.Status, nil, upgrade.Body)
	}
	return err
}

// listener prints frames; Follow calls it from one goroutine.
type listener struct {
	w         world
	g         globals
	cmd       *listenCmd
	connected func()
	events    int
	last      error // why the last attempt failed
}

// note tells people, not programs, how the connection fares.
func (l *listener) note(format string, args ...any) {
	fmt.Fprintf(l.w.stderr, format+"\n", args...)
}

func (l *listener) retry(reason error, wait time.Duration) {
	l.last = reason
	l.note("%s; back in %v", strings.TrimPrefix(reason.Error(), "client: "), wait.Round(100*time.Millisecond))
}

func (l *listener) handle(f wire.ServerFrame) error {
	var err error
	switch f := f.(type) {
	case wire.Hello:
		l.connected()
		how := "connected to"
		if f.Resumed {
			how = "resumed at"
		}
		l.note("%s %s", how, clean(f.Node))
	case wire.Event:
		err = l.event(f)
	case wire.Gap:
		if l.g.JSON {
			err = printJSON(l.w, f)
		} else {
			err = say(l.w, l.w.paint(yellow, "gap: older events are missing here ("+clean(f.Reason)+")"))
		}
	case wire.Read:
		if l.g.JSON {
			err = printJSON(l.w, f)
		} else {
			l.note("read on one of the devices: %s", readLine(f))
		}
	case wire.Error:
		l.note("the server: %s: %s", clean(f.Code), clean(f.Message))
	case wire.Reconnect:
		l.note("the server asks us to reconnect in %v", time.Duration(f.AfterMS)*time.Millisecond)
	}
	if err != nil {
		return err
	}
	if cursor := client.CursorOf(f); cursor != "" {
		if err := writeCursor(l.cmd.CursorFile, cursor); err != nil {
			return err
		}
	}
	if l.cmd.Count > 0 && l.events >= l.cmd.Count {
		return errCounted
	}
	return nil
}

func (l *listener) event(e wire.Event) error {
	l.events++
	if l.g.JSON {
		return printJSON(l.w, e)
	}
	return say(l.w, l.w.eventLine(e))
}

// readCursor reads a cursor file; one that is not there yet is an empty cursor.
func readCursor(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	raw, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("--cursor-file: %w", err)
	}
	cursor := strings.TrimSpace(string(raw))
	if _, err := wire.ParseCursor(cursor); err != nil && cursor != "" {
		return "", fmt.Errorf("--cursor-file: %s does not hold a cursor; delete it to begin anew", name)
	}
	return cursor, nil
}

// writeCursor replaces the file at once, so that a crash leaves the old or the new.
func writeCursor(name, cursor string) error {
	if name == "" {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("--cursor-file: %w", err)
	}
	_, err = tmp.WriteString(cursor + "\n")
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // best effort: the error before it counts
		return fmt.Errorf("--cursor-file: %w", err)
	}
	return nil
}
