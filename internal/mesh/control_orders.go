package mesh

import (
	"context"
	"fmt"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// The orders that every edge obeys, as the last token of their subjects.
const (
	orderPresence   = "presence"
	orderDisconnect = "disconnect"
	orderStatus     = "status"
	// edgesComeAndGo is where an edge says that it is there, or is going.
	edgesComeAndGo = "edges"
)

// maxOrdered bounds how many people one order of presence names.
const maxOrdered = 100

// order is what is asked of the edges: of one person, several, a topic, or nothing for their status.
type order struct {
	User   string   `json:"user,omitempty"`
	Users  []string `json:"users,omitempty"`
	Topic  string   `json:"topic,omitempty"`
	Reason string   `json:"reason,omitempty"`
}

// report is an edge's answer.
type report struct {
	ID       string `json:"id"` // of the service, which says who has answered
	Node     string `json:"node"`
	Sessions *int   `json:"sessions,omitempty"`
	Members  *int   `json:"members,omitempty"`
	Counts   []int  `json:"counts,omitempty"` // in the order of the users
	Gone     bool   `json:"gone,omitempty"`

	Status *wire.EdgeStatus `json:"status,omitempty"`
}

// Controlled is an edge as operators see it.
type Controlled interface {
	// Count is how many sessions of each audience there are.
	Count(ctx context.Context, who []wire.Audience) ([]int, error)
	// Disconnect ends a user's sessions, and says how many they were.
	Disconnect(ctx context.Context, uid, reason string) (int, error)
	// Status is what the edge knows of itself.
	Status() wire.EdgeStatus
}

// check finds what is wrong with an order.
func (o *order) check(name string) error {
	given := 0
	for _, there := range []bool{o.User != "", o.Topic != "", len(o.Users) > 0} {
		if there {
			given++
		}
	}
	switch {
	case name == orderStatus && given > 0:
		return fmt.Errorf("status names nobody")
	case name == orderStatus:
		return nil
	case given != 1:
		return fmt.Errorf("an order names one of user, users and topic")
	case name == orderDisconnect && o.User == "":
		return fmt.Errorf("disconnect names one user")
	case len(o.Users) > maxOrdered:
		return fmt.Errorf("an order names at most %d users", maxOrdered)
	}
	return nil
}

func (c *Control) presence(ctx context.Context, o *order, r *report) error {
	var who []wire.Audience
	switch {
	case o.Topic != "":
		who = []wire.Audience{wire.Topic(o.Topic)}
	case o.User != "":
		who = []wire.Audience{wire.User(o.User)}
	default:
		who = users(o.Users)
	}
	counts, err := c.edge.Count(ctx, who)
	if err != nil {
		return err
	}
	switch {
	case o.Topic != "":
		r.Members = &counts[0]
	case o.User != "":
		r.Sessions = &counts[0]
	default:
		r.Counts = counts
	}
	return nil
}

func users(uids []string) (who []wire.Audience) {
	for _, uid := range uids {
		who = append(who, wire.User(uid))
	}
	return who
}

func (c *Control) disconnect(ctx context.Context, o *order, r *report) error {
	n, err := c.edge.Disconnect(ctx, o.User, o.Reason)
	r.Sessions = &n
	if err == nil {
		c.mesh.log.Info("a user was disconnected by an operator", "sessions", n)
	}
	return err
}

func (c *Control) status(_ context.Context, _ *order, r *report) error {
	s := c.edge.Status()
	s.Node, s.Version, s.Started = c.mesh.cfg.Node, c.version, c.started
	s.CaughtUp, s.Lag = c.mesh.CaughtUp(), c.mesh.Lag()
	r.Status = &s
	return nil
}
