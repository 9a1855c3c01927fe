package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// poll is how often something is asked that cannot say by itself when it changes.
const poll = 50 * time.Millisecond

// eventually asks again and again until the answer is nil, or ctx or the patience
// ends: then its error says what for.
func eventually(ctx context.Context, patience time.Duration, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if sleep(ctx, poll) != nil {
			return fmt.Errorf("not %s: %w", what, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

const patience = 90 * time.Second // for a process to be as it should

// healthy asks a node whether it serves and has caught up.
func (n *Node) healthy(ctx context.Context) error {
	status, body, err := get(ctx, "http://"+n.monitor+"/healthz")
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: %d %s", n.Name, status, body)
	}
	return nil
}

// ready asks an edge, or the API, whether it serves.
func (e *Edge) ready(ctx context.Context) error {
	status, body, err := get(ctx, "http://"+e.Ops+"/readyz")
	if err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: %d %s", e.Name, status, body)
	}
	return nil
}

func (c *Cluster) awaitNode(ctx context.Context, n *Node) error {
	return eventually(ctx, patience, "healthy", n.healthy)
}

func (c *Cluster) awaitEdge(ctx context.Context, e *Edge) error {
	return eventually(ctx, patience, "ready", e.ready)
}

func (c *Cluster) awaitNodes(ctx context.Context) error {
	for _, n := range c.Nodes {
		if err := c.awaitNode(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// awaitReady waits until every process is as it should be, and the log has all
// its replicas, which have all of it.
func (c *Cluster) awaitReady(ctx context.Context) error {
	if err := c.awaitNodes(ctx); err != nil {
		return err
	}
	for _, e := range c.served() {
		if err := c.awaitEdge(ctx, e); err != nil {
			return err
		}
	}
	return eventually(ctx, patience, "replicated", func(ctx context.Context) error {
		for partition := range c.build.Partitions {
			info, err := c.info(ctx, partition)
			if err != nil {
				return err
			}
			for _, r := range info.Cluster.Replicas {
				if !r.Current || r.Offline {
					return fmt.Errorf("the replica of %s on %s lags by %d messages", c.stream(partition), r.Name, r.Lag)
				}
			}
		}
		return nil
	})
}

// stream is the name of a partition of the log.
func (c *Cluster) stream(partition int) string {
	if c.build.Partitions == 1 {
		return "SV_LOG"
	}
	return fmt.Sprint("SV_LOG_", partition)
}

// info is what the leader of a partition says of it.
func (c *Cluster) info(ctx context.Context, partition int) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := c.js.Stream(ctx, c.stream(partition))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.stream(partition), err)
	}
	info := s.CachedInfo()
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return nil, fmt.Errorf("%s has no leader", c.stream(partition))
	}
	return info, nil
}

// leader finds the node that leads a partition of the log, and the others.
func (c *Cluster) leader(ctx context.Context, partition int) (leader *Node, followers []*Node, err error) {
	var info *jetstream.StreamInfo
	if err := eventually(ctx, patience, "led", func(ctx context.Context) (err error) {
		info, err = c.info(ctx, partition)
		return err
	}); err != nil {
		return nil, nil, err
	}
	for _, n := range c.Nodes {
		if n.Name == info.Cluster.Leader {
			leader = n
		} else {
			followers = append(followers, n)
		}
	}
	if leader == nil {
		return nil, nil, fmt.Errorf("%s is led by %q", c.stream(partition), info.Cluster.Leader)
	}
	return leader, followers, nil
}

// ask sends a request to JetStream's API.
func (c *Cluster) ask(ctx context.Context, subject string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	msg, err := c.admin.RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	var failed struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &failed); err != nil {
		return err
	}
	if failed.Error != nil {
		return failed.Error
	}
	return json.Unmarshal(msg.Data, answer)
}
