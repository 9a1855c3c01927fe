package trace_test

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/trace/tracetest"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
	sampled = "00-" + traceID + "-" + spanID + "-01"
	passed  = "00-" + traceID + "-" + spanID + "-00"
)

// record makes a recorder that exports to a collector.
func record(t *testing.T, env ...string) (*trace.Recorder, *tracetest.Collector) {
	t.Helper()
	c, err := tracetest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL())
	for i := 0; i < len(env); i += 2 {
		t.Setenv(env[i], env[i+1])
	}
	return newRecorder(t), c
}

func newRecorder(t *testing.T) *trace.Recorder {
	t.Helper()
	r, err := trace.New(t.Context(), trace.Process{Name: "vibemesh", Version: "v1", Node: "node-1"}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func stop(t *testing.T, r *trace.Recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func header(traceparent string) http.Header {
	h := http.Header{}
	h.Set("Traceparent", traceparent)
	return h
}

// carried are the headers that the i-th message of a publish gets.
func carried(ctx context.Context, i int) map[string]string {
	out := map[string]string{}
	trace.Carry(ctx, i, func(name, value string) { out[name] = value })
	return out
}

func toEverybody(n int) trace.Publication {
	msgs := make([]wire.Message, n)
	for i := range msgs {
		msgs[i].Audience = wire.Broadcast()
	}
	return trace.Publication{Messages: msgs}
}

// TestOff: nothing runs and nothing is made, and a trace still goes on.
func TestOff(t *testing.T) {
	before := runtime.NumGoroutine()
	r := newRecorder(t)
	if r != nil || runtime.NumGoroutine() > before {
		t.Fatalf("%v, %d goroutines more", r, runtime.NumGoroutine()-before)
	}
	ctx, request := r.Request(t.Context(), header(sampled))
	ctx, publishing := r.Publish(ctx, toEverybody(1))
	_, storing := r.Store(ctx, "SV_LOG", "0", 1)
	if got := carried(ctx, 0); got["traceparent"] != sampled || trace.ID(ctx) != traceID {
		t.Errorf("carries %v, of %q", got, trace.ID(ctx))
	}
	storing.End(nil)
	publishing.End(nil, nil)
	request.End("GET", "/", 200)
	if d := r.Deliver(&wire.Entry{Trace: wire.Trace{Parent: sampled}}, wire.Subjects{}, 1); d != nil {
		t.Error("a delivery is recorded")
	}
	stop(t, r)
	if n := testing.AllocsPerRun(100, func() {
		ctx, request := r.Request(t.Context(), nil)
		ctx, publishing := r.Publish(ctx, trace.Publication{})
		_, storing := r.Store(ctx, "", "", 1)
		storing.End(nil)
		publishing.End(nil, nil)
		request.End("", "", 0)
	}); n > 0 {
		t.Errorf("%v allocations although nothing is recorded", n)
	}
}

// TestProtocols: the same arrives by HTTP and by gRPC, with what the environment says of
// the process.
func TestProtocols(t *testing.T) {
	for protocol, start := range map[string]func() (*tracetest.Collector, error){
		"http/protobuf": tracetest.Start, "grpc": tracetest.StartGRPC,
	} {
		t.Run(protocol, func(t *testing.T) {
			c, err := start()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL())
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
			t.Setenv("OTEL_SERVICE_NAME", "bell")
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other")
			r := newRecorder(t)
			_, request := r.Request(t.Context(), header(sampled))
			request.End("BREW", "/api/v1/ws/toast", 503)
			stop(t, r)
			spans := c.Spans()
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			s := spans[0]
			if s.Service != "bell" || s.Process["deployment.environment.name"] != "test" || s.Process["service.version"] != "v1" || s.Process["service.instance.id"] != "node-1" {
				t.Errorf("the process is %v", s.Process)
			}
			if s.Trace != traceID || s.Parent != spanID || s.Name != "_OTHER /api/v1/ws/toast" || !s.Failed || s.Attributes["http.response.status_code"] != "503" {
				t.Errorf("%+v", s)
			}
			if protocol == "http/protobuf" && c.Header().Get("Authorization") != "Bearer abc" {
				t.Errorf("headers: %v", c.Header())
			}
		})
	}
}

func TestWrongResource(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no pairs")
	_, err := trace.New(t.Context(), trace.Process{}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "OTEL_RESOURCE_ATTRIBUTES") {
		t.Error(err)
	}
}

// TestCarry: what a message says of its trace, by who asked for it and by the sampler here.
func TestCarry(t *testing.T) {
	for name, tt := range map[string]struct {
		sampler, given string
		flag           string // "": no header
		sameSpan       bool   // the parent stays the one given
	}{
		"a new trace":                   {"parentbased_always_on", "", "01", false},
		"a trace of the caller's":       {"parentbased_always_on", sampled, "01", false},
		"an unsampled one":              {"parentbased_always_on", passed, "00", true},
		"a new trace, unsampled":        {"parentbased_always_off", "", "", false},
		"sampled there, not here":       {"always_off", sampled, "00", true},
		"unsampled there, sampled here": {"always_on", passed, "01", false},
		"malformed, so a new trace":     {"parentbased_always_on", "00-xyz-01", "01", false},
		"a version of the future":       {"parentbased_always_on", "cc" + sampled[2:] + "-more", "01", false},
		"no version, so a new trace":    {"parentbased_always_on", "ff" + sampled[2:], "01", false},
	} {
		t.Run(name, func(t *testing.T) {
			r, c := record(t, "OTEL_TRACES_SAMPLER", tt.sampler)
			ctx, request := r.Request(t.Context(), header(tt.given))
			ctx, publishing := r.Publish(ctx, toEverybody(1))
			got := carried(ctx, 0)["traceparent"]
			publishing.End(nil, nil)
			request.End("POST", "/", 201)
			stop(t, r)
			if !strings.HasSuffix(got, tt.flag) || (tt.flag == "") != (got == "") {
				t.Fatalf("carries %q, want the flag %q", got, tt.flag)
			}
			const ids = len(sampled) - len("-01")
			if same := len(got) > ids && strings.HasPrefix(tt.given, got[:ids]); same != tt.sameSpan {
				t.Errorf("carries %q, was given %q", got, tt.given)
			}
			want := 0
			if tt.flag == "01" {
				want = 2
			}
			if n := len(c.Spans()); n != want {
				t.Errorf("%d spans, want %d", n, want)
			}
		})
	}
}

// TestLongState: a tracestate of more than has to be passed on is left behind, its trace not.
func TestLongState(t *testing.T) {
	for members, want := range map[int]bool{2: true, 3: false} { // of 202 bytes each
		var state []string
		for i := range members {
			state = append(state, string(rune('a'+i))+"="+strings.Repeat("x", 200))
		}
		h := header(sampled)
		h.Set("Tracestate", strings.Join(state, ","))
		ctx := trace.FromRequest(t.Context(), h)
		got := carried(ctx, 0)
		if _, there := got["tracestate"]; there != want || got["traceparent"] != sampled {
			t.Errorf("of %d members: %v", members, got)
		}
	}
}

// TestBatch: of very many messages in one publish, some carry the flag; all carry the trace.
func TestBatch(t *testing.T) {
	r, c := record(t)
	ctx, publishing := r.Publish(t.Context(), toEverybody(1000))
	flags := map[string]int{}
	for i := range 1000 {
		h := carried(ctx, i)["traceparent"]
		flags[h[len(h)-2:]]++
		if !strings.Contains(h, trace.ID(ctx)) {
			t.Fatalf("message %d carries %s", i, h)
		}
	}
	publishing.End(nil, wire.ErrUnavailable)
	stop(t, r)
	if flags["01"] != 32 || flags["00"] != 968 {
		t.Errorf("flags: %v", flags)
	}
	s := c.Spans()[0]
	if s.Attributes["messaging.batch.message_count"] != "1000" || !s.Failed || s.Attributes["error.type"] != "unavailable" {
		t.Errorf("%+v", s)
	}
}
