package trace

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Attributes that OpenTelemetry has no names for.
var (
	system      = semconv.MessagingSystemKey.String("nats")
	audienceKey = attribute.Key("vibemesh.audience")
	sessionsKey = attribute.Key("vibemesh.sessions")
	delayedKey  = attribute.Key("vibemesh.scheduled")
)

// Request is the span of a request of the API; nil: it is not recorded.
type Request struct{ span oteltrace.Span }

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// Request starts the span of an HTTP request, in the trace that the request belongs to.
// The context is to be used for all that is done for it.
func (r *Recorder) Request(ctx context.Context, h http.Header) (context.Context, *Request) {
	ctx = FromRequest(ctx, h)
	if r == nil {
		return ctx, nil
	}
	ctx, span := r.start(ctx, "request", oteltrace.WithSpanKind(oteltrace.SpanKindServer), oteltrace.WithAttributes(r.node))
	if span == nil {
		return ctx, nil
	}
	return ctx, &Request{span}
}

// End ends the span with the route that answered, never the URL, and its status.
func (q *Request) End(method, route string, status int) {
	if q == nil {
		return
	}
	if !slices.Contains(methods, method) {
		method = "_OTHER" // a client may make one up
	}
	q.span.SetName(method + " " + route)
	q.span.SetAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRoute(route))
	if status > 0 {
		q.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	if status >= http.StatusInternalServerError {
		q.span.SetStatus(codes.Error, "")
	}
	q.span.End()
}

// Publication is what is published in one go.
type Publication struct {
	Subjects  wire.Subjects
	Messages  []wire.Message
	Scheduled bool // one of them waits for its time
}

// Publishing is the span of storing messages; nil: it is not recorded.
type Publishing struct{ span oteltrace.Span }

// maxMarked bounds the messages of one publish that carry the flag "sampled": each of
// them makes spans on every edge.
const maxMarked = 32

// Carry sets the headers of the i-th message of a publish.
func Carry(ctx context.Context, i int, set func(name, value string)) { Inject(ctx, i < maxMarked, set) }

// Publish starts the span that lasts until the log has acknowledged all messages. Its
// context is what the messages carry.
func (r *Recorder) Publish(ctx context.Context, p Publication) (context.Context, *Publishing) {
	if r == nil || len(p.Messages) == 0 {
		return ctx, nil
	}
	audience := kindsOf(p.Messages)
	to := destination(p.Subjects, audience)
	ctx, span := r.start(ctx, "publish "+to, oteltrace.WithSpanKind(oteltrace.SpanKindProducer))
	if span == nil {
		return ctx, nil
	}
	span.SetAttributes(system, semconv.MessagingOperationName("publish"), semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationTemplate(to), audienceKey.String(audience), r.node)
	if n := len(p.Messages); n > 1 {
		span.SetAttributes(semconv.MessagingBatchMessageCount(n))
	}
	if p.Scheduled {
		span.SetAttributes(delayedKey.Bool(true))
	}
	return ctx, &Publishing{span}
}

// End ends it with the receipts, or an error.
func (p *Publishing) End(receipts []wire.Receipt, err error) {
	if p == nil {
		return
	}
	if len(receipts) == 1 && err == nil {
		p.span.SetAttributes(semconv.MessagingMessageID(receipts[0].ID.String()), attribute.Bool("vibemesh.duplicate", receipts[0].Duplicate))
	}
	end(p.span, err)
}

// Storing is the span of storing messages in one partition; nil: it is not recorded.
type Storing struct{ span oteltrace.Span }

// Store starts the span from the first message sent to a partition to the answer of its
// stream. It begins no trace.
func (r *Recorder) Store(ctx context.Context, stream, partition string, messages int) (context.Context, *Storing) {
	if r == nil || ID(ctx) == "" {
		return ctx, nil
	}
	ctx, span := r.start(ctx, "store "+stream, oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithAttributes(
		system, semconv.MessagingOperationName("store"), semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(stream), semconv.MessagingDestinationPartitionID(partition),
		semconv.MessagingBatchMessageCount(messages)))
	if span == nil {
		return ctx, nil
	}
	return ctx, &Storing{span}
}

// End ends it: acknowledged, or with an error.
func (s *Storing) End(err error) {
	if s != nil {
		end(s.span, err)
	}
}

// end tells the kind of an error only: its text may quote what was published.
func end(span oteltrace.Span, err error) {
	if err != nil {
		kind := "refused"
		if errors.Is(err, wire.ErrUnavailable) {
			kind = "unavailable"
		}
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// kindsOf is the kind of audience that all messages have, or "several".
func kindsOf(messages []wire.Message) string {
	first := messages[0].Audience.Kind
	for i := range messages {
		if messages[i].Audience.Kind != first {
			return "several"
		}
	}
	return kindName(first)
}

func kindName(k wire.Kind) string {
	switch k {
	case wire.KindBroadcast:
		return "broadcast"
	case wire.KindTopic:
		return "topic"
	case wire.KindRead:
		return "read"
	default:
		return "user"
	}
}

// destination is the subject of a kind of audience, without anybody's name.
func destination(s wire.Subjects, kind string) string {
	stem := s.Prefix() + ".ws."
	switch kind {
	case "several":
		return stem + ">"
	case "broadcast":
		return stem + kind
	}
	return stem + kind + ".{id}"
}
