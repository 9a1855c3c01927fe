package mesh

import (
	"github.com/prometheus/client_golang/prometheus"
)

var (
	descConnected = prometheus.NewDesc("vibemesh_nats_connected", "1 while the connection has a server; of several of a role, all.", []string{"connection"}, nil)
	descReconnect = prometheus.NewDesc("vibemesh_nats_reconnects_total", "Times the connection came back.", []string{"connection"}, nil)
	descEntries   = prometheus.NewDesc("vibemesh_tail_entries_total", "Events that the tail took in.", nil, nil)
	descSkipped   = prometheus.NewDesc("vibemesh_tail_skipped_total", "Messages of the log that are malformed and were skipped, by what is wrong.", []string{"reason"}, nil)
	descLag       = prometheus.NewDesc("vibemesh_tail_lag_messages", "Messages of the log that the tail has not yet taken in, as far as known.", nil, nil)
	descCaughtUp  = prometheus.NewDesc("vibemesh_tail_caught_up", "1 once the tail has reached the head of the log.", nil, nil)
)

// Collectors are the mesh's metrics, to be registered once.
func (m *Mesh) Collectors() []prometheus.Collector { return []prometheus.Collector{collector{m}} }

type collector struct{ m *Mesh }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	m := c.m
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for role, conns := range m.conns() {
		connected, back := 0.0, uint64(0)
		if allConnected(conns) {
			connected = 1
		}
		for _, c := range conns {
			back += c.reconnects()
		}
		gauge(descConnected, connected, role)
		counter(descReconnect, back, role)
	}
	for file, at := range m.expiries() {
		gauge(descExpiry, at, file)
	}
	m.faults.collect(ch)
	counter(descEntries, m.tail.entries.Load())
	counter(descSkipped, m.tail.skipped.subject.Load(), skipSubject)
	counter(descSkipped, m.tail.skipped.envelope.Load(), skipEnvelope)
	counter(descSkipped, m.tail.skipped.payload.Load(), skipPayload)
	gauge(descLag, float64(m.Lag()))
	caught := 0.0
	if m.CaughtUp() {
		caught = 1
	}
	gauge(descCaughtUp, caught)
}
