package mesh

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

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
	of   [len(roles)][len(faultKinds)]atomic.Uint64
	told [len(roles)][len(faultKinds)]atomic.Int64 // when that was last logged, Unix nanoseconds
}

// faultLine is how often a line tells that NATS does not let a connection in, which is
// asked again several times a second, or that messages were dropped, which comes as often
// as a flood of signals makes it.
const faultLine = 10 * time.Second

var descFaults = prometheus.NewDesc("vibemesh_nats_errors_total", "Errors that a connection to NATS reported by itself, by kind.", []string{"connection", "error"}, nil)

// count reports whether the error is to be logged.
func (f *faults) count(role string, err error) bool {
	i, kind := slices.Index(roles[:], role), faultKind(err)
	if i < 0 {
		return true
	}
	f.of[i][kind].Add(1)
	if kind != faultAuthorization && kind != faultSlow {
		return true
	}
	now, last := time.Now().UnixNano(), f.told[i][kind].Load()
	return now-last >= int64(faultLine) && f.told[i][kind].CompareAndSwap(last, now)
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
