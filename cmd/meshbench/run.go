//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

type runCmd struct {
	plan   `embed:""`
	extras `embed:""`
	scenes `embed:""`

	URL          string   `help:"Base URL of the edge, on a loopback address." default:"http://127.0.0.1:8080"`
	PID          int      `name:"pid" help:"Process id of the edge; without it nothing is said of its CPU and memory."`
	NATS         string   `name:"nats" help:"Publish to this NATS server; empty: by REST." placeholder:"URL"`
	Prefix       string   `help:"Subject prefix there." default:"sv" env:"WS_SUBJECT_PREFIX"`
	Secret       string   `help:"Shared secret for publishing by REST." env:"SV_SECRET" placeholder:"SECRET"`
	SecretHeader string   `help:"Header that carries it." default:"X-SV-KEY" env:"SV_SECRET_HEADER"`
	Floor        []string `help:"Measure the floor as well, writing in these ways: raw, syscall." enum:"raw,syscall" placeholder:"HOW"`
	Pin          bool     `help:"Bind the server to CPU 0, and the client and --nats-pid to CPU 1."`
	NATSPID      int      `name:"nats-pid" help:"Process id of the NATS server, only for --pin."`
	JSON         bool     `name:"json" help:"Print JSON instead of a table."`
}

type compareFloorCmd struct {
	plan `embed:""`
	Pin  bool `help:"Bind the floor to CPU 0 and the client to CPU 1."`
	JSON bool `name:"json" help:"Print JSON instead of a table."`
}

// floorOverhead is what an edge adds to a payload in a broadcast's frame, in
// bytes, when there is no edge to measure it of.
const floorOverhead = 106

// note is for people who watch.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format, args...) }

// Run measures the floor alone.
func (c *compareFloorCmd) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := pinClient(c.Pin, 0); err != nil {
		return err
	}
	var results []measure
	for _, how := range []string{"raw", "syscall"} {
		m, err := measureFloor(ctx, c.plan, how, c.Size+floorOverhead, c.Pin)
		results = append(results, m)
		if err != nil {
			return errors.Join(err, print(os.Stdout, results, c.JSON))
		}
	}
	return print(os.Stdout, results, c.JSON)
}

// Run measures an edge, and the floor after it.
func (c *runCmd) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	measureEdge := c.measureRunning
	if c.Bin != "" {
		measureEdge = c.measureOwn
	}
	results, err := measureEdge(ctx)
	for _, how := range c.Floor {
		if err != nil {
			break
		}
		size := results[0].FrameBytes
		if size == 0 {
			size = c.Size + floorOverhead
		}
		var f measure
		f, err = measureFloor(ctx, c.plan, how, size, c.Pin)
		results = append(results, f)
	}
	if len(results) == 0 {
		return err
	}
	return errors.Join(err, print(os.Stdout, results, c.JSON))
}

// measureRunning measures an edge that somebody else has started.
func (c *runCmd) measureRunning(ctx context.Context) ([]measure, error) {
	addr, err := hostOf(c.URL)
	if err != nil {
		return nil, err
	}
	pub, err := c.publisher(addr)
	if err != nil {
		return nil, err
	}
	defer pub.close()
	if err := pinClient(c.Pin, c.NATSPID); err != nil {
		return nil, err
	}
	if c.Pin {
		restore, err := pin(c.PID, 0)
		if err != nil {
			return nil, err
		}
		defer restore()
	}
	b := bench{plan: c.plan, extras: c.extras, name: "edge", addr: addr, pid: c.PID, pub: pub, note: note}
	m, err := b.run(ctx)
	return []measure{m}, err
}

func (c *runCmd) check() error {
	if err := errors.Join(c.extras.check(), c.scenes.check()); err != nil {
		return err
	}
	switch {
	case c.Bin != "" && (c.PID != 0 || c.NATS != "" || c.Secret != ""):
		return errors.New("--bin starts an edge and NATS of its own: leave out --pid, --nats and --secret (SV_SECRET)")
	case c.Bin != "":
	case c.Pin && c.PID == 0:
		return errors.New("--pin needs --pid, to know what to bind")
	case c.NATS == "" && c.Secret == "":
		return errors.New("how shall it publish? Give --nats=nats://127.0.0.1:4222, or --secret (SV_SECRET) for REST")
	case c.NATS == "" && c.Latency > 0:
		return errors.New("--latency compares with core NATS: it needs --nats or --bin")
	}
	return c.plan.check()
}

func (c *runCmd) publisher(addr string) (publisher, error) {
	if c.NATS != "" {
		return newNATSPublisher(c.NATS, c.Prefix)
	}
	return &restPublisher{url: "http://" + addr, header: c.SecretHeader, secret: c.Secret}, nil
}

// pinClient binds this process, and with it the workers it will start, to CPU 1.
func pinClient(on bool, natsPID int) error {
	if !on {
		return nil
	}
	if _, err := pin(os.Getpid(), 1); err != nil {
		return err
	}
	if natsPID > 0 {
		if _, err := pin(natsPID, 1); err != nil {
			return err
		}
	}
	return nil
}
