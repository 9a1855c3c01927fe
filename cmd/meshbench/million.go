//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// millionCmd holds very many sockets and looks at two things only: what memory
// they take, and that messages reach each of them. It measures no time, so that it
// may run where time means nothing.
type millionCmd struct {
	Sockets      int           `help:"Signed-in sockets to hold, each of another user." default:"1000000"`
	Edges        int           `help:"Edges to spread them over evenly, a process each." default:"1"`
	Broadcasts   int           `help:"Messages to all, each when every socket has the last." default:"1"`
	UserMessages int           `help:"Messages to one user each, chosen at random." default:"10000"`
	Size         int           `help:"Bytes of a toast's payload." default:"256"`
	Settle       time.Duration `help:"Wait between the last connect and reading the memory." default:"10s"`
	Patience     float64       `help:"Multiply every limit of time, for a machine that is slow." default:"1"`
	Bin          string        `help:"Folder of vibemesh and nats-server; empty: this program's." placeholder:"DIR"`
}

// pingInterval is the longest that an edge allows. A machine that holds so many
// sockets beside all of their clients should not be busy with pings alone.
const pingInterval = 10 * time.Minute

// Files that a process of many sockets has open beside them, with some to spare.
const otherFiles = 200

func (c *millionCmd) check() error {
	switch {
	case c.Edges < 1 || c.Sockets < c.Edges || c.Sockets > 4_000_000:
		return errors.New("--sockets must be 1 an edge to 4000000, --edges 1 or more")
	case c.Broadcasts < 0 || c.UserMessages < 0:
		return errors.New("--broadcasts and --user-messages must not be negative")
	case c.Size > 60_000:
		return errors.New("--size must be at most 60000, so that the envelope stays below its limit")
	case c.Patience <= 0:
		return errors.New("--patience must be more than 0")
	}
	return nil
}

// perEdge is how many sockets an edge holds, at most.
func (c *millionCmd) perEdge() int { return (c.Sockets + c.Edges - 1) / c.Edges }

// enoughFiles looks whether an edge, and the client process that holds the other
// ends, may each open as many files as that takes.
func enoughFiles(perEdge, files int) error {
	if files -= otherFiles; perEdge > files {
		return fmt.Errorf("a process may hold %d sockets here, fewer than an edge's %d: use more --edges, or a machine that allows more files", files, perEdge)
	}
	return nil
}

// Run starts everything, holds the sockets, sends the messages, and prints what
// memory it took.
func (c *millionCmd) Run(ctx context.Context) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	if err := enoughFiles(c.perEdge(), int(min(files.Cur, math.MaxInt32))); err != nil {
		return err
	}
	if c.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		c.Bin = filepath.Dir(self)
	}
	note("%s; %d sockets, %d edges with a client process each\n", machine(), c.Sockets, c.Edges)
	edges, err := startEdges(ctx, c.Bin, c.Edges, time.Duration(c.Patience*float64(startWait)))
	defer stopEdges(edges)
	if err != nil {
		return err
	}
	pub, err := newNATSPublisher(edges[0].url, "sv")
	if err != nil {
		return err
	}
	defer pub.close()
	h := crowd{millionCmd: c, pub: pub, clock: newClock(), spare: 30 * time.Second, note: note}
	for _, e := range edges {
		h.addrs, h.pids = append(h.addrs, e.addr), append(h.pids, e.edge.Process.Pid)
	}
	err = h.run(ctx)
	return errors.Join(err, h.print(os.Stdout))
}

// startEdges starts a NATS server and n edges beside it. Those that it has started
// are given also with an error.
func startEdges(ctx context.Context, bin string, n int, wait time.Duration) (edges []*mesh, err error) {
	for i := range n {
		m := &mesh{}
		edges = append(edges, m)
		if i > 0 {
			m.url = edges[0].url
		}
		// A single one has a CPU, so that it does not change places with its client.
		if err := m.join(ctx, bin, n == 1, wait); err != nil {
			return edges, err
		}
	}
	return edges, nil
}

// join starts an edge of the mesh whose NATS is at m.url, and NATS if that is empty.
func (m *mesh) join(ctx context.Context, bin string, pinned bool, wait time.Duration) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("not ready after %v", wait))
	defer cancel()
	if m.dir, err = os.MkdirTemp("", "meshbench-"); err != nil {
		return err
	}
	vibemesh := filepath.Join(bin, "vibemesh")
	if m.url == "" {
		if err := m.startNATS(ctx, filepath.Join(bin, "nats-server")); err != nil {
			return fmt.Errorf("nats-server: %w", err)
		}
		if err := m.provision(ctx, vibemesh); err != nil {
			return err
		}
	}
	if err := m.startEdge(ctx, vibemesh, pinned, "WS_PING_INTERVAL="+pingInterval.String()); err != nil {
		return fmt.Errorf("vibemesh edge: %w", err)
	}
	return nil
}

// stopEdges stops all, and NATS last.
func stopEdges(edges []*mesh) {
	for _, m := range slices.Backward(edges) {
		m.stop()
	}
}
