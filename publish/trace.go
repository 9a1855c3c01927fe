package publish

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
	"go.opentelemetry.io/otel/propagation"
)

// maxSampled bounds the messages of a batch that carry the flag "sampled", as the API does:
// each of them makes spans on every edge.
const maxSampled = 32

// maxState is how much of a tracestate must be passed on (W3C Trace Context, 3.3.1.5). Of a
// longer one nothing is: the log would keep it with every message.
const maxState = 512

// inject puts the trace of ctx into the headers traceparent and tracestate (W3C Trace
// Context) of the i-th message, if it has one: the mesh continues it.
func inject(ctx context.Context, i int, msg *nats.Msg) {
	propagation.TraceContext{}.Inject(ctx, carrier{msg.Header, i < maxSampled})
}

// carrier is headers of NATS, which keep the case of their names. It is only written to.
type carrier struct {
	header  nats.Header
	sampled bool // it may be
}

func (c carrier) Get(string) string { return "" }
func (c carrier) Keys() []string    { return nil }

func (c carrier) Set(name, value string) {
	switch {
	case name == wire.HeaderTracestate && len(value) > maxState:
		return
	case name == wire.HeaderTraceparent && !c.sampled:
		value = value[:strings.LastIndexByte(value, '-')] + "-00"
	}
	c.header.Set(name, value)
}
