package mesh_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// gauges is what a Collector shows, by name and partition.
func gauges(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			shown[f.GetName()+" "+m.Label[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return shown
}

func TestLogSize(t *testing.T) {
	subjects := wire.Subjects{}.Partitioned(2)
	s, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Node: "test", Subjects: subjects}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	m := connectTo(t, mesh.Config{Server: s, Subjects: subjects})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, MaxBytes: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	receipts := publish(t, m, message(wire.Broadcast(), "one"), message(wire.Broadcast(), "two"))
	part := receipts[0].ID.Partition
	size := m.NewLogSize()
	if shown := gauges(t, size); len(shown) > 0 {
		t.Errorf("it shows %v before it has asked", shown)
	}

	size.Ask(t.Context())
	shown := gauges(t, size)
	want := map[string]float64{}
	for p := range 2 {
		for name, value := range map[string]float64{"messages": 0, "bytes": 0, "last_sequence": 0, "limit_bytes": 1 << 20, "limit_seconds": 3600, "oldest_timestamp_seconds": 0, "replicas": 1, "replicas_current": 1} {
			want[fmt.Sprint("vibemesh_log_", name, " ", p)] = value
		}
	}
	of := func(name string) string { return fmt.Sprint("vibemesh_log_", name, " ", part) }
	want[of("messages")], want[of("last_sequence")] = 2, 2
	if oldest := shown[of("oldest_timestamp_seconds")]; oldest < float64(before.UnixMilli())/1e3-1 || shown[of("bytes")] == 0 {
		t.Errorf("the oldest message is of %v, the log has %v bytes", oldest, shown[of("bytes")])
	}
	want[of("oldest_timestamp_seconds")], want[of("bytes")] = shown[of("oldest_timestamp_seconds")], shown[of("bytes")]
	if !maps.Equal(shown, want) {
		t.Errorf("it shows %v, want %v", shown, want)
	}

	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	size.Ask(ctx)
	if again := gauges(t, size); !maps.Equal(again, want) {
		t.Errorf("what was known is gone when NATS does not answer once: %v", again)
	}
	size.Later(2 * time.Minute)
	if old := gauges(t, size); len(old) > 0 {
		t.Errorf("what is two minutes old is still shown: %v", old)
	}
}

// TestScrapesDoNotWait: a log that does not answer is asked with a deadline, and a scrape
// shows what is known meanwhile.
func TestScrapesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		asked := 0
		done := make(chan error, 1)
		go func() {
			done <- mesh.AskEvery(ctx, func(ctx context.Context) {
				asked++
				<-ctx.Done() // NATS hangs
			})
		}()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if want := 3; asked != want {
			t.Errorf("asked %d times in %v, want %d: 10 s each, and 15 s between", asked, time.Since(start), want)
		}
	})
}

// TestMetricsFollowTheConventions holds what a mesh shows to those of Prometheus.
func TestMetricsFollowTheConventions(t *testing.T) {
	m := connected(t)
	size := m.NewLogSize()
	size.Ask(t.Context())
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m.Collectors()...)
	r.MustRegister(size.Collectors()...)
	r.MustRegister(m.NewSignals().Collectors()...)
	r.MustRegister(m.NewOperator().Collectors()...)
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
	bounded := []string{"connection", "error", "partition", "reason", "result"}
	for _, f := range families {
		for _, metric := range f.Metric {
			for _, l := range metric.Label {
				if !slices.Contains(bounded, l.GetName()) || strings.Contains(l.GetValue(), ".") {
					t.Errorf("%s has the label %s=%q, of which it is not known that it has few values", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
}
