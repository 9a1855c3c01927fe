package publish

import (
	"context"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
)

// inject puts the trace of ctx into the headers traceparent and tracestate (W3C Trace
// Context), if it has one: the mesh continues it.
func inject(ctx context.Context, msg *nats.Msg) {
	propagation.TraceContext{}.Inject(ctx, carrier(msg.Header))
}

// carrier is headers of NATS, which keep the case of their names.
type carrier nats.Header

func (c carrier) Get(name string) string { return nats.Header(c).Get(name) }
func (c carrier) Set(name, value string) { nats.Header(c).Set(name, value) }
func (c carrier) Keys() []string         { return slices.Collect(maps.Keys(c)) }
