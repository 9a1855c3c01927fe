package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
	"github.com/socialvibes/vibemesh/publish"
	"go.opentelemetry.io/otel/trace"
)

// TestEverySubject publishes to each kind of audience, with every option, to logs of one
// and of several partitions, with no more rights than a backend has.
func TestEverySubject(t *testing.T) {
	for _, partitions := range []int{1, 3} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			w := start(t, partitions)
			p := w.backend(t)
			for _, tt := range []struct {
				to      publish.Audience
				want    wire.Audience
				subject string
			}{
				{publish.ToUser("ada"), wire.User("ada"), "sv.ws.user.ada"},
				{publish.ToUser("ada@example.com"), wire.User("ada@example.com"), "sv.ws.user.=YWRhQGV4YW1wbGUuY29t"},
				{publish.ToTopic("club.7"), wire.Topic("club.7"), "sv.ws.topic.=Y2x1Yi43"},
				{publish.ToEverybody(), wire.Broadcast(), "sv.ws.broadcast"},
			} {
				r, err := p.Toast(t.Context(), tt.to, publish.Toast{Title: "Hi", ActionURL: "sv://a?b&c"},
					publish.ExpiresIn(time.Hour-time.Millisecond), publish.Collapse("taxi:17"), publish.IdempotencyKey("k"))
				if err != nil || r.Subject != tt.subject || r.Duplicate || !r.DeliverAt.IsZero() {
					t.Fatalf("%s: %+v, %v", tt.subject, r, err)
				}
				msg := w.stored(t, r)
				subject, err := w.subjects.Stored(tt.want)
				if err != nil || msg.Subject != subject {
					t.Errorf("stored as %s, want %s (%v)", msg.Subject, subject, err)
				}
				env, err := wire.ParseEnvelope(msg.Data)
				if err != nil || env.Type != "toast" {
					t.Errorf("%+v, %v", env, err)
				}
				var payload map[string]string
				if err := json.Unmarshal(env.Payload, &payload); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(map[string]string{"title": "Hi", "action_url": "sv://a?b&c"}, payload); diff != "" {
					t.Errorf("payload (-want +got)\n%s", diff)
				}
				want := nats.Header{"Nats-Msg-Id": {"k@" + strings.TrimPrefix(tt.subject, "sv.ws.")}, "Nats-TTL": {"3600"}, "Sv-Collapse": {"taxi:17"}}
				if diff := cmp.Diff(want, msg.Header); diff != "" {
					t.Errorf("headers (-want +got)\n%s", diff)
				}
			}
		})
	}
}

func TestPrefix(t *testing.T) {
	w := start(t, 1)
	got, err := w.nc.SubscribeSync("acme.sv.signal.>")
	if err != nil {
		t.Fatal(err)
	}
	p := publisher(t, w.nc, publish.WithPrefix("acme.sv"))
	if err := p.Signal(t.Context(), publish.ToEverybody(), "refresh", nil); err != nil {
		t.Fatal(err)
	}
	if msg, err := got.NextMsg(10 * time.Second); err != nil || msg.Subject != "acme.sv.signal.broadcast" {
		t.Errorf("%+v, %v", msg, err)
	}
	// The log of this server has another prefix.
	_, err = p.Toast(t.Context(), publish.ToUser("ada"), publish.Toast{Title: "Hi"})
	if !errors.Is(err, publish.ErrUnavailable) || !strings.Contains(err.Error(), "vibemesh provision") {
		t.Errorf("%v, want to be told that there is no log", err)
	}
	if _, err := publish.New(w.nc, publish.WithPrefix("a.*")); err == nil {
		t.Error("a wildcard was taken for a prefix")
	}
	if _, err := publish.New(nil); err == nil {
		t.Error("nil was taken for a connection")
	}
}

func TestIdempotency(t *testing.T) {
	w := start(t, 1)
	p := w.backend(t)
	send := func(to publish.Audience, title string) publish.Receipt {
		t.Helper()
		r, err := p.Event(t.Context(), to, "order.shipped", map[string]any{"n": title}, publish.IdempotencyKey("order-7"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first, again := send(publish.ToUser("ada"), "a"), send(publish.ToUser("ada"), "b")
	if first.Duplicate || !again.Duplicate || again.Seq != first.Seq {
		t.Errorf("%+v, then %+v", first, again)
	}
	// A key is for one audience: nobody goes without because another had it.
	for _, to := range []publish.Audience{publish.ToUser("grace"), publish.ToTopic("ada"), publish.ToEverybody()} {
		if r := send(to, "c"); r.Duplicate {
			t.Errorf("%+v", r)
		}
	}
	if n := w.count(t); n != 4 {
		t.Errorf("the log holds %d messages, want 4", n)
	}
}

// TestTrace: the trace of the caller goes with what is published, in the headers of W3C
// Trace Context as they are written there, which are not those that HTTP would make.
func TestTrace(t *testing.T) {
	w := start(t, 1)
	p := w.backend(t)
	state, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 2}, TraceFlags: trace.FlagsSampled, TraceState: state,
	}))
	want := nats.Header{"traceparent": {"00-00000000000000000000000000000001-0000000000000002-01"}, "tracestate": {"vendor=1"}}
	receipts, err := p.Batch(ctx,
		publish.NewEvent(publish.ToUser("ada"), "a", struct{}{}), publish.NewEvent(publish.ToUser("ada"), "b", struct{}{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range receipts {
		header := w.stored(t, r).Header
		for _, name := range []string{"Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"} {
			header.Del(name)
		}
		if diff := cmp.Diff(want, header); diff != "" {
			t.Errorf("headers (-want +got)\n%s", diff)
		}
	}
	// Of a large batch the first 32 are followed, as of one by the API.
	users := make([]string, 40)
	for i := range users {
		users[i] = fmt.Sprint("user-", i)
	}
	if receipts, err = p.ToastUsers(ctx, users, publish.Toast{Title: "Hi"}); err != nil {
		t.Fatal(err)
	}
	for i, r := range receipts {
		of := wire.TraceOf(w.stored(t, r).Header)
		if of.Parent[:53] != want.Get("traceparent")[:53] || of.Sampled() != (i < 32) {
			t.Errorf("message %d has the trace %q", i, of.Parent)
		}
	}
	got, err := w.nc.SubscribeSync("sv.signal.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(ctx, publish.ToUser("ada"), "call", nil); err != nil {
		t.Fatal(err)
	}
	if msg, err := got.NextMsg(10 * time.Second); err != nil || msg.Header.Get("traceparent") != want.Get("traceparent") {
		t.Errorf("%+v, %v", msg, err)
	}
}

func TestSignal(t *testing.T) {
	w := start(t, 1)
	p := w.backend(t)
	got, err := w.nc.SubscribeSync("sv.signal.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.nc.Flush(); err != nil { // the server knows it before anything is sent
		t.Fatal(err)
	}
	for _, tt := range []struct {
		to            publish.Audience
		payload       any
		from          []publish.From
		subject, data string
		header        nats.Header
	}{
		{publish.ToUser("a.b"), nil, nil, "sv.signal.user.=YS5i", `{"type":"typing","payload":{}}`, nil},
		{publish.ToTopic("club"), map[string]bool{"on": true}, []publish.From{"zoë"}, "sv.signal.topic.club", `{"type":"typing","payload":{"on":true}}`, nats.Header{"Sv-From": {"=em_Dqw"}}},
		{publish.ToEverybody(), json.RawMessage(`{}`), nil, "sv.signal.broadcast", `{"type":"typing","payload":{}}`, nil},
	} {
		if err := p.Signal(t.Context(), tt.to, "typing", tt.payload, tt.from...); err != nil {
			t.Fatal(err)
		}
		msg, err := got.NextMsg(10 * time.Second)
		if err == nil {
			delete(msg.Header, "Nats-Request-Info") // by the server: from which account it comes
			if len(msg.Header) == 0 {
				msg.Header = nil
			}
		}
		if err != nil || msg.Subject != tt.subject || string(msg.Data) != tt.data || !cmp.Equal(msg.Header, tt.header) {
			t.Errorf("%s: %s %s %v, %v", tt.subject, msg.Subject, msg.Data, msg.Header, err)
		}
	}
	for _, err := range []error{
		p.Signal(t.Context(), publish.Audience{}, "typing", nil),
		p.Signal(t.Context(), publish.ToUser("a"), "hello", nil),
		p.Signal(t.Context(), publish.ToUser("a"), "typing", "text"),
		p.Signal(t.Context(), publish.ToUser("a"), "typing", nil, ""),
		p.Signal(t.Context(), publish.ToUser("a"), "typing", nil, "z\xff"),
	} {
		var invalid *publish.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Fields) != 1 {
			t.Errorf("%v", err)
		}
	}
	if err := w.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, _, err := got.Pending(); n != 0 || err != nil {
		t.Errorf("%d more signals came, %v", n, err)
	}
}

// TestOutOfReach: what cannot be stored is said as such, at once where that is known.
func TestOutOfReach(t *testing.T) {
	w := start(t, 1)
	toast := publish.Toast{Title: "Hi"}

	nc := w.connect(t)
	p := publisher(t, nc)
	nc.Close()
	if _, err := p.Toast(t.Context(), publish.ToUser("ada"), toast); !errors.Is(err, publish.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	if err := p.Signal(t.Context(), publish.ToUser("ada"), "typing", nil); !errors.Is(err, publish.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	p = w.backend(t)
	heard, err := w.nc.SubscribeSync("sv.signal.>")
	if err == nil {
		err = w.nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, one := p.Toast(ended, publish.ToUser("ada"), toast)
	_, several := p.ToastUsers(ended, []string{"ada", "grace"}, toast)
	signal := p.Signal(ended, publish.ToUser("ada"), "typing", nil)
	for _, err := range []error{one, several, signal} {
		if !errors.Is(err, publish.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want ErrUnavailable and Canceled", err)
		}
	}
	// Nothing of it was sent: what the same connection sends next is the first to come.
	if err := p.Signal(t.Context(), publish.ToUser("grace"), "typing", nil); err != nil {
		t.Fatal(err)
	}
	if msg, err := heard.NextMsg(10 * time.Second); err != nil || msg.Subject != "sv.signal.user.grace" {
		t.Errorf("%+v, %v", msg, err)
	}
	if _, err := p.Toast(t.Context(), publish.ToUser("grace"), toast); err != nil {
		t.Fatal(err)
	}
	if n := w.count(t); n != 1 {
		t.Errorf("the log holds %d messages, want the one whose context had not ended", n)
	}

	// The server tells a user only on the side that it may not publish something.
	forbidden := publisher(t, w.connect(t, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})), publish.WithPrefix("other"))
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = forbidden.Toast(short, publish.ToUser("ada"), toast)
	if !errors.Is(err, publish.ErrUnavailable) || !strings.Contains(err.Error(), `Publish to "other.ws.user.ada"`) {
		t.Errorf("%v, want to be told what was forbidden", err)
	}
}
