package edge_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// gauge is the only value of a metric of the edge.
func (m *mesh) gauge(r *prometheus.Registry, name string) float64 {
	m.t.Helper()
	families, err := r.Gather()
	if err != nil {
		m.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetGauge().GetValue()
		}
	}
	m.t.Fatalf("the edge shows no %s", name)
	return 0
}

func (m *mesh) registry() *prometheus.Registry {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m.edge.Collectors()...)
	return r
}

// TestDrainIsShown: while sessions are asked to move, and by when that has to be over.
func TestDrainIsShown(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, DrainTimeout: 10 * time.Second, Threshold: 70, RingBytes: 1 << 20})
	r := m.registry()
	for name, want := range map[string]float64{
		"vibemesh_edge_sessions_limit": 70, "vibemesh_edge_ring_limit_bytes": 1 << 20,
		"vibemesh_edge_draining": 0, "vibemesh_edge_drain_deadline_timestamp_seconds": 0,
	} {
		if got := m.gauge(r, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	p := m.connect(client.Options{})
	began := time.Now()
	done := make(chan struct{})
	go func() {
		m.edge.Drain(m.ctx())
		close(done)
	}()
	if f, ok := p.next().(wire.Reconnect); !ok {
		t.Fatalf("got %+v, want to be asked to reconnect", f)
	}
	if m.gauge(r, "vibemesh_edge_draining") != 1 {
		t.Error("a drain is under way, and not shown")
	}
	deadline := time.UnixMilli(int64(m.gauge(r, "vibemesh_edge_drain_deadline_timestamp_seconds") * 1e3))
	if earliest := began.Add(10*time.Second - time.Millisecond); deadline.Before(earliest) || deadline.After(time.Now().Add(10*time.Second)) {
		t.Errorf("the drain has to be over at %v, want 10 s after it began", deadline)
	}
	p.Close(wire.CloseNormal)
	<-done
}

// TestMetricsFollowTheConventions holds what an edge shows to those of Prometheus.
func TestMetricsFollowTheConventions(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	p := m.connect(client.Options{Token: "somebody-in-particular", Cursor: "AQEA"})
	p.next() // a gap: the cursor is of another log
	m.publish(wire.Broadcast(), "hello")
	p.wants("hello")
	r := m.registry()
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, metric := range f.Metric {
			for _, l := range metric.Label {
				if l.GetValue() == "somebody-in-particular" {
					t.Errorf("%s shows a person in its label %s", f.GetName(), l.GetName())
				}
			}
		}
	}
}
