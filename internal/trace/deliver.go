package trace

import (
	"context"
	"sync/atomic"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// How many writes of one entry to sockets have a span, on one edge.
const (
	writesOfUser  = 8 // a person's devices
	writesOfCrowd = 1 // of a broadcast or a topic: the first session
)

// Delivery is what an edge does with one sampled entry. Its methods may be called by
// several loops at once, and wait for nobody.
type Delivery struct {
	recorder *Recorder
	ctx      context.Context
	span     oteltrace.Span
	start    time.Time
	trace    string
	id       string // of the span

	sessions atomic.Int64
	writes   atomic.Int32 // spans that may still be made
	loops    atomic.Int32 // that have sessions that may lack the entry
	ended    atomic.Bool
}

// Deliver starts the span of an entry that an edge of some loops has taken in; nil if
// its trace is not sampled.
func (r *Recorder) Deliver(e *wire.Entry, subjects wire.Subjects, loops int) *Delivery {
	if r == nil || !e.Trace.Sampled() {
		return nil
	}
	d := &Delivery{recorder: r, start: time.Now()}
	kind := kindName(e.Audience.Kind)
	to := destination(subjects, kind)
	ctx := w3c.Extract(context.Background(), headers{parent: e.Trace.Parent, state: e.Trace.State})
	if !oteltrace.SpanContextFromContext(ctx).IsValid() {
		return nil // an edge begins no trace
	}
	d.ctx, d.span = r.start(ctx, "deliver "+to, oteltrace.WithSpanKind(oteltrace.SpanKindConsumer), oteltrace.WithTimestamp(d.start))
	if d.span == nil {
		return nil
	}
	d.span.SetAttributes(system, semconv.MessagingOperationName("deliver"), semconv.MessagingOperationTypeProcess,
		semconv.MessagingDestinationTemplate(to), semconv.MessagingMessageID(e.ID().String()), audienceKey.String(kind), r.node)
	if e.Trace.Scheduled {
		d.span.SetAttributes(delayedKey.Bool(true))
	}
	d.span.AddEvent("stored", oteltrace.WithTimestamp(e.Time))
	d.trace, d.id = d.span.SpanContext().TraceID().String(), d.span.SpanContext().SpanID().String()
	d.writes.Store(writesOfCrowd)
	if e.Audience.Kind == wire.KindUser {
		d.writes.Store(writesOfUser)
	}
	d.loops.Store(int32(loops))
	return d
}

// TraceID and SpanID name the span in exemplars.
func (d *Delivery) TraceID() string { return d.trace }
func (d *Delivery) SpanID() string  { return d.id }

// Wrote notes that a session's socket has taken the entry.
func (d *Delivery) Wrote(at time.Time) {
	d.sessions.Add(1)
	if d.writes.Load() <= 0 || d.writes.Add(-1) < 0 {
		return
	}
	_, span := d.recorder.start(d.ctx, "write", oteltrace.WithTimestamp(d.start), oteltrace.WithAttributes(d.recorder.node))
	if span != nil {
		span.End(oteltrace.WithTimestamp(at))
	}
}

// LoopDone notes that all live sessions of a loop have the entry. The last ends the span.
func (d *Delivery) LoopDone() {
	if d.loops.Add(-1) == 0 {
		d.end()
	}
}

// Abandon ends the span of an entry that is not followed any more.
func (d *Delivery) Abandon(why string) {
	if !d.ended.Load() {
		d.span.AddEvent(why)
		d.end()
	}
}

func (d *Delivery) end() {
	if d.ended.CompareAndSwap(false, true) {
		d.span.SetAttributes(sessionsKey.Int64(d.sessions.Load()))
		d.span.End()
	}
}
