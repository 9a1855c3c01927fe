//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// scenes are what can only be measured of an edge that meshbench starts itself:
// with settings of its own, or with nothing behind it.
type scenes struct {
	Bin            string   `help:"Start an edge and NATS out of this folder of programs, instead of --url." type:"existingdir" placeholder:"DIR"`
	EdgeEnv        []string `help:"A setting of that edge, such as WS_LOOPS=2; can be given again." sep:"none" placeholder:"NAME=VALUE"`
	Tokens         string   `help:"What its clients sign in with: dev, or rs256, which is signed and verified as Firebase's are." enum:"dev,rs256" default:"dev"`
	Deflate        bool     `help:"Measure another such edge as well, to whose clients it may send compressed."`
	Peak           bool     `help:"Connect all to another such edge at --peak-rate, and see how much memory that takes at most." negatable:""`
	PeakRate       float64  `help:"Of those, how many a second." default:"5000"`
	Slow           int      `help:"On another such edge, let N of the sockets stop reading for a while." placeholder:"N"`
	SlowBroadcasts int      `help:"Broadcasts meanwhile." default:"80"`
	SlowSize       int      `help:"Bytes of their payload." default:"16000"`
	SlowRing       string   `help:"WS_RING_BYTES of that edge, so that the slow ones are left behind." default:"512KiB"`
}

func (s scenes) check() error {
	switch {
	case s.Bin == "" && (s.Deflate || s.Peak || s.Slow > 0 || s.Tokens == tokensRS256 || len(s.EdgeEnv) > 0):
		return errors.New("--tokens=rs256, --edge-env, --deflate, --peak and --slow are for an edge that this starts: they need --bin")
	case s.Peak && s.PeakRate < 1:
		return errors.New("--peak-rate must be 1 or more")
	case s.Slow < 0 || s.Slow > 0 && (s.SlowBroadcasts < 1 || s.SlowSize < 1 || s.SlowSize > 60_000):
		return errors.New("--slow and --slow-broadcasts must be more than 0, and --slow-size at most 60000")
	}
	for _, e := range s.EdgeEnv {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("--edge-env=%s must look like WS_LOOPS=2", e)
		}
	}
	if s.Bin == "" {
		return nil
	}
	for _, name := range []string{"vibemesh", "nats-server"} {
		if _, err := os.Stat(filepath.Join(s.Bin, name)); err != nil {
			return fmt.Errorf("--bin: %w; scripts/bench-edge builds both and runs this", err)
		}
	}
	return nil
}

const tokensRS256 = "rs256"

// measureOwn measures edges that it starts, each with NATS beside it: one by the
// plan, and another for each scene.
func (c *runCmd) measureOwn(ctx context.Context) (results []measure, err error) {
	o := owner{cmd: c}
	if o.tokens, err = signIn(c.Tokens, c.Sockets); err != nil { // before pinning: signing takes all cores
		return nil, err
	}
	defer o.tokens.stop()
	if err := pinClient(c.Pin, 0); err != nil {
		return nil, err
	}
	m, err := o.measure(ctx, "edge", false)
	results = append(results, m)
	if err == nil && c.Deflate {
		m, err = o.measure(ctx, "edge-deflate", true)
		results = append(results, m)
	}
	if err == nil && c.Peak {
		err = o.peak(ctx, &results[0])
	}
	if err == nil && c.Slow > 0 {
		err = o.slow(ctx, &results[0])
	}
	return results, err
}

// owner starts edges for a command.
type owner struct {
	cmd    *runCmd
	tokens *credentials
}

// credentials are what clients sign in with, and what an edge needs to believe it.
type credentials struct {
	file   string  // of tokens; empty: development tokens
	google *google // nil: none is needed
}

// signIn makes credentials for n users: development tokens, or signed ones, and the
// key to these where edges look for it.
func signIn(how string, n int) (*credentials, error) {
	if how != tokensRS256 {
		return &credentials{}, nil
	}
	f, err := signedTokens(n, note)
	if err != nil {
		return nil, err
	}
	g, err := startGoogle(f)
	return &credentials{file: f.path, google: g}, err
}

func (c *credentials) stop() {
	if c.google != nil {
		c.google.stop()
	}
}

// env is the settings of an edge.
func (c *credentials) env() []string {
	if c.google == nil {
		return nil
	}
	return c.google.env
}

// start starts an edge for the plan p.
func (o *owner) start(ctx context.Context, p plan, env ...string) (b *bench, stop func(), err error) {
	m, err := startMesh(ctx, o.cmd.Bin, o.cmd.Pin, slices.Concat(o.tokens.env(), env, o.cmd.EdgeEnv)...)
	if err != nil {
		return nil, nil, err
	}
	if b, err = m.bench(p); err != nil {
		m.stop()
		return nil, nil, err
	}
	b.tokens = o.tokens.file
	return b, func() { b.pub.close(); m.stop() }, nil
}

// measure puts an edge through the plan.
func (o *owner) measure(ctx context.Context, name string, deflate bool) (measure, error) {
	b, stop, err := o.start(ctx, o.cmd.plan)
	if err != nil {
		return measure{Name: name}, err
	}
	defer stop()
	b.name, b.deflate, b.extras = name, deflate, o.cmd.extras
	return b.run(ctx)
}

// peak measures the storm of connects.
func (o *owner) peak(ctx context.Context, m *measure) error {
	p := o.cmd.plan
	p.ConnectRate = o.cmd.PeakRate
	b, stop, err := o.start(ctx, p)
	if err != nil {
		return err
	}
	defer stop()
	b.name = "edge, storm of connects"
	m.Peak, err = b.connectStorm(ctx)
	return m.also(b.finish(ctx, err))
}

// slow measures sessions that do not read.
func (o *owner) slow(ctx context.Context, m *measure) error {
	p := o.cmd.plan
	p.Size = o.cmd.SlowSize
	// Who does not read cannot answer a ping either, and would soon count as gone.
	b, stop, err := o.start(ctx, p, "WS_RING_BYTES="+o.cmd.SlowRing, "WS_PING_INTERVAL=10m")
	if err != nil {
		return err
	}
	defer stop()
	b.name, b.slow = "edge, slow sessions", min(o.cmd.Slow, p.Sockets)
	m.Slow, err = b.slowPhase(ctx, o.cmd.SlowBroadcasts)
	return m.also(b.finish(ctx, err))
}

// also takes over what went wrong in a scene.
func (m *measure) also(scene measure, err error) error {
	for what, n := range scene.Faults {
		if m.Faults == nil {
			m.Faults = map[string]int64{}
		}
		m.Faults[scene.Name+": "+what] += n
	}
	return err
}

// counter reads one series of an edge's metrics; 0 if it is not there yet.
func counter(ctx context.Context, ops, series string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ops+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("reading the edge's metrics: %w", err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), series+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return int64(n), err
		}
	}
	return 0, lines.Err()
}
