package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// gatherTimeout is how long the answers of the edges are waited for.
const gatherTimeout = 500 * time.Millisecond

// Operator asks and orders the edges.
type Operator struct {
	mesh  *Mesh
	edges edges
}

// NewOperator makes an Operator. Until Run has looked for the edges, no answer of it is
// complete.
func (m *Mesh) NewOperator() *Operator {
	return &Operator{mesh: m, edges: edges{seen: map[string]sighting{}}}
}

// Presence is how many sessions each of some users has, by node: at most 100 users.
// complete says that every edge has answered.
func (o *Operator) Presence(ctx context.Context, uids []string) (sessions []map[string]int, complete bool, err error) {
	reports, complete, err := o.gather(ctx, orderPresence, order{Users: uids})
	sessions = make([]map[string]int, len(uids))
	for i := range uids {
		sessions[i] = map[string]int{}
		for _, r := range reports {
			if i < len(r.Counts) && r.Counts[i] > 0 {
				sessions[i][r.Node] += r.Counts[i]
			}
		}
	}
	return sessions, complete, err
}

// Members is how many sessions a topic has.
func (o *Operator) Members(ctx context.Context, topic string) (members int, complete bool, err error) {
	reports, complete, err := o.gather(ctx, orderPresence, order{Topic: topic})
	for _, r := range reports {
		if r.Members != nil {
			members += *r.Members
		}
	}
	return members, complete, err
}

// Disconnect ends a user's sessions everywhere, and says how many they were, by node.
func (o *Operator) Disconnect(ctx context.Context, uid, reason string) (sessions map[string]int, complete bool, err error) {
	reports, complete, err := o.gather(ctx, orderDisconnect, order{User: uid, Reason: reason})
	sessions = map[string]int{}
	for _, r := range reports {
		if r.Sessions != nil && *r.Sessions > 0 {
			sessions[r.Node] += *r.Sessions
		}
	}
	return sessions, complete, err
}

// gather orders every edge and collects what they report, until all that are known have
// reported or the time is over.
func (o *Operator) gather(ctx context.Context, name string, what order) (reports []report, complete bool, err error) {
	text, err := json.Marshal(what)
	if err != nil {
		return nil, false, err
	}
	nc := o.mesh.signal.nc
	if !nc.IsConnected() {
		return nil, false, fmt.Errorf("%w: NATS is not connected", wire.ErrUnavailable)
	}
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, false, unavailable(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is closed
	missing, known := o.edges.now()
	if err := nc.PublishRequest(o.mesh.cfg.Subjects.Control(name), inbox, text); err != nil {
		return nil, false, unavailable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, gatherTimeout)
	defer cancel()
	failed := false
	for !known || len(missing) > 0 {
		msg, err := sub.NextMsgWithContext(ctx)
		if errors.Is(err, nats.ErrNoResponders) { // nobody listens
			return reports, known && len(missing) == 0, nil
		}
		if err != nil { // the time is over
			return reports, false, overTime(err)
		}
		var r report
		if json.Unmarshal(msg.Data, &r) != nil || r.ID == "" {
			continue
		}
		delete(missing, r.ID)
		o.edges.sighted(r.ID, r.Node)
		if msg.Header.Get(micro.ErrorCodeHeader) != "" {
			failed = true
			continue
		}
		reports = append(reports, r)
	}
	return reports, !failed, nil
}

// overTime is nil for the end of waiting, which is no failure.
func overTime(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) {
		return nil
	}
	return unavailable(err)
}

var descEdges = prometheus.NewDesc("vibemesh_control_edges", "Edges that this process knows of.", nil, nil)

// Collectors are the metrics, to be registered once.
func (o *Operator) Collectors() []prometheus.Collector { return []prometheus.Collector{o} }

// Describe implements prometheus.Collector.
func (o *Operator) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(o, ch) }

// Collect implements prometheus.Collector.
func (o *Operator) Collect(ch chan<- prometheus.Metric) {
	ids, _ := o.edges.now()
	ch <- prometheus.MustNewConstMetric(descEdges, prometheus.GaugeValue, float64(len(ids)))
}
