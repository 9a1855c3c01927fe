package trace

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// w3c reads and writes traceparent and tracestate. It ignores what is malformed, as the
// recommendation says (W3C Trace Context, 3.2.4).
var w3c propagation.TraceContext

// headers is a carrier of two headers.
type headers struct {
	parent, state string
	set           func(name, value string) // nil: it is only read
}

func (h headers) Get(name string) string {
	switch name {
	case wire.HeaderTraceparent:
		return h.parent
	case wire.HeaderTracestate:
		return h.state
	}
	return ""
}

// maxState is how much of a tracestate must be passed on (W3C Trace Context, 3.3.1.5). Of a
// longer one nothing is: the log would keep it with every message.
const maxState = 512

func (h headers) Set(name, value string) {
	if name != wire.HeaderTracestate || len(value) <= maxState {
		h.set(name, value)
	}
}

func (h headers) Keys() []string { return []string{wire.HeaderTraceparent, wire.HeaderTracestate} }

// FromRequest puts the trace that an HTTP request belongs to into ctx.
func FromRequest(ctx context.Context, h http.Header) context.Context {
	parent := h.Get(wire.HeaderTraceparent)
	if parent == "" {
		return ctx
	}
	return w3c.Extract(ctx, headers{parent: parent, state: h.Get(wire.HeaderTracestate)})
}

// Inject sets the headers that carry the trace of ctx on, if it has one that is sampled
// here or came from elsewhere. With sampled false they say that it is not sampled.
func Inject(ctx context.Context, sampled bool, set func(name, value string)) {
	span := oteltrace.SpanContextFromContext(ctx)
	if !span.IsValid() || !span.IsSampled() && !span.IsRemote() {
		return
	}
	if !sampled && span.IsSampled() {
		ctx = withFlag(ctx, span, false)
	}
	w3c.Inject(ctx, headers{set: set})
}

func withFlag(ctx context.Context, span oteltrace.SpanContext, sampled bool) context.Context {
	return oteltrace.ContextWithRemoteSpanContext(ctx, span.WithTraceFlags(span.TraceFlags().WithSampled(sampled)))
}

// start starts a span. Where it is not recorded, the trace goes on as it came, but for the
// flag: what is not sampled here is not sampled further on either.
func (r *Recorder) start(ctx context.Context, name string, options ...oteltrace.SpanStartOption) (context.Context, oteltrace.Span) {
	before := oteltrace.SpanContextFromContext(ctx)
	started, span := r.tracer.Start(ctx, name, options...)
	if span.IsRecording() {
		return started, span
	}
	if before.IsRemote() {
		return withFlag(ctx, before, false), nil
	}
	return started, nil
}

// ID is the id of the trace of ctx, for logs and exemplars; empty if it is not sampled.
func ID(ctx context.Context) string {
	span := oteltrace.SpanContextFromContext(ctx)
	if !span.IsValid() || !span.IsSampled() {
		return ""
	}
	return span.TraceID().String()
}
