package mesh

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// collectFaults makes a Collector of faults alone.
type collectFaults struct{ *faults }

func (c collectFaults) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }
func (c collectFaults) Collect(ch chan<- prometheus.Metric) { c.collect(ch) }

// TestFaultsAreCounted: by what they mean, however they are wrapped, and each kind of each
// connection is there from the start, so that its first increase is one.
func TestFaultsAreCounted(t *testing.T) {
	var f faults
	if n := testutil.CollectAndCount(collectFaults{&f}); n != len(roles)*len(faultKinds) {
		t.Errorf("%d series before anything was reported, want %d", n, len(roles)*len(faultKinds))
	}
	f.count("tail", nats.ErrSlowConsumer)
	f.count("tail", fmt.Errorf("%w on sv.ws.>", nats.ErrSlowConsumer))
	f.count("read", fmt.Errorf("%w: for publish to x", nats.ErrPermissionViolation))
	f.count("signal", nats.ErrAuthExpired)
	f.count("publish", errors.New("something new"))
	f.count("nobody", nats.ErrSlowConsumer)
	var want strings.Builder
	want.WriteString("# HELP vibemesh_nats_errors_total Errors that a connection to NATS reported by itself, by kind.\n# TYPE vibemesh_nats_errors_total counter\n")
	counts := map[string]int{"tail slow_consumer": 2, "read permissions": 1, "signal authorization": 1, "publish other": 1}
	for _, role := range roles {
		for _, kind := range faultKinds {
			fmt.Fprintf(&want, "vibemesh_nats_errors_total{connection=%q,error=%q} %d\n", role, kind, counts[role+" "+kind])
		}
	}
	if err := testutil.CollectAndCompare(collectFaults{&f}, strings.NewReader(want.String())); err != nil {
		t.Error(err)
	}
}
