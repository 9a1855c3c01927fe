package trace

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// queueSettings are those of a queue.
type queueSettings struct {
	most    int           // spans that may wait
	batch   int           // spans in one export
	delay   time.Duration // between exports, if no batch is full before
	timeout time.Duration // of one export
}

// counts are what became of spans.
type counts struct {
	exported prometheus.Counter
	failed   prometheus.Counter
	dropped  prometheus.Counter
	all      *prometheus.CounterVec
}

func newCounts() counts {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vibemesh_trace_spans_total", Help: "Spans of traces, by what became of them.",
	}, []string{"result"})
	return counts{vec.WithLabelValues("exported"), vec.WithLabelValues("failed"), vec.WithLabelValues("dropped"), vec}
}

// queue hands spans to an exporter, in batches, from a goroutine of its own. Unlike the
// SDK's batch processor it tells how many it had to drop.
type queue struct {
	queueSettings
	exporter sdktrace.SpanExporter
	counts   counts
	log      *slog.Logger

	spans   chan sdktrace.ReadOnlySpan
	flushes chan chan struct{}
	ctx     context.Context // of the exports; its end gives up on them
	cancel  context.CancelFunc
	stop    chan struct{}
	stopped sync.Once
	done    chan struct{}

	failures lines
	waiting  []sdktrace.ReadOnlySpan // the goroutine's own
}

func newQueue(e sdktrace.SpanExporter, s queueSettings, c counts, log *slog.Logger) *queue {
	q := &queue{
		queueSettings: s, exporter: e, counts: c, log: log,
		spans: make(chan sdktrace.ReadOnlySpan, s.most), flushes: make(chan chan struct{}),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// OnStart implements sdktrace.SpanProcessor.
func (q *queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd takes a span that has ended. It never waits.
func (q *queue) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	select {
	case <-q.stop:
		q.counts.dropped.Inc()
		return
	default:
	}
	select {
	case q.spans <- span:
	default:
		q.counts.dropped.Inc()
	}
}

func (q *queue) run() {
	defer close(q.done)
	tick := time.NewTicker(q.delay)
	defer tick.Stop()
	for {
		select {
		case span := <-q.spans:
			q.waiting = append(q.waiting, span)
			if len(q.waiting) >= q.batch {
				q.export()
				tick.Reset(q.delay) // one that came meanwhile would export half a batch
			}
		case <-tick.C:
			q.export()
			tick.Reset(q.delay)
		case flushed := <-q.flushes:
			q.drain()
			close(flushed)
		case <-q.stop:
			q.drain()
			return
		}
	}
}

// drain exports all that is there now.
func (q *queue) drain() {
	for range len(q.spans) {
		q.waiting = append(q.waiting, <-q.spans)
		if len(q.waiting) >= q.batch {
			q.export()
		}
	}
	q.export()
}

// failureLine is how often a line tells of a collector that takes nothing.
const failureLine = time.Minute

// lines keeps what goes wrong all the time from filling the log.
type lines struct{ next atomic.Int64 } // Unix nanoseconds

func (l *lines) due() bool {
	now, next := time.Now().UnixNano(), l.next.Load()
	return now >= next && l.next.CompareAndSwap(next, now+int64(failureLine))
}

func (q *queue) export() {
	n := len(q.waiting)
	if n == 0 {
		return
	}
	defer func() {
		clear(q.waiting)
		q.waiting = q.waiting[:0]
	}()
	if q.ctx.Err() != nil { // nobody waits for it any more
		q.counts.dropped.Add(float64(n))
		return
	}
	ctx, cancel := context.WithTimeout(q.ctx, q.timeout)
	defer cancel()
	err := q.exporter.ExportSpans(ctx, q.waiting)
	if err == nil {
		q.counts.exported.Add(float64(n))
		return
	}
	q.counts.failed.Add(float64(n))
	if q.failures.due() {
		q.log.Warn("spans could not be exported", "spans", n, "err", err)
	}
}

// ForceFlush exports what waits now, until ctx ends.
func (q *queue) ForceFlush(ctx context.Context) error {
	flushed := make(chan struct{})
	select {
	case q.flushes <- flushed:
	case <-q.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-flushed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// giveUp is how long an exporter that does not heed the end of its context may go on.
const giveUp = time.Second

// Shutdown exports what waits, until ctx ends, and takes no more.
func (q *queue) Shutdown(ctx context.Context) error {
	q.stopped.Do(func() { close(q.stop) })
	select {
	case <-q.done:
	case <-ctx.Done():
		q.cancel() // the goroutine gives up at once, and counts what is left
		select {
		case <-q.done:
		case <-time.After(giveUp): // it writes to a pipe that nobody reads
			return ctx.Err()
		}
	}
	q.cancel()
	return q.exporter.Shutdown(ctx)
}
