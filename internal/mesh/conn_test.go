package mesh

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// gate dials until it is shut. Then each dial waits until the end of the test, as one does
// for some seconds when the server hangs.
type gate struct {
	shut, end chan struct{}
	dials     chan struct{} // one for each that waits
}

func (g *gate) Dial(network, address string) (net.Conn, error) {
	select {
	case <-g.shut:
		g.dials <- struct{}{}
		<-g.end
		return nil, net.ErrClosed
	default:
		return net.DialTimeout(network, address, 5*time.Second)
	}
}

// TestServerThatHangs: a scrape, a probe and a request that has to be refused do not wait
// for a dial that hangs, as they would if they asked the nats.Conn.
func TestServerThatHangs(t *testing.T) {
	srv, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Node: "test"}, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	g := &gate{shut: make(chan struct{}), end: make(chan struct{}), dials: make(chan struct{}, 100)}
	m, err := Connect(t.Context(), Config{URLs: []string{srv.URL()}, Node: "test", options: []nats.Option{nats.SetCustomDialer(g)}}, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	defer close(g.end)
	if _, err := m.Provision(t.Context(), LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := m.Connected(); err != nil {
		t.Fatal(err)
	}
	close(g.shut)
	srv.Stop()
	for range len(m.links()) + readLanes {
		<-g.dials
	}

	answered := make(chan struct{})
	go func() {
		defer close(answered)
		if err := m.Connected(); !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("connected: %v", err)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(m.Collectors()...)
		if _, err := registry.Gather(); err != nil {
			t.Error(err)
		}
		if _, err := m.Publish(t.Context(), []wire.Message{{Audience: wire.Broadcast()}}); !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("publishing: %v", err)
		}
		if _, _, err := m.reader.one(t.Context(), m.parts[0], request{Seq: 1, NextBy: "sv.ws.>"}); !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("reading: %v", err)
		}
		if _, err := m.Cancel(t.Context(), wire.EventID{Position: wire.Position{Seq: 1}}); !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("cancelling: %v", err)
		}
	}()
	select {
	case <-answered:
	case <-time.After(20 * time.Second):
		t.Fatal("a question waits for the dial")
	}
}

// TestLaneIsLost: that reads are connected says so of all connections that read, as
// readiness does.
func TestLaneIsLost(t *testing.T) {
	srv, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Node: "test"}, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	m, err := Connect(t.Context(), Config{Server: srv, Node: "test"}, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	for range 2 {
		connected := m.Connected() == nil
		if shown := testutil.ToFloat64(connectedReads{m}) == 1; shown != connected {
			t.Errorf("the metric says that reads are connected: %v; readiness says %v", shown, connected)
		}
		m.reader.lanes[readLanes-1].nc.Close()
	}
}

// connectedReads is vibemesh_nats_connected of the role read alone.
type connectedReads struct{ m *Mesh }

func (c connectedReads) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c connectedReads) Collect(ch chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric, 1000)
	collector(c).Collect(all)
	close(all)
	for metric := range all {
		var text dto.Metric
		if metric.Desc() == descConnected && metric.Write(&text) == nil && text.Label[0].GetValue() == "read" {
			ch <- metric
		}
	}
}
