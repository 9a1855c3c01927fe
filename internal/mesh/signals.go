package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// SignalSink takes signals in, from one goroutine, without waiting. from is empty for
// a backend's.
type SignalSink interface {
	Signal(to wire.Audience, from, session string, env wire.Envelope)
}

const (
	signalsIn  = 8192 // of all subscriptions, not yet looked at
	signalsOut = 1024 // of clients, not yet given to nats.go
)

// Signals is what goes over NATS and is not stored. Want and Unwant say which subjects
// this process is subscribed to; all share one channel and one goroutine, since a
// subscription with a callback takes one of its own and three kilobytes.
type Signals struct {
	subjects wire.Subjects
	nc       *conn
	log      *slog.Logger
	in, out  chan *nats.Msg
	wants    wants
	results  [len(signalLabels)]atomic.Uint64
}

// What becomes of signals between NATS and this process.
const (
	signalReceived = iota
	signalMalformed
	signalPublished
	signalOutFull
	signalUnreachable
)

var signalLabels = [...]string{"received", "malformed", "published", "out_full", "unreachable"}

// NewSignals makes the signals of a process. Nothing moves before Run.
func (m *Mesh) NewSignals() *Signals {
	s := &Signals{
		subjects: m.cfg.Subjects, nc: m.signal.nc, log: m.log,
		in: make(chan *nats.Msg, signalsIn), out: make(chan *nats.Msg, signalsOut),
	}
	s.wants.init()
	return s
}

// Run brings signals to a sink, and subscribes and publishes what was asked for, until
// ctx ends.
func (s *Signals) Run(ctx context.Context, sink SignalSink) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.work(ctx)
	}()
	defer func() { <-ended }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-s.in:
			s.take(sink, msg)
		}
	}
}

// take brings one message to the sink. What is wrong with it is counted only: it is of
// the moment.
func (s *Signals) take(sink SignalSink, msg *nats.Msg) {
	to, err := s.subjects.ParseSignal(msg.Subject)
	env, err2 := wire.ParseEnvelope(msg.Data)
	from := ""
	if token := msg.Header.Get(wire.HeaderFrom); token != "" && err == nil {
		from, err = wire.DecodeID(token)
	}
	if err != nil || err2 != nil {
		s.count(signalMalformed)
		return
	}
	s.count(signalReceived)
	sink.Signal(to, from, msg.Header.Get(wire.HeaderSession), env)
}

// work is all that is said to nats.go, which may wait for its socket.
func (s *Signals) work(ctx context.Context) {
	leaving := time.NewTicker(lingerTick)
	defer leaving.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wants.wake:
			s.settle(time.Now())
		case now := <-leaving.C:
			s.expire(now)
		case msg := <-s.out:
			// While NATS is out of reach this fails at once: nobody wants it later.
			if err := s.nc.PublishMsg(msg); err != nil {
				s.count(signalUnreachable)
			} else {
				s.count(signalPublished)
			}
		}
	}
}

// Signal publishes what a client says to an audience. It does not wait: what finds no
// room is dropped.
func (s *Signals) Signal(to wire.Audience, from, session string, env wire.Envelope) {
	subject, err := s.subjects.Signal(to)
	uid, err2 := wire.EncodeID(from)
	data, err3 := json.Marshal(env)
	if err := errors.Join(err, err2, err3); err != nil {
		s.count(signalMalformed)
		return
	}
	msg := nats.NewMsg(subject)
	msg.Data = data
	msg.Header.Set(wire.HeaderFrom, uid)
	msg.Header.Set(wire.HeaderSession, session)
	select {
	case s.out <- msg:
	default:
		s.count(signalOutFull)
	}
}

func (s *Signals) count(result int) { s.results[result].Add(1) }

var (
	descSignals    = prometheus.NewDesc("vibemesh_signals_total", "Signals between NATS and this process, by what became of them.", []string{"result"}, nil)
	descSignalSubs = prometheus.NewDesc("vibemesh_signal_subscriptions", "Subjects of signals that somebody here wants.", nil, nil)
)

// Collectors are the metrics, to be registered once.
func (s *Signals) Collectors() []prometheus.Collector { return []prometheus.Collector{s} }

// Describe implements prometheus.Collector.
func (s *Signals) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

// Collect implements prometheus.Collector.
func (s *Signals) Collect(ch chan<- prometheus.Metric) {
	for i, label := range signalLabels {
		ch <- prometheus.MustNewConstMetric(descSignals, prometheus.CounterValue, float64(s.results[i].Load()), label)
	}
	subscribed, dropped := s.wants.stats()
	ch <- prometheus.MustNewConstMetric(descSignals, prometheus.CounterValue, float64(dropped), "in_full")
	ch <- prometheus.MustNewConstMetric(descSignalSubs, prometheus.GaugeValue, float64(subscribed))
}
