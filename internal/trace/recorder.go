// Package trace says by OpenTelemetry spans what becomes of a message: published,
// stored, taken in by an edge, written to sockets.
//
//	POST /api/v1/ws/toast           a request of the API          (server)
//	└─ publish sv.ws.user.{id}      until the log has it          (producer)
//	   ├─ store SV_LOG              one a partition, to its ack   (client)
//	   └─ deliver sv.ws.user.{id}   one an edge, until its live sessions have it (consumer)
//	      └─ write                  to a socket; the first few    (internal)
//
// The context of publish travels in the message's headers traceparent and tracestate
// (W3C Trace Context), so a backend that publishes to NATS with these headers of its own
// gets the same from deliver on. Who is sampled decides the sampler where a trace begins;
// an edge begins none.
//
// No span names a person, a topic or a payload. Spans wait for their exporter in a queue
// that drops when it is full: nobody ever waits for a collector.
//
// A nil *Recorder records nothing, and costs nothing: all methods may be called on it.
package trace

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// scope names these spans' instrumentation.
const scope = "github.com/socialvibes/vibemesh"

// Process is who records.
type Process struct {
	Name    string // service.name, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES says it
	Version string
	Node    string
}

// Recorder makes spans and hands them to its exporters.
type Recorder struct {
	provider *sdktrace.TracerProvider
	tracer   oteltrace.Tracer
	node     attribute.KeyValue
}

// New makes the recorder that the standard OTEL_* variables of the environment describe;
// nil if they name neither an exporter nor an endpoint, or switch it off. Its error wraps
// ErrSettings and says which of them to change. A collector that is out of reach is no error.
// Its metrics are registered in either case.
func New(ctx context.Context, p Process, metrics prometheus.Registerer, log *slog.Logger) (*Recorder, error) {
	spans := newCounts()
	if err := metrics.Register(spans.all); err != nil {
		return nil, err
	}
	s, err := readSettings(os.LookupEnv)
	if err != nil || len(s.exporters) == 0 {
		return nil, err
	}
	about, err := describe(ctx, p)
	if err != nil {
		return nil, err
	}
	r := &Recorder{node: attribute.String("vibemesh.node", p.Node)}
	options := []sdktrace.TracerProviderOption{sdktrace.WithResource(about), sdktrace.WithSampler(s.sampler)}
	for _, name := range s.exporters {
		exporter, err := newExporter(ctx, name, s.protocol)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrSettings, name, err)
		}
		options = append(options, sdktrace.WithSpanProcessor(newQueue(exporter, s.queue, spans, log.With("exporter", name))))
	}
	// Of the whole process: what a collector refuses of an export comes this way only.
	var complaints lines
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if complaints.due() {
			log.Warn("tracing", "err", err)
		}
	}))
	r.provider = sdktrace.NewTracerProvider(options...)
	r.tracer = r.provider.Tracer(scope, oteltrace.WithInstrumentationVersion(p.Version))
	log.Info("tracing", "exporters", s.exporters, "sampler", s.sampler.Description())
	return r, nil
}

// describe is the resource that the spans are of: what the environment says goes first.
func describe(ctx context.Context, p Process) (*resource.Resource, error) {
	about, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName(p.Name), semconv.ServiceVersion(p.Version), semconv.ServiceInstanceID(p.Node)),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("%w: OTEL_RESOURCE_ATTRIBUTES: %w; write it like deployment.environment.name=production,team=mesh", ErrSettings, err)
	}
	return about, nil
}

// Stop exports what waits, until ctx ends. What is left then is dropped.
func (r *Recorder) Stop(ctx context.Context) error {
	if r == nil {
		return nil
	}
	return r.provider.Shutdown(ctx)
}
