package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
)

const (
	gateTimeout = 2 * time.Second
	gateMemory  = 100_000 // answers

	allowedFor     = time.Minute // unless the service says otherwise
	refusedFor     = 10 * time.Second
	longestAllowed = time.Hour
	longestRefused = time.Minute
)

// TopicGate asks a service of the backend who may join which topic, and remembers what
// it answered.
type TopicGate struct {
	mesh   *Mesh
	known  gateCache
	flight singleflight.Group
	asked  *prometheus.CounterVec
}

// NewTopicGate makes a gate in front of the service on wire.Subjects.TopicGate.
func (m *Mesh) NewTopicGate() *TopicGate {
	g := &TopicGate{mesh: m, known: newGateCache(gateMemory), asked: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vibemesh_topic_gate_total", Help: "Whether a person may join a topic, asked of the service, by its answer.",
	}, []string{"result"})}
	for _, result := range []string{"allowed", "refused", "unavailable"} {
		g.asked.WithLabelValues(result)
	}
	return g
}

// Collectors are the metrics, to be registered once.
func (g *TopicGate) Collectors() []prometheus.Collector { return []prometheus.Collector{g.asked} }

// Known is what the service has answered lately. It does not wait.
func (g *TopicGate) Known(uid, topic string) (allow, known bool) {
	return g.known.get(gateKey{uid, topic}, time.Now())
}

// gateQuestion and gateAnswer are what is said to the service. TTL is in seconds; 0: the
// answer is not to be remembered.
type gateQuestion struct {
	UID   string `json:"uid"`
	Topic string `json:"topic"`
}

type gateAnswer struct {
	Allow *bool    `json:"allow"`
	TTL   *float64 `json:"ttl"`
}

// Ask asks the service. Its error wraps wire.ErrUnavailable: there is no answer, or one
// that makes no sense. Who asks the same at the same time shares the answer.
func (g *TopicGate) Ask(ctx context.Context, uid, topic string) (allow bool, err error) {
	key := gateKey{uid, topic}
	if allow, known := g.known.get(key, time.Now()); known {
		return allow, nil
	}
	// Both parts with their length: no two pairs make one text.
	answered := g.flight.DoChan(fmt.Sprintf("%d:%s%s", len(uid), uid, topic), func() (any, error) {
		return g.ask(key)
	})
	select {
	case r := <-answered:
		allow, _ = r.Val.(bool)
		return allow, r.Err
	case <-ctx.Done():
		return false, unavailable(ctx.Err())
	}
}

func (g *TopicGate) ask(key gateKey) (bool, error) {
	// The one who asked before may have had its answer since Ask looked.
	if allow, known := g.known.get(key, time.Now()); known {
		return allow, nil
	}
	a, err := g.request(key)
	switch {
	case err != nil:
		g.asked.WithLabelValues("unavailable").Inc()
		g.mesh.log.Debug("asking who may join a topic", "err", err)
		return false, unavailable(err)
	case *a.Allow:
		g.asked.WithLabelValues("allowed").Inc()
	default:
		g.asked.WithLabelValues("refused").Inc()
	}
	now := time.Now()
	g.known.put(key, *a.Allow, now, now.Add(a.lasts()))
	return *a.Allow, nil
}

func (g *TopicGate) request(key gateKey) (a gateAnswer, err error) {
	text, err := json.Marshal(gateQuestion{key.uid, key.topic})
	if err != nil {
		return a, err
	}
	msg, err := g.mesh.signal.nc.Request(g.mesh.cfg.Subjects.TopicGate(), text, gateTimeout)
	if errors.Is(err, nats.ErrNoResponders) {
		return a, fmt.Errorf("no service answers on %s: %w", g.mesh.cfg.Subjects.TopicGate(), err)
	}
	if err != nil {
		return a, err
	}
	if json.Unmarshal(msg.Data, &a) != nil || a.Allow == nil {
		return a, fmt.Errorf(`the service on %s answered %.100q, not {"allow":true}`, g.mesh.cfg.Subjects.TopicGate(), msg.Data)
	}
	return a, nil
}

// lasts is how long an answer counts, as the service says, within limits.
func (a *gateAnswer) lasts() time.Duration {
	usual, longest := refusedFor, longestRefused
	if *a.Allow {
		usual, longest = allowedFor, longestAllowed
	}
	if a.TTL == nil {
		return usual
	}
	return time.Duration(min(max(*a.TTL, 0), longest.Seconds()) * float64(time.Second))
}
