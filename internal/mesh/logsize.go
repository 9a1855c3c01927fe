package mesh

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

const (
	logSizeInterval = 15 * time.Second // how often the size of the log is asked for
	logSizeTimeout  = 10 * time.Second // of all partitions together
	logSizeKept     = time.Minute      // how long an answer counts when no newer one comes
)

// LogSize knows how large the log is. It asks in the background: a scrape never waits
// for NATS.
type LogSize struct {
	mesh  *Mesh
	parts []atomic.Pointer[logSize]
	now   func() time.Time
}

// logSize is what one partition said about itself.
type logSize struct {
	messages, bytes, last uint64
	oldest                int64 // Unix milliseconds; 0: there is none
	maxBytes              int64 // 0: no limit
	maxAge                time.Duration
	replicas, current     int // that there are to be; that have all of it, the leader among them
	at                    time.Time
}

// NewLogSize makes a LogSize, which knows nothing until Run.
func (m *Mesh) NewLogSize() *LogSize {
	return &LogSize{mesh: m, parts: make([]atomic.Pointer[logSize], len(m.parts)), now: time.Now}
}

// Run asks until ctx ends.
func (s *LogSize) Run(ctx context.Context) error {
	return askEvery(ctx, s.ask)
}

func askEvery(ctx context.Context, ask func(context.Context)) error {
	for ctx.Err() == nil {
		bounded, cancel := context.WithTimeout(ctx, logSizeTimeout)
		ask(bounded)
		cancel()
		pause(ctx, logSizeInterval)
	}
	return nil
}

// ask has every partition say its size. One that does not answer, or has no leader, keeps
// what it said before, for a while.
func (s *LogSize) ask(ctx context.Context) {
	var group errgroup.Group
	group.SetLimit(16)
	for i, p := range s.mesh.parts {
		group.Go(func() error {
			stream, err := s.mesh.read.js.Stream(ctx, p.stream)
			if err == nil {
				err = led(p.stream, stream.CachedInfo())
			}
			var first spot
			if err == nil {
				first, err = s.mesh.first(ctx, p, stream.CachedInfo())
			}
			if err != nil {
				s.mesh.log.Debug("the size of the log", "stream", p.stream, "err", err)
				return nil
			}
			s.parts[i].Store(sizeOf(stream.CachedInfo(), first.at, s.now()))
			return nil
		})
	}
	group.Wait() //nolint:errcheck // there is none
}

func sizeOf(info *jetstream.StreamInfo, oldest, at time.Time) *logSize {
	size := &logSize{
		messages: info.State.Msgs, bytes: info.State.Bytes, last: info.State.LastSeq,
		maxBytes: max(info.Config.MaxBytes, 0), maxAge: info.Config.MaxAge,
		replicas: max(info.Config.Replicas, 1), current: 1, at: at,
	}
	if info.Cluster != nil {
		for _, r := range info.Cluster.Replicas {
			if r.Current && !r.Offline && r.Active < contact {
				size.current++
			}
		}
	}
	if !oldest.IsZero() {
		size.oldest = oldest.UnixMilli()
	}
	return size
}

var (
	descLogMessages = logDesc("messages", "Messages that a partition of the log holds.")
	descLogBytes    = logDesc("bytes", "Bytes that a partition of the log holds, on each replica.")
	descLogLimit    = logDesc("limit_bytes", "Most bytes that a partition of the log may hold; 0: no limit.")
	descLogAge      = logDesc("limit_seconds", "How long a partition of the log keeps a message; 0: for ever.")
	descLogLast     = logDesc("last_sequence", "Sequence of the newest message of a partition of the log, as its leader says.")
	descReplicas    = logDesc("replicas", "Replicas that a partition of the log is to have.")
	descCurrent     = logDesc("replicas_current", "Replicas of a partition of the log that have all of it, as its leader says, which counts itself.")
	descLogOldest   = logDesc("oldest_timestamp_seconds", "When the oldest message of a partition of the log was stored, without older ones that wait for their time; 0: it holds none.")
)

func logDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("vibemesh_log_"+name, help, []string{"partition"}, nil)
}

// Collectors are the metrics, to be registered once.
func (s *LogSize) Collectors() []prometheus.Collector { return []prometheus.Collector{s} }

// Describe implements prometheus.Collector. It describes all that Collect may bring,
// before there is any.
func (s *LogSize) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descLogMessages, descLogBytes, descLogLimit, descLogAge, descLogLast, descLogOldest, descReplicas, descCurrent} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *LogSize) Collect(ch chan<- prometheus.Metric) {
	for i := range s.parts {
		size := s.parts[i].Load()
		if size == nil || s.now().Sub(size.at) > logSizeKept {
			continue
		}
		partition := strconv.Itoa(i)
		gauge := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, partition)
		}
		gauge(descLogMessages, float64(size.messages))
		gauge(descLogBytes, float64(size.bytes))
		gauge(descLogLimit, float64(size.maxBytes))
		gauge(descLogAge, size.maxAge.Seconds())
		gauge(descLogLast, float64(size.last))
		gauge(descLogOldest, float64(size.oldest)/1e3)
		gauge(descReplicas, float64(size.replicas))
		gauge(descCurrent, float64(size.current))
	}
}
