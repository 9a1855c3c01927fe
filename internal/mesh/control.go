package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"
)

// serviceName is what the edges are called by `nats micro`.
const serviceName = "vibemesh-edge"

const (
	orderTimeout = 400 * time.Millisecond // for all loops of an edge; less than gatherTimeout
	maxOrders    = 64                     // that an edge works at, at the same time
)

// Control answers orders for an edge, as a service of the NATS micro protocol.
type Control struct {
	mesh    *Mesh
	version string
	started time.Time
	edge    Controlled
	slots   chan struct{} // one for each order under way
	orders  *prometheus.CounterVec
}

// NewControl makes the service of an edge.
func (m *Mesh) NewControl(version string, edge Controlled) *Control {
	c := &Control{
		mesh: m, version: version, started: time.Now().UTC().Truncate(time.Second), edge: edge, slots: make(chan struct{}, maxOrders),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vibemesh_control_orders_total", Help: "Orders that this edge was given, by kind and result.",
		}, []string{"order", "result"}),
	}
	for _, name := range []string{orderPresence, orderDisconnect, orderStatus} {
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
	svc, err := micro.AddService(c.mesh.signal.nc.Conn, micro.Config{
		Name: serviceName, Version: version, QueueGroupDisabled: true, // every edge answers
		Description: "An edge of Vibemesh: who is connected here.",
		Metadata:    map[string]string{"node": c.mesh.cfg.Node, "build": c.version},
	})
	if err != nil {
		return fmt.Errorf("the service %s: %w", serviceName, err)
	}
	self := report{ID: svc.Info().ID, Node: c.mesh.cfg.Node}
	for name, obey := range map[string]func(context.Context, *order, *report) error{
		orderPresence: c.presence, orderDisconnect: c.disconnect, orderStatus: c.status,
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
		data := req.Data()
		if name == orderStatus && len(data) == 0 {
			data = []byte("{}") // it has nothing to say
		}
		if err := json.Unmarshal(data, &o); err != nil {
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
		c.answer(name, nil, r, req)
	}()
}

func (c *Control) refuse(name, result, code, text string, r report, req micro.Request) {
	c.orders.WithLabelValues(name, result).Inc()
	c.answer(name, nats.Header{micro.ErrorCodeHeader: {code}, micro.ErrorHeader: {text}}, r, req)
}

// answer says what became of an order. The request itself would note errors where the
// service reads them, which has gone on meanwhile. Who wants no answer gets none.
func (c *Control) answer(name string, header nats.Header, r report, req micro.Request) {
	if req.Reply() == "" {
		return
	}
	data, err := json.Marshal(r)
	if err == nil {
		err = c.mesh.signal.nc.PublishMsg(&nats.Msg{Subject: req.Reply(), Header: header, Data: data})
	}
	if err != nil {
		c.mesh.log.Debug("answering an order", "order", name, "err", err)
	}
}
