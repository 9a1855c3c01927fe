package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// serviceName is what the edges are called by `nats micro`.
const serviceName = "vibemesh-edge"

// The orders that every edge obeys, as the last token of their subjects.
const (
	orderPresence   = "presence"
	orderDisconnect = "disconnect"
	// edgesComeAndGo is where an edge says that it is there, or is going.
	edgesComeAndGo = "edges"
)

// maxOrdered bounds how many people one order of presence names.
const maxOrdered = 100

const (
	orderTimeout = 400 * time.Millisecond // for all loops of an edge; less than gatherTimeout
	maxOrders    = 64                     // that an edge works at, at the same time
)

// Controlled is an edge as operators see it.
type Controlled interface {
	// Count is how many sessions of each audience there are.
	Count(ctx context.Context, who []wire.Audience) ([]int, error)
	// Disconnect ends a user's sessions, and says how many they were.
	Disconnect(ctx context.Context, uid, reason string) (int, error)
}

// order is what is asked of the edges: of one person, several, or a topic.
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
}

// Control answers orders for an edge, as a service of the NATS micro protocol.
type Control struct {
	mesh    *Mesh
	version string
	edge    Controlled
	slots   chan struct{} // one for each order under way
	orders  *prometheus.CounterVec
}

// NewControl makes the service of an edge.
func (m *Mesh) NewControl(version string, edge Controlled) *Control {
	c := &Control{
		mesh: m, version: version, edge: edge, slots: make(chan struct{}, maxOrders),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vibemesh_control_orders_total", Help: "Orders that this edge was given, by kind and result.",
		}, []string{"order", "result"}),
	}
	for _, name := range []string{orderPresence, orderDisconnect} {
		for _, result := range []string{"ok", "malformed", "busy", "timeout"} {
			c.orders.WithLabelValues(name, result)
		}
	}
	return c
}

// Collectors are the metrics, to be registered once.
func (c *Control) Collectors() []prometheus.Collector { return []prometheus.Collector{c.orders} }

var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// Run answers until ctx ends.
func (c *Control) Run(ctx context.Context) error {
	version := c.version
	if !semver.MatchString(version) {
		version = "0.0.0"
	}
	svc, err := micro.AddService(c.mesh.signal.nc, micro.Config{
		Name: serviceName, Version: version, QueueGroupDisabled: true, // every edge answers
		Description: "An edge of Vibemesh: who is connected here.",
		Metadata:    map[string]string{"node": c.mesh.cfg.Node, "build": c.version},
	})
	if err != nil {
		return fmt.Errorf("the service %s: %w", serviceName, err)
	}
	self := report{ID: svc.Info().ID, Node: c.mesh.cfg.Node}
	for name, obey := range map[string]func(context.Context, *order, *report) error{
		orderPresence: c.presence, orderDisconnect: c.disconnect,
	} {
		err := svc.AddEndpoint(name, micro.HandlerFunc(func(req micro.Request) { c.handle(ctx, name, self, req, obey) }),
			micro.WithEndpointSubject(c.mesh.cfg.Subjects.Control(name)))
		if err != nil {
			return fmt.Errorf("the endpoint %s: %w", name, err)
		}
	}
	c.announce(self)
	<-ctx.Done()
	gone := self
	gone.Gone = true
	c.announce(gone)
	err = svc.Stop()
	for range maxOrders { // what is under way ends, and nothing begins any more
		c.slots <- struct{}{}
	}
	return err
}

// announce tells the APIs of an edge, so that they need not find out by themselves.
func (c *Control) announce(r report) {
	text, err := json.Marshal(r)
	if err == nil {
		err = c.mesh.signal.nc.Publish(c.mesh.cfg.Subjects.Control(edgesComeAndGo), text)
	}
	if err != nil {
		c.mesh.log.Debug("announcing this edge", "err", err)
	}
}

// handle answers one request, in a goroutine, since the loops may be busy.
func (c *Control) handle(ctx context.Context, name string, r report, req micro.Request, obey func(context.Context, *order, *report) error) {
	select {
	case c.slots <- struct{}{}:
	default:
		c.refuse(name, "busy", "503", "too many orders at once", r, req)
		return
	}
	go func() {
		defer func() { <-c.slots }()
		var o order
		if err := json.Unmarshal(req.Data(), &o); err != nil {
			c.refuse(name, "malformed", "400", "the order is not JSON such as {\"user\":\"ada\"}", r, req)
			return
		}
		if err := o.check(name); err != nil {
			c.refuse(name, "malformed", "400", err.Error(), r, req)
			return
		}
		ctx, cancel := context.WithTimeout(ctx, orderTimeout)
		defer cancel()
		if err := obey(ctx, &o, &r); err != nil {
			c.refuse(name, "timeout", "503", "the event loops did not answer in time", r, req)
			return
		}
		c.orders.WithLabelValues(name, "ok").Inc()
		if err := req.RespondJSON(r); err != nil {
			c.mesh.log.Debug("answering an order", "order", name, "err", err)
		}
	}()
}

func (c *Control) refuse(name, result, code, text string, r report, req micro.Request) {
	c.orders.WithLabelValues(name, result).Inc()
	data, err := json.Marshal(r)
	if err == nil {
		err = req.Error(code, text, data)
	}
	if err != nil {
		c.mesh.log.Debug("refusing an order", "order", name, "err", err)
	}
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
