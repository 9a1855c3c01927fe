package trace

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// exporter is one that a test holds up.
type exporter struct {
	hold  chan struct{} // each export takes one; nil: none waits
	fail  error
	sizes []int // of the exports, read when the queue is idle or has ended
	shut  bool
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if e.hold != nil {
		select {
		case <-e.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e.sizes = append(e.sizes, len(spans))
	return e.fail
}

func (e *exporter) Shutdown(context.Context) error {
	e.shut = true
	return nil
}

func ended(sampled bool) sdktrace.ReadOnlySpan {
	return tracetest.SpanStub{SpanContext: oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
		TraceID: oteltrace.TraceID{1}, SpanID: oteltrace.SpanID{1}, TraceFlags: oteltrace.TraceFlags(0).WithSampled(sampled),
	})}.Snapshot()
}

func newTestQueue(e *exporter) (*queue, counts) {
	c := newCounts()
	s := queueSettings{most: 4, batch: 3, delay: time.Second, timeout: 10 * time.Second}
	return newQueue(e, s, c, slog.New(slog.DiscardHandler)), c
}

func (c counts) want(t *testing.T, exported, failed, dropped float64) {
	t.Helper()
	for _, n := range []struct {
		name string
		of   prometheus.Counter
		want float64
	}{{"exported", c.exported, exported}, {"failed", c.failed, failed}, {"dropped", c.dropped, dropped}} {
		if got := testutil.ToFloat64(n.of); got != n.want {
			t.Errorf("%s: %v, want %v", n.name, got, n.want)
		}
	}
}

func TestQueueBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exporter{}
		q, c := newTestQueue(e)
		for range 4 {
			q.OnEnd(ended(true))
			q.OnEnd(ended(false))
		}
		synctest.Wait()
		c.want(t, 3, 0, 0) // a full batch at once
		time.Sleep(time.Second)
		synctest.Wait()
		c.want(t, 4, 0, 0) // the rest when it has waited
		q.OnEnd(ended(true))
		if err := q.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.want(t, 5, 0, 0)
		q.OnEnd(ended(true))
		if err := q.Shutdown(t.Context()); err != nil || !e.shut {
			t.Fatal(err, e.shut)
		}
		c.want(t, 6, 0, 0)
		q.OnEnd(ended(true))
		c.want(t, 6, 0, 1) // too late
	})
}

// TestQueueDrops: while the collector hangs, whoever ends a span does not wait.
func TestQueueDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exporter{hold: make(chan struct{})}
		q, c := newTestQueue(e)
		for range 3 {
			q.OnEnd(ended(true))
		}
		synctest.Wait() // they are being exported
		for range 10 {
			q.OnEnd(ended(true))
		}
		c.want(t, 0, 0, 6)
		time.Sleep(10 * time.Second) // the export gives up
		synctest.Wait()
		if got := testutil.ToFloat64(c.failed); got != 3 {
			t.Errorf("%v failed, want 3", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := q.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("stopping took %v, want its deadline", took)
		}
		c.want(t, 0, 6, 7) // one batch was cut off, the last was not tried
	})
}

func TestQueueFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, c := newTestQueue(&exporter{fail: errors.New("refused")})
		for range 3 {
			q.OnEnd(ended(true))
		}
		synctest.Wait()
		c.want(t, 0, 3, 0)
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// deaf is an exporter that writes to where nobody reads.
type deaf struct{ exporter }

func (d *deaf) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	<-d.hold
	return nil
}

// TestQueueStopsWithoutItsExporter: the end of a process does not wait for it.
func TestQueueStopsWithoutItsExporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &deaf{exporter{hold: make(chan struct{})}}
		q := newQueue(e, queueSettings{most: 4, batch: 1, delay: time.Second, timeout: time.Second}, newCounts(), slog.New(slog.DiscardHandler))
		q.OnEnd(ended(true))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if err := q.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 7*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(e.hold)
	})
}
