//go:build linux

package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type compareCmd struct {
	Bin         string        `help:"Folder of the programs: vibemesh, nats-server, nbio, centrifuge. scripts/bench-report builds them." required:"" type:"existingdir" placeholder:"DIR"`
	Sockets     int           `help:"Sockets of each server." default:"15000"`
	ConnectRate float64       `help:"Connections started a second." default:"2500"`
	Rounds      int           `help:"Times that each has its turn with broadcasts; fewer if --limit comes before." default:"5"`
	Broadcasts  int           `help:"Paced broadcasts of a turn." default:"8"`
	Burst       int           `help:"Broadcasts of a turn that are published at once." default:"50"`
	Size        int           `help:"Bytes of a toast's payload." default:"256"`
	Settle      time.Duration `help:"Wait between the last connect and reading a server's memory." default:"10s"`
	Limit       time.Duration `help:"Longest time for all of it." default:"6m"`
	Tokens      string        `help:"What clients sign in with at the edge: dev, or rs256, which is signed and verified as Firebase's are." enum:"dev,rs256" default:"dev"`
	Pin         bool          `help:"Bind the servers to CPU 0, and the clients and NATS to CPU 1." default:"true" negatable:""`
	Out         string        `help:"Write the table to FILE, as Markdown." placeholder:"FILE"`
	SVG         string        `name:"svg" help:"Write the plot to FILE." placeholder:"FILE"`
	JSON        bool          `name:"json" help:"Print JSON instead of a table."`

	tokens *credentials
}

// Run measures all servers, prints the table, and writes the files if all went well.
func (c *compareCmd) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	var err error
	if c.tokens, err = signIn(c.Tokens, c.Sockets); err != nil { // before pinning: signing takes all cores
		return err
	}
	defer c.tokens.stop()
	if err := pinClient(c.Pin, 0); err != nil {
		return fmt.Errorf("%w; or use --no-pin", err)
	}
	r, err := c.measure(ctx)
	if err == nil {
		err = c.write(r)
	}
	switch {
	case r == nil || len(r.rows) == 0:
		return err
	case c.JSON:
		return errors.Join(err, print(os.Stdout, r.rows, true))
	}
	return errors.Join(err, r.text(os.Stdout))
}

func (c *compareCmd) plan() plan {
	return plan{
		Sockets: c.Sockets, ConnectRate: c.ConnectRate, Broadcasts: c.Broadcasts, Burst: c.Burst,
		Size: c.Size, Settle: c.Settle, Wait: time.Minute,
	}
}

func (c *compareCmd) check() error {
	if c.Broadcasts < 1 || c.Burst < 1 || c.Rounds < 1 {
		return errors.New("--rounds, --broadcasts and --burst must be 1 or more: they are what is compared")
	}
	for _, name := range []string{"vibemesh", "nats-server", "nbio", "centrifuge"} {
		if _, err := os.Stat(filepath.Join(c.Bin, name)); err != nil {
			return fmt.Errorf("--bin: %w; scripts/bench-report builds all four and runs this", err)
		}
	}
	return c.plan().check()
}

// contestant is one server of a comparison.
type contestant struct {
	name  string
	label string // in the report
	start func(ctx context.Context, p plan, size int) (b *bench, stop func() error, err error)

	bench         *bench // once started
	stop          func() error
	paced, bursts []phase // by round
}

// measure starts the servers one after the other, each with all its sockets, and
// then gives them their turns, round by round, so that whatever slows the machine
// down for a while slows them all. With an error it gives what it had until then,
// or nil if that is nothing.
func (c *compareCmd) measure(ctx context.Context) (r *report, err error) {
	list, err := c.contestants()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Limit,
		fmt.Errorf("this took longer than --limit=%v: hold fewer --sockets, or allow more", c.Limit))
	defer cancel()
	r = &report{plan: c.plan(), tokens: c.Tokens, machine: machine(), pinned: c.Pin}
	err = c.open(ctx, list)
	if err == nil {
		err = c.turns(ctx, list)
	}
	for _, who := range list {
		if who.bench == nil {
			continue
		}
		m, wrong := who.bench.finish(ctx, err)
		if err == nil {
			err = wrong
		}
		err = errors.Join(err, who.stop())
		r.add(who.label, m, who.paced, who.bursts)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // what failed did so for this
	}
	return r, err
}

// open starts all servers and connects their sockets.
func (c *compareCmd) open(ctx context.Context, list []*contestant) (err error) {
	size := c.Size + floorOverhead
	for i, who := range list {
		note("[%d/%d] %s\n", i+1, len(list), who.label)
		if who.bench, who.stop, err = who.start(ctx, c.plan(), size); err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
		who.bench.tokens = c.tokens.file // the same request for all, whoever reads it
		if err := who.bench.open(ctx); err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
	}
	return nil
}

// turns goes round until there were enough, or another one might take too long.
func (c *compareCmd) turns(ctx context.Context, list []*contestant) error {
	deadline, _ := ctx.Deadline()
	for round := range c.Rounds {
		began := time.Now()
		for _, who := range list {
			note("round %d of %d: %s\n", round+1, c.Rounds, who.name)
			paced, err := who.bench.pacedPhase(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", who.name, err)
			}
			burst, err := who.bench.burstPhase(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", who.name, err)
			}
			who.paced, who.bursts = append(who.paced, *paced), append(who.bursts, *burst)
		}
		if time.Since(began)*5/4 > time.Until(deadline) && round+1 < c.Rounds {
			note("no time for more than %d rounds\n", round+1)
			break
		}
	}
	return nil
}

// contestants are the servers, the one that the others are compared with first.
func (c *compareCmd) contestants() ([]*contestant, error) {
	var wrong []error
	byControl := func(t target, label string, err error) *contestant {
		wrong = append(wrong, err)
		return &contestant{name: t.name, label: label, start: func(ctx context.Context, p plan, size int) (*bench, func() error, error) {
			return t.start(ctx, p, size, c.Pin)
		}}
	}
	floor := func(how, label string) *contestant {
		t, err := floorTarget(how)
		return byControl(t, label, err)
	}
	peer := func(name, module, speak string, around int) *contestant {
		t := target{name: name, path: filepath.Join(c.Bin, name), speak: speak, around: around}
		version, err := versionOf(t.path, module)
		return byControl(t, name+version, err)
	}
	list := []*contestant{
		floor("raw", "bare floor, RawSyscall"),
		{name: "edge", label: "Vibemesh edge", start: c.startEdge},
		floor("syscall", "bare floor, syscall.Write"),
		peer("nbio", "github.com/lesismal/nbio", speakVibemesh, 0),
		peer("centrifuge", "github.com/centrifugal/centrifuge", speakCentrifuge, centrifugeAround),
	}
	return list, errors.Join(wrong...)
}

// startEdge starts an edge, and NATS beside it.
func (c *compareCmd) startEdge(ctx context.Context, p plan, _ int) (*bench, func() error, error) {
	m, err := startMesh(ctx, c.Bin, c.Pin, c.tokens.env()...)
	if err != nil {
		return nil, nil, err
	}
	b, err := m.bench(p)
	if err != nil {
		m.stop()
		return nil, nil, err
	}
	return b, func() error { b.pub.close(); m.stop(); return nil }, nil
}

// versionOf reads from a program which version of a module it was built with.
func versionOf(path, module string) (string, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--bin: %w", err)
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return " " + strings.TrimPrefix(dep.Version, "v"), nil
		}
	}
	return "", fmt.Errorf("--bin: %s is not built on %s", path, module)
}

// write makes the files of the report.
func (c *compareCmd) write(r *report) error {
	for _, f := range []struct {
		path string
		to   func(io.Writer) error
	}{{c.Out, r.markdown}, {c.SVG, r.plot}} {
		if f.path == "" {
			continue
		}
		var text strings.Builder
		if err := f.to(&text); err != nil {
			return err
		}
		if err := os.WriteFile(f.path, []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
