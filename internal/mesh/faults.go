package mesh

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// roles name the connections, in metrics and logs. Reading has several connections of
// one name.
var roles = [...]string{"tail", "publish", "read", "signal"}

// faultKinds are what a connection reports by itself, not in answer to a call.
var faultKinds = [...]string{"slow_consumer", "permissions", "authorization", "other"}

const (
	faultSlow = iota
	faultPermissions
	faultAuthorization
	faultOther
)

// faults counts what connections report, by connection and kind.
type faults struct {
	of [len(roles)][len(faultKinds)]atomic.Uint64
}

var descFaults = prometheus.NewDesc("vibemesh_nats_errors_total", "Errors that a connection to NATS reported by itself, by kind.", []string{"connection", "error"}, nil)

func (f *faults) count(role string, err error) {
	if i := slices.Index(roles[:], role); i >= 0 {
		f.of[i][faultKind(err)].Add(1)
	}
}

func faultKind(err error) int {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		return faultSlow
	case errors.Is(err, nats.ErrPermissionViolation):
		return faultPermissions
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		return faultAuthorization
	default:
		return faultOther
	}
}

func (f *faults) collect(ch chan<- prometheus.Metric) {
	for i, role := range roles {
		for kind, name := range faultKinds {
			ch <- prometheus.MustNewConstMetric(descFaults, prometheus.CounterValue, float64(f.of[i][kind].Load()), role, name)
		}
	}
}
