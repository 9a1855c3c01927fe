package chaos

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Faults are all that a full run takes.
var Faults = []*Fault{
	{Name: "edge-kill", About: "kill -9 of an edge, and restart", Short: true, hold: 3 * time.Second, run: edgeKill},
	{Name: "edges-kill", About: "kill -9 of all edges at once, and restart", hold: 3 * time.Second, run: edgesKill},
	{Name: "api-kill", About: "kill -9 of the API, and restart", hold: 3 * time.Second, run: apiKill},
	{Name: "leader-kill", About: "kill -9 of the node that leads the log, and restart", Short: true, hold: 6 * time.Second, run: leaderKill},
	{Name: "two-nodes-kill", About: "kill -9 of two nodes: no majority; and restart", hold: 10 * time.Second, run: twoNodesKill},
	{Name: "all-nodes-kill", About: "kill -9 of all nodes, and restart; sessions stay open, /readyz says why, POST answers 503", hold: 10 * time.Second, run: allNodesKill},
	{Name: "edge-stop", About: "SIGSTOP of an edge, and SIGCONT", hold: 10 * time.Second, run: edgeStop},
	{Name: "leader-stop", About: "SIGSTOP of the node that leads the log, and SIGCONT", Short: true, hold: 10 * time.Second, run: leaderStop},
	{Name: "follower-stop", About: "SIGSTOP of another node, and SIGCONT", hold: 10 * time.Second, run: followerStop},
	{Name: "api-stop", About: "SIGSTOP of the API, and SIGCONT", hold: 10 * time.Second, run: apiStop},
	{Name: "edges-rolling", About: "rolling restart of all edges (SIGTERM, drain)", Short: true, run: edgesRolling},
	{Name: "nodes-rolling", About: "rolling restart of all nodes (SIGTERM)", run: nodesRolling},
	{Name: "node-lame-duck", About: "lame duck mode of the node that leads the log (SIGUSR2), and restart", run: nodeLameDuck},
	{Name: "stepdowns", About: "ten changes of the log's leader in a row", hold: 10 * time.Second, run: stepdowns},
	{Name: "leader-partition", About: "the leading node is cut off from everybody", hold: 20 * time.Second, run: leaderPartition},
	{Name: "leader-island", About: "the leading node is cut off from the other nodes, and clients still reach it", hold: 20 * time.Second, run: leaderIsland},
	{Name: "follower-partition", About: "another node is cut off from everybody", hold: 20 * time.Second, run: followerPartition},
	{Name: "edge-partition", About: "an edge is cut off from all nodes", Short: true, hold: 20 * time.Second, run: edgePartition},
	{Name: "disk-full", About: "no space is left on the disk of a node; freed, and the node restarted", hold: 10 * time.Second, run: diskFull},
	{Name: "disk-slow", About: "each write of a node takes 20 ms, each sync 0.5 s", hold: 15 * time.Second, run: diskSlow},
	{Name: "clock-forward", About: "the leading node's clock jumps an hour ahead, and back", hold: 10 * time.Second, run: leaderClock(time.Hour)},
	{Name: "clock-back", About: "the leading node's clock jumps an hour back, and ahead", hold: 10 * time.Second, run: leaderClock(-time.Hour)},
	{Name: "edge-clock", About: "the clock of an edge jumps an hour ahead, then two back, then is right", hold: 10 * time.Second, run: edgeClock},
}

// Sabotage loses messages on purpose, to see that the suite notices. It is taken only
// when it is named.
var Sabotage = &Fault{
	Name: "sabotage", About: "messages are deleted from the log by hand while all edges are away: the suite has to find the loss",
	hold: 6 * time.Second, run: sabotage,
}

func (r *Run) edge(s Step) *Edge { return r.cluster.Edges[s.Target%len(r.cluster.Edges)] }

// partition is the one whose leader a step is about.
func (r *Run) partition(s Step) int { return s.Target % r.cluster.build.Partitions }

// leader is the leading node, and a follower that a step chooses.
func (r *Run) leader(ctx context.Context, s Step) (leader, follower *Node, err error) {
	leader, followers, err := r.cluster.leader(ctx, r.partition(s))
	if err != nil {
		return nil, nil, err
	}
	follower = followers[s.Target%len(followers)]
	r.note("leader %s, follower %s", leader.Name, follower.Name)
	return leader, follower, nil
}

// killed ends processes at once and starts them again after a time.
func killed(ctx context.Context, d time.Duration, processes ...*Process) error {
	for _, p := range processes {
		p.Kill()
	}
	return hold(ctx, d, func() error {
		var errs []error
		for _, p := range processes {
			errs = append(errs, p.Start())
		}
		return errors.Join(errs...)
	})
}

// stopped stops a process for a time.
func stopped(ctx context.Context, d time.Duration, p *Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return hold(ctx, d, func() error { return p.Signal(syscall.SIGCONT) })
}

func edgeKill(ctx context.Context, r *Run, s Step) error {
	e := r.edge(s)
	r.note("%s", e.Name)
	return killed(ctx, s.Hold, &e.Process)
}

func edgesKill(ctx context.Context, r *Run, s Step) error {
	var all []*Process
	for _, e := range r.cluster.Edges {
		all = append(all, &e.Process)
	}
	return killed(ctx, s.Hold, all...)
}

func apiKill(ctx context.Context, r *Run, s Step) error {
	return killed(ctx, s.Hold, &r.cluster.API.Process)
}

func leaderKill(ctx context.Context, r *Run, s Step) error {
	leader, _, err := r.leader(ctx, s)
	if err != nil {
		return err
	}
	return killed(ctx, s.Hold, &leader.Process)
}

func twoNodesKill(ctx context.Context, r *Run, s Step) error {
	leader, follower, err := r.leader(ctx, s)
	if err != nil {
		return err
	}
	return killed(ctx, s.Hold, &leader.Process, &follower.Process)
}

func edgeStop(ctx context.Context, r *Run, s Step) error {
	e := r.edge(s)
	r.note("%s", e.Name)
	return stopped(ctx, s.Hold, &e.Process)
}

func leaderStop(ctx context.Context, r *Run, s Step) error {
	leader, _, err := r.leader(ctx, s)
	if err != nil {
		return err
	}
	return stopped(ctx, s.Hold, &leader.Process)
}

func followerStop(ctx context.Context, r *Run, s Step) error {
	_, follower, err := r.leader(ctx, s)
	if err != nil {
		return err
	}
	return stopped(ctx, s.Hold, &follower.Process)
}

func apiStop(ctx context.Context, r *Run, s Step) error {
	return stopped(ctx, s.Hold, &r.cluster.API.Process)
}

func edgesRolling(ctx context.Context, r *Run, _ Step) error {
	for _, e := range r.cluster.Edges {
		if err := e.Terminate(syscall.SIGTERM, time.Minute); err != nil {
			return err
		}
		if err := e.Start(); err != nil {
			return err
		}
		if err := r.cluster.awaitEdge(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func nodesRolling(ctx context.Context, r *Run, _ Step) error {
	for _, n := range r.cluster.Nodes {
		if err := r.restart(ctx, n, syscall.SIGTERM); err != nil {
			return err
		}
	}
	return nil
}

// restart ends a node by a signal, starts it and waits until it has caught up.
func (r *Run) restart(ctx context.Context, n *Node, sig syscall.Signal) error {
	if err := n.Terminate(sig, 90*time.Second); err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	return r.cluster.awaitReady(ctx)
}

func nodeLameDuck(ctx context.Context, r *Run, s Step) error {
	leader, _, err := r.leader(ctx, s)
	if err != nil {
		return err
	}
	return r.restart(ctx, leader, syscall.SIGUSR2)
}

// stepdowns has the log's leader step down every tenth of the time.
func stepdowns(ctx context.Context, r *Run, s Step) error {
	const times = 10
	for range times {
		if _, _, err := r.cluster.leader(ctx, r.partition(s)); err != nil {
			return err
		}
		err := r.cluster.ask(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+r.cluster.stream(r.partition(s)), struct{}{}, &struct{}{})
		var refused *jetstream.APIError
		if errors.As(err, &refused) { // such as: it has just changed
			r.note("%s", refused.Description)
		} else if err != nil {
			return err
		}
		if err := sleep(ctx, s.Hold/times); err != nil {
			return err
		}
	}
	return nil
}

// cut cuts ways of the network for a time: those for which which is true.
func (r *Run) cut(ctx context.Context, d time.Duration, which func(way) bool) error {
	mend, err := r.cluster.network.cut(which)
	if err != nil {
		return err
	}
	return hold(ctx, d, mend)
}

func leaderPartition(ctx context.Context, r *Run, s Step) error {
	leader, _, err := r.leader(ctx, s)
	if err != nil {
		return err
	}
	return r.cut(ctx, s.Hold, func(w way) bool { return w.from == leader.Name || w.to == leader.Name })
}

func leaderIsland(ctx context.Context, r *Run, s Step) error {
	leader, _, err := r.leader(ctx, s)
	if err != nil {
		return err
	}
	return r.cut(ctx, s.Hold, func(w way) bool {
		return w.port == "route" && (w.from == leader.Name || w.to == leader.Name)
	})
}

func followerPartition(ctx context.Context, r *Run, s Step) error {
	_, follower, err := r.leader(ctx, s)
	if err != nil {
		return err
	}
	return r.cut(ctx, s.Hold, func(w way) bool { return w.from == follower.Name || w.to == follower.Name })
}

func edgePartition(ctx context.Context, r *Run, s Step) error {
	e := r.edge(s)
	r.note("%s", e.Name)
	return r.cut(ctx, s.Hold, func(w way) bool { return w.from == e.Name })
}

// diskFull fills the disk of the gated node. nats-server then gives JetStream up on that node
// until it is restarted, which is what an operator has to do.
func diskFull(ctx context.Context, r *Run, s Step) error {
	c := r.cluster
	if err := c.Gate.Usable(); err != nil {
		return skip("%v", err)
	}
	node := c.Nodes[nodes-1]
	r.note("%s", node.Name)
	c.Gate.set(gateFull)
	err := hold(ctx, s.Hold, func() error {
		c.Gate.set(gateOpen)
		return nil
	})
	if err != nil {
		return err
	}
	if err := node.healthy(ctx); err != nil {
		r.note("after the disk had space again: %v", err)
	}
	return r.restart(ctx, node, syscall.SIGTERM)
}

func diskSlow(ctx context.Context, r *Run, s Step) error {
	c := r.cluster
	if err := c.Gate.Usable(); err != nil {
		return skip("%v", err)
	}
	r.note("%s", c.Nodes[nodes-1].Name)
	c.Gate.set(gateSlow)
	return hold(ctx, s.Hold, func() error {
		c.Gate.set(gateOpen)
		return nil
	})
}

func leaderClock(by time.Duration) func(context.Context, *Run, Step) error {
	return func(ctx context.Context, r *Run, s Step) error {
		leader, _, err := r.leader(ctx, s)
		if err != nil {
			return err
		}
		if err := shiftClock(ctx, &leader.Process, by); err != nil {
			return err
		}
		return hold(ctx, s.Hold, func() error { return shiftClock(context.WithoutCancel(ctx), &leader.Process, 0) })
	}
}

func edgeClock(ctx context.Context, r *Run, s Step) error {
	e := r.edge(s)
	r.note("%s", e.Name)
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		if err := shiftClock(ctx, &e.Process, by); err != nil {
			return err
		}
		if err := sleep(ctx, s.Hold/2); err != nil {
			break
		}
	}
	err := shiftClock(context.WithoutCancel(ctx), &e.Process, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	return ctx.Err()
}

func sabotage(ctx context.Context, r *Run, s Step) error {
	deleted := make(chan error, 1)
	go func() { deleted <- r.deleteNewest(ctx, s) }()
	return errors.Join(edgesKill(ctx, r, s), <-deleted)
}

// deleteNewest deletes the newest messages of a partition in the midst of a step, once
// it can be taken for granted that the step has begun.
func (r *Run) deleteNewest(ctx context.Context, s Step) error {
	if err := sleep(ctx, s.Hold/2); err != nil {
		return err
	}
	info, err := r.cluster.info(ctx, r.partition(s))
	if err != nil {
		return err
	}
	const some = 20
	newest := info.State.LastSeq
	r.note("deleted %d to %d", newest-some+1, newest)
	for seq := newest - some + 1; seq <= newest; seq++ {
		request := map[string]any{"seq": seq, "no_erase": true}
		if err := r.cluster.ask(ctx, "$JS.API.STREAM.MSG.DELETE."+r.cluster.stream(r.partition(s)), request, &struct{}{}); err != nil {
			return err
		}
	}
	return nil
}
