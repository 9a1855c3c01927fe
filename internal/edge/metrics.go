package edge

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// counters are a loop's own: written by it alone, read at a scrape. Each is on
// the delivery path, where a shared counter would bounce between cores.
type counters struct {
	_         [64]byte // no neighbour on the same cache line
	live      atomic.Int64
	held      atomic.Int64 // connections: see takes
	delivered atomic.Uint64
	writes    atomic.Uint64
	received  atomic.Uint64
	turns     atomic.Uint64
	routed    atomic.Uint64
	latency   histogram
	_         [64]byte
}

// latencyBounds are the upper bounds of the buckets, in seconds.
var latencyBounds = [...]float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60,
}

// histogram counts latencies without a lock or an allocation.
type histogram struct {
	buckets [len(latencyBounds) + 1]atomic.Uint64
	sum     atomic.Int64 // nanoseconds
	// examples are the newest of each bucket, of entries whose trace is sampled.
	examples [len(latencyBounds) + 1]atomic.Pointer[example]
}

// observe returns the bucket that it counted in.
func (h *histogram) observe(nanos int64) int {
	nanos = max(nanos, 0) // the clocks of two machines differ
	s := float64(nanos) / 1e9
	i := 0
	for i < len(latencyBounds) && s > latencyBounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(nanos)
	return i
}

// metrics are what the edge counts off the delivery path, and the collector of
// the loops' counters.
type metrics struct {
	edge *Edge

	accepted     atomic.Uint64
	drainBy      atomic.Int64 // Unix milliseconds; 0: there is no drain
	pages        atomic.Uint64
	signals      [len(signalResults)]atomic.Uint64
	handshakes   *prometheus.CounterVec
	refusals     *prometheus.CounterVec
	closes       *prometheus.CounterVec
	gaps         *prometheus.CounterVec
	behinds      *prometheus.CounterVec
	resumes      *prometheus.HistogramVec
	setupSeconds prometheus.Histogram
}

func newMetrics(e *Edge) *metrics {
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vibemesh_edge_" + name, Help: help}, []string{label})
	}
	return &metrics{
		edge:       e,
		handshakes: vec("handshakes_total", "Upgrade requests, by result.", "result"),
		refusals:   vec("connections_refused_total", "Connections ended before a request was read, by reason.", "reason"),
		closes:     vec("closes_total", "Sessions that the edge closed, by close code.", "code"),
		gaps:       vec("gaps_total", "Gap frames sent, by reason.", "reason"),
		behinds:    vec("behind_total", "Times a live session fell behind: its socket was full, or the ring had moved on.", "reason"),
		resumes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vibemesh_edge_resume_seconds", Help: "Time to place a resuming session in the log, by the source it is continued from.",
			Buckets: prometheus.ExponentialBuckets(.0001, 4, 9),
		}, []string{"source"}),
		setupSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "vibemesh_edge_setup_seconds", Help: "Time from a complete upgrade request to its answer.",
			Buckets: prometheus.ExponentialBuckets(.0001, 4, 9),
		}),
	}
}

func (m *metrics) handshake(result string) { m.handshakes.WithLabelValues(result).Inc() }
func (m *metrics) refused(reason string)   { m.refusals.WithLabelValues(reason).Inc() }
func (m *metrics) gap(reason string)       { m.gaps.WithLabelValues(reason).Inc() }
func (m *metrics) behind(reason string)    { m.behinds.WithLabelValues(reason).Inc() }
func (m *metrics) signal(r signalResult)   { m.signals[r].Add(1) }

// closed counts the codes of the registry; a client's own choice is "client".
func (m *metrics) closed(code int) {
	label := "client"
	if wire.CloseText(code) != "" {
		label = strconv.Itoa(code)
	}
	m.closes.WithLabelValues(label).Inc()
}

func (m *metrics) resumed(s session.Start, took time.Duration) {
	source := [...]string{"head", "ring", "stream", "ahead"}[s.Source]
	m.resumes.WithLabelValues(source).Observe(took.Seconds())
	if s.Gap != "" {
		m.gap(s.Gap)
	}
}

// Collectors are the edge's metrics, to be registered once.
func (e *Edge) Collectors() []prometheus.Collector {
	m := e.metrics
	return []prometheus.Collector{
		m, m.handshakes, m.refusals, m.closes, m.gaps, m.behinds, m.resumes, m.setupSeconds,
	}
}

var (
	descSessions  = desc("sessions", "Sessions that are signed in now.")
	descSetUps    = desc("setups", "Connections that are being signed in now.")
	descAccepted  = desc("accepted_total", "Connections accepted.")
	descDelivered = desc("delivered_total", "Events written to sockets.")
	descWrites    = desc("writes_total", "Write calls to sockets.")
	descReceived  = desc("received_total", "Messages and control frames received from clients.")
	descTurns     = desc("loop_turns_total", "Turns of the event loops.")
	descLag       = desc("loop_lag_entries", "Entries of the ring that the slowest event loop has not yet routed.")
	descPages     = desc("pages_total", "Pages read of the stream for sessions that are behind.")
	descLatency   = desc("delivery_seconds", "Time from an event being stored to its being written to a socket.")
	descRingBytes = desc("ring_bytes", "Memory of the ring.")
	descRingCount = desc("ring_entries", "Entries in the ring.")
	descRingSpan  = desc("ring_span_seconds", "Age of the oldest entry in the ring.")
	descRingLimit = desc("ring_limit_bytes", "Memory that the ring may take.")
	descLimit     = desc("sessions_limit", "Sessions above which upgrades are refused; 0: no limit.")
	descDraining  = desc("draining", "1 while sessions are asked to move to another edge.")
	descDrainBy   = desc("drain_deadline_timestamp_seconds", "When the drain has to be over; 0: there is none.")
	descSignals   = prometheus.NewDesc("vibemesh_edge_signals_total", "What became of signals: of clients, and on their way to sessions.", []string{"result"}, nil)
	descTailSeq   = prometheus.NewDesc("vibemesh_edge_tail_sequence", "Sequence up to which this edge has followed a partition of the log.", []string{"partition"}, nil)
)

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("vibemesh_edge_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter := func(d *prometheus.Desc, v uint64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	var live int64
	var delivered, writes, received, turns, lag uint64
	head := uint64(0)
	if g := m.edge.gen.Load(); g != nil {
		view := g.ring.View()
		head = view.Head()
		stats := view.Stats()
		gauge(descRingBytes, float64(stats.Bytes))
		gauge(descRingCount, float64(stats.Entries))
		for part, seq := range view.HeadSeqs() {
			ch <- prometheus.MustNewConstMetric(descTailSeq, prometheus.GaugeValue, float64(seq), strconv.Itoa(part))
		}
		if !stats.Oldest.IsZero() {
			gauge(descRingSpan, time.Since(stats.Oldest).Seconds())
		}
	}
	for _, l := range m.edge.loops {
		c := &l.counters
		live += c.live.Load()
		delivered += c.delivered.Load()
		writes += c.writes.Load()
		received += c.received.Load()
		turns += c.turns.Load()
		if routed := c.routed.Load(); routed < head {
			lag = max(lag, head-routed)
		}
	}
	gauge(descSessions, float64(live))
	gauge(descSetUps, float64(max(m.edge.sessions.Load()-live, 0)))
	gauge(descLag, float64(lag))
	gauge(descRingLimit, float64(m.edge.cfg.RingBytes))
	gauge(descLimit, float64(m.edge.cfg.Threshold))
	draining := 0.0
	if m.edge.Draining() {
		draining = 1
	}
	gauge(descDraining, draining)
	gauge(descDrainBy, float64(m.drainBy.Load())/1e3)
	counter(descAccepted, m.accepted.Load())
	counter(descDelivered, delivered)
	counter(descWrites, writes)
	counter(descReceived, received)
	counter(descTurns, turns)
	counter(descPages, m.pages.Load())
	for i, result := range signalResults {
		ch <- prometheus.MustNewConstMetric(descSignals, prometheus.CounterValue, float64(m.signals[i].Load()), result)
	}
	ch <- m.latency()
}

func (m *metrics) latency() prometheus.Metric {
	buckets := map[float64]uint64{}
	var count uint64
	var sum float64
	for i := range len(latencyBounds) + 1 {
		for _, l := range m.edge.loops {
			count += l.counters.latency.buckets[i].Load()
		}
		if i < len(latencyBounds) {
			buckets[latencyBounds[i]] = count
		}
	}
	for _, l := range m.edge.loops {
		sum += float64(l.counters.latency.sum.Load()) / 1e9
	}
	return m.withExamples(prometheus.MustNewConstHistogram(descLatency, count, sum, buckets))
}

// withExamples gives each bucket of the latencies the newest example that any loop has.
func (m *metrics) withExamples(h prometheus.Metric) prometheus.Metric {
	var newest []prometheus.Exemplar
	for i := range len(latencyBounds) + 1 {
		var of *example
		for _, l := range m.edge.loops {
			if ex := l.counters.latency.examples[i].Load(); ex != nil && (of == nil || ex.at.After(of.at)) {
				of = ex
			}
		}
		if of != nil {
			newest = append(newest, prometheus.Exemplar{
				Value: of.seconds, Timestamp: of.at,
				Labels: prometheus.Labels{"trace_id": of.entry.TraceID(), "span_id": of.entry.SpanID()},
			})
		}
	}
	if len(newest) == 0 {
		return h
	}
	return prometheus.MustNewMetricWithExemplars(h, newest...)
}
