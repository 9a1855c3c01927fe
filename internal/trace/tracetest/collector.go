// Package tracetest is a collector for tests: it takes spans in by OTLP, as protobuf over
// HTTP or gRPC, and keeps them.
package tracetest

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Span is a span as it came, ids in hexadecimal.
type Span struct {
	Service, Name       string
	Trace, ID, Parent   string
	State               string // tracestate
	Kind                string // such as SPAN_KIND_SERVER
	Failed              bool
	Start, End          time.Time
	Attributes, Process map[string]string // of the span, of its resource
	Events              []string
}

// Collector keeps the spans it is sent.
type Collector struct {
	collector.UnimplementedTraceServiceServer
	url string
	end func()

	mu     sync.Mutex
	spans  []Span
	header http.Header // of the newest request by HTTP
}

// Start listens for OTLP over HTTP on a free port.
func Start() (*Collector, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Collector{url: "http://" + ln.Addr().String()}
	srv := &http.Server{Handler: c, ReadHeaderTimeout: 5 * time.Second}
	go srv.Serve(ln) //nolint:errcheck // it ends with Close
	c.end = func() { srv.Close() }
	return c, nil
}

// StartGRPC listens for OTLP over gRPC on a free port.
func StartGRPC() (*Collector, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &Collector{url: "http://" + ln.Addr().String()}
	srv := grpc.NewServer()
	collector.RegisterTraceServiceServer(srv, c)
	go srv.Serve(ln) //nolint:errcheck // it ends with Close
	c.end = srv.Stop
	return c, nil
}

// URL is what OTEL_EXPORTER_OTLP_ENDPOINT is to say.
func (c *Collector) URL() string { return c.url }

// Close ends the collector.
func (c *Collector) Close() { c.end() }

// Spans are those that have come.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Header is that of the newest request by HTTP.
func (c *Collector) Header() http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.header.Clone()
}

// ServeHTTP takes an export by HTTP.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &req)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "not an export of spans", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.header = r.Header
	c.mu.Unlock()
	c.take(&req)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// Export takes an export by gRPC.
func (c *Collector) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	c.take(req)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (c *Collector) take(req *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range req.ResourceSpans {
		process := values(rs.Resource.GetAttributes())
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans = append(c.spans, span(s, process))
			}
		}
	}
}

func span(s *trace.Span, process map[string]string) Span {
	out := Span{
		Service: process["service.name"], Name: s.Name, State: s.TraceState, Kind: s.Kind.String(),
		Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Failed: s.Status.GetCode() == trace.Status_STATUS_CODE_ERROR,
		Start:  time.Unix(0, int64(s.StartTimeUnixNano)), End: time.Unix(0, int64(s.EndTimeUnixNano)),
		Attributes: values(s.Attributes), Process: process,
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, e.Name)
	}
	return out
}

func values(kvs []*common.KeyValue) map[string]string {
	m := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		switch v := kv.Value.GetValue().(type) {
		case *common.AnyValue_StringValue:
			m[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			m[kv.Key] = strconv.FormatInt(v.IntValue, 10)
		case *common.AnyValue_BoolValue:
			m[kv.Key] = strconv.FormatBool(v.BoolValue)
		}
	}
	return m
}
