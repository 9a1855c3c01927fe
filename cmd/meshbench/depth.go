//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// depthCmd measures what reading the past costs: it fills a log with the messages of
// very many users, and reads first pages of their history, cold and warm, and what
// clients have missed that were away for long, and looks at what publishing takes
// meanwhile.
//
// A page is cold when NATS has been started since anybody read the partition that
// holds it, and the kernel has dropped what it had of its files, where that is
// permitted. So a restart gives as many cold pages as there are partitions: of one
// user each.
type depthCmd struct {
	Bin        string  `help:"Folder of vibemesh and nats-server; empty: this program's." placeholder:"DIR"`
	Messages   int     `help:"Messages in the log." default:"3000000"`
	Users      int     `help:"Users that they are for, chosen at random." default:"1000000"`
	Broadcasts float64 `help:"Of a hundred messages, how many are for everybody." default:"1"`
	Size       int     `help:"Bytes of a toast's payload." default:"170"`
	Partitions int     `help:"Partitions of the log." default:"1"`
	ReadMirror bool    `help:"With a mirror of the log that answers reads, too."`
	Cold       int     `help:"Restarts of NATS for the cold pages; 0: no cold pages." default:"10"`
	DropPages  bool    `help:"Before the cold pages, have the kernel forget what it has of files, where that is permitted." default:"true" negatable:""`
	Pages      int     `help:"Warm pages, one at a time and again 16 at a time; at most so many cold ones a restart." default:"1000"`
	Sockets    int     `help:"Clients that come back with an old cursor." default:"1000"`
	Publish    float64 `help:"Messages published a second meanwhile, each acknowledged." default:"200"`
	Restarts   int     `help:"Restarts of the edge." default:"3"`
	Log        string  `help:"Keep the log in this folder, and use the one that is there already." placeholder:"DIR"`
	JSON       bool    `name:"json" help:"Print JSON instead of a table."`
}

func (c *depthCmd) check() error {
	switch {
	case c.Messages < 100 || c.Messages > 1e9:
		return errors.New("--messages must be 100 to 1000000000")
	case c.Users < 1 || c.Users > c.Messages:
		return errors.New("--users must be 1 to --messages")
	case c.Broadcasts < 0 || c.Broadcasts > 50:
		return errors.New("--broadcasts must be 0 to 50")
	case c.Size < 1 || c.Size > 60_000:
		return errors.New("--size must be 1 to 60000, so that the envelope stays below its limit")
	case c.Partitions < 1 || c.Partitions > 256:
		return errors.New("--partitions must be 1 to 256")
	case c.Cold < 0 || c.Pages < 1 || c.Sockets < 0 || c.Restarts < 0:
		return errors.New("--pages must be 1 or more; --cold, --sockets and --restarts must not be negative")
	case c.Publish < 1:
		return errors.New("--publish must be 1 or more: it is what the others are to disturb")
	}
	return nil
}

// Run fills the log if need be, measures, and prints the table.
func (c *depthCmd) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	if c.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.Bin = filepath.Dir(self)
	}
	dir := c.Log
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "meshbench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	subjects, err := wire.NewSubjects("sv")
	if err != nil {
		return err
	}
	note("%s\n", machine())
	d := diver{depthCmd: c, dir: dir, subjects: subjects, window: duplicateWindow, note: note}
	err = errors.Join(d.measure(ctx), d.stop())
	if len(d.out.Rows) == 0 {
		return err
	}
	return errors.Join(err, d.out.print(os.Stdout, c.JSON))
}

// diver measures one log.
type diver struct {
	*depthCmd
	dir      string // of the log, the servers' configuration and what is known of the log
	subjects wire.Subjects
	window   time.Duration // within which NATS looks for duplicates
	note     func(format string, args ...any)

	log       *logServer
	edge, api *program
	filled    filledLog
	out       depthReport
}

// measure goes through all phases.
func (d *diver) measure(ctx context.Context) error {
	d.out = depthReport{Machine: machine(), Partitions: d.Partitions, ReadMirror: d.ReadMirror, Users: d.Users}
	if err := d.fill(ctx); err != nil {
		return fmt.Errorf("filling the log: %w", err)
	}
	d.out.Messages = d.filled.Messages
	for _, phase := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"cold pages", d.coldPages},
		{"restarts of the edge", d.restartEdge},
		{"publishing alone", d.publishAlone},
		{"warm pages", d.warmPages},
		{"clients that come back", d.comeBack},
	} {
		d.note("%s\n", phase.name)
		if err := phase.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", phase.name, err)
		}
	}
	return nil
}

// up starts what is not running: NATS, an API process, an edge.
func (d *diver) up(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, depthWait, fmt.Errorf("not ready after %v", depthWait))
	defer cancel()
	if d.log == nil {
		if d.log, err = startLog(ctx, d.Bin, d.dir, d.Partitions); err != nil {
			return fmt.Errorf("nats-server: %w", err)
		}
	}
	if d.api == nil {
		if d.api, err = d.start(ctx, "api"); err != nil {
			return err
		}
	}
	if d.edge == nil {
		d.edge, err = d.start(ctx, "edge")
	}
	return err
}

// depthWait is how long a server may take with a deep log: one that was killed reads
// all of it.
const depthWait = 5 * time.Minute

// start starts a role of vibemesh.
func (d *diver) start(ctx context.Context, role string) (*program, error) {
	return startProgram(ctx, filepath.Join(d.Bin, "vibemesh"), role, d.dir, d.settings()...)
}

// settings are those that every vibemesh of the log needs to know.
func (d *diver) settings() []string {
	return []string{
		"WS_NATS_URL=" + d.log.url, fmt.Sprintf("WS_PARTITIONS=%d", d.Partitions), fmt.Sprintf("WS_READ_MIRROR=%t", d.ReadMirror),
	}
}

// stop ends everything in order, so that the log is whole.
func (d *diver) stop() (err error) {
	for _, p := range []**program{&d.edge, &d.api} {
		if *p != nil {
			(*p).kill()
			*p = nil
		}
	}
	if d.log != nil {
		err = d.log.stop()
		d.log = nil
	}
	return err
}
