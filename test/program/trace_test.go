package program_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/trace/tracetest"
)

const (
	traceID  = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID = "00f067aa0ba902b7"
)

// exportsTo is what makes a process send its spans to a collector, without waiting long.
func exportsTo(c *tracetest.Collector, more ...string) []string {
	return append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL(), "OTEL_BSP_SCHEDULE_DELAY=50"}, more...)
}

func startCollector(t *testing.T) *tracetest.Collector {
	t.Helper()
	c, err := tracetest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// postTraced publishes as a program whose request is in a trace.
func postTraced(t *testing.T, base, traceparent, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, base+"/api/v1/ws/toast", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-SV-KEY", secret)
	req.Header.Set("traceparent", traceparent)
	req.Header.Set("tracestate", "shop=t61")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
}

// await waits until a span of each of some names has come, and returns the first of each.
func await(t *testing.T, c *tracetest.Collector, names ...string) []tracetest.Span {
	t.Helper()
	found := make([]tracetest.Span, len(names))
	eventually(t, "there: "+strings.Join(names, ", "), func() bool {
		spans := c.Spans()
		for i, name := range names {
			at := slices.IndexFunc(spans, func(s tracetest.Span) bool { return s.Name == name })
			if at < 0 {
				return false
			}
			found[i] = spans[at]
		}
		return true
	})
	return found
}

// TestTrace follows one message from a request with a traceparent through an API process,
// NATS and an edge process to a socket: one trace, each span the child of the one before.
func TestTrace(t *testing.T) {
	n := startNATS(t)
	provision(t, n.URL())
	c := startCollector(t)
	edge := start(t, "edge", exportsTo(c, "WS_NATS_URL="+n.URL())...)
	api := start(t, "api", exportsTo(c, "WS_NATS_URL="+n.URL(), "WS_LOG_LEVEL=debug")...)
	ada := follow(t, edge.url(), "ada")
	postTraced(t, api.url(), "00-"+traceID+"-"+parentID+"-01", `{"to":{"user":"ada"},"title":"Your dinner is here"}`)
	ada.wants(t, []string{"Your dinner is here"})

	const subject = "sv.ws.user.{id}"
	spans := await(t, c, "POST /api/v1/ws/toast", "publish "+subject, "store SV_LOG", "deliver "+subject, "write")
	request, publish, store, deliver, write := spans[0], spans[1], spans[2], spans[3], spans[4]
	for _, s := range []struct {
		span            tracetest.Span
		parent, service string
		kind            string
	}{
		{request, parentID, "vibemesh-api", "SPAN_KIND_SERVER"},
		{publish, request.ID, "vibemesh-api", "SPAN_KIND_PRODUCER"},
		{store, publish.ID, "vibemesh-api", "SPAN_KIND_CLIENT"},
		{deliver, publish.ID, "vibemesh-edge", "SPAN_KIND_CONSUMER"},
		{write, deliver.ID, "vibemesh-edge", "SPAN_KIND_INTERNAL"},
	} {
		if s.span.Trace != traceID || s.span.Parent != s.parent || s.span.Service != s.service || s.span.Kind != s.kind || s.span.State != "shop=t61" {
			t.Errorf("%+v\nwant the parent %s, of %s, %s", s.span, s.parent, s.service, s.kind)
		}
	}
	if deliver.Attributes["messaging.system"] != "nats" || deliver.Attributes["vibemesh.sessions"] != "1" ||
		deliver.Attributes["vibemesh.audience"] != "user" || deliver.Attributes["vibemesh.node"] != "edge" ||
		deliver.Attributes["messaging.message.id"] != publish.Attributes["messaging.message.id"] {
		t.Errorf("deliver has %v, publish %v", deliver.Attributes, publish.Attributes)
	}
	for _, s := range c.Spans() {
		for key, value := range s.Attributes {
			if strings.Contains(value, "ada") || strings.Contains(value, "dinner") || strings.Contains(value, secret) {
				t.Errorf("%s tells %s = %s", s.Name, key, value)
			}
		}
	}
	if !api.said(`"trace_id":"` + traceID) {
		t.Error("the line of the request does not name its trace")
	}
	for _, p := range []struct{ of, metric string }{{edge.ops, "vibemesh_edge_delivery_seconds_bucket"}, {api.ops, "vibemesh_api_request_seconds_bucket"}} {
		if line := exemplar(t, p.of, p.metric); !strings.Contains(line, `trace_id="`+traceID+`"`) {
			t.Errorf("%s has no example of the trace: %q", p.metric, line)
		}
	}
}

// exemplar is the first sample of a metric that has an exemplar (OpenMetrics 1.0).
func exemplar(t *testing.T, ops, metric string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+ops+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/openmetrics-text") {
		t.Fatalf("%s, %v", resp.Header.Get("Content-Type"), err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, metric) && strings.Contains(line, " # {") {
			return line
		}
	}
	return ""
}

// TestTraceOfABackend: what a program publishes to NATS with a traceparent is traced by the
// edge, and what is not sampled is by nobody, though its headers go on.
func TestTraceOfABackend(t *testing.T) {
	c := startCollector(t)
	p := start(t, "run", exportsTo(c)...)
	ada := follow(t, p.url(), "ada")
	nc, err := nats.Connect(p.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("sv.ws.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil { // what is published by another connection may be quicker
		t.Fatal(err)
	}
	const unsampled = "00-00000000000000000000000000000abc-" + parentID + "-00"
	postTraced(t, p.url(), unsampled, `{"title":"one"}`)
	stored, err := sub.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := stored.Header.Get("traceparent"); got != unsampled {
		t.Errorf("traceparent of what is stored is %q", got)
	}
	msg := nats.NewMsg("sv.ws.broadcast")
	msg.Data = []byte(`{"type":"toast","payload":{"title":"two"}}`)
	msg.Header.Set("Traceparent", "00-"+traceID+"-"+parentID+"-01") // as net/http writes it
	if _, err := nc.RequestMsg(msg, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	ada.wants(t, []string{"one", "two"})
	deliver := await(t, c, "deliver sv.ws.broadcast", "write")[0]
	if deliver.Trace != traceID || deliver.Parent != parentID {
		t.Errorf("%+v", deliver)
	}
	if status := p.terminate(); status != 0 {
		t.Errorf("the exit status is %d", status)
	}
	for _, s := range c.Spans() {
		if s.Trace != traceID {
			t.Errorf("a span of another trace: %+v", s)
		}
	}
}

// TestTraceWithoutCollector: nobody answers at the endpoint; the mesh works, says so, and
// counts each span that it could not tell, whether it was dropped or its export failed.
func TestTraceWithoutCollector(t *testing.T) {
	c := startCollector(t)
	c.Close()
	p := start(t, "run", exportsTo(c, "OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_EXPORT_TIMEOUT=200")...)
	ada := follow(t, p.url(), "ada")
	const toasts, spansEach = 20, 5 // the request, publish, store, deliver, write
	var want []string
	for range toasts {
		postTraced(t, p.url(), "00-"+traceID+"-"+parentID+"-01", `{"title":"still"}`)
		want = append(want, "still")
	}
	ada.wants(t, want)
	eventually(t, "counted", func() bool {
		return p.spans(t, "dropped")+p.spans(t, "failed") == toasts*spansEach
	})
	if exported := p.spans(t, "exported"); exported != 0 {
		t.Errorf("%d spans were exported to nobody", exported)
	}
	if !p.said("spans could not be exported") {
		t.Error("it did not say that nothing is exported")
	}
	if status := p.terminate(); status != 0 {
		t.Errorf("the exit status is %d", status)
	}
}

// spans is how many spans a process has counted with a result.
func (p *process) spans(t *testing.T, result string) int {
	t.Helper()
	_, text := p.get("http://" + p.ops + "/metrics")
	_, after, found := strings.Cut(text, `vibemesh_trace_spans_total{result="`+result+`"} `)
	number, _, _ := strings.Cut(after, "\n")
	n, err := strconv.Atoi(number)
	if !found || err != nil {
		t.Fatalf("no count of %s spans: %q", result, number)
	}
	return n
}

// TestTraceSettings: what is wrong is said at the start, with status 2.
func TestTraceSettings(t *testing.T) {
	cmd := exec.Command(filepath.Join(bin, "vibemesh"), "run")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "WS_AUTH=dev", "WS_ADDR=127.0.0.1:0", "WS_NATS_LISTEN=",
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318", "OTEL_TRACES_SAMPLER=sometimes")
	out, err := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("the exit status is %d, %v", code, err)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER"} {
		if !strings.Contains(string(out), name) {
			t.Errorf("nothing about %s:\n%s", name, out)
		}
	}
}

// TestTraceConsole: spans are lines of JSON on standard output.
func TestTraceConsole(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "spans"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command(filepath.Join(bin, "vibemesh"), "run")
	cmd.Dir, cmd.Stdout = t.TempDir(), file
	p := launch(t, cmd, "WS_AUTH=dev", "WS_ADDR=127.0.0.1:0", "WS_OPS_ADDR=127.0.0.1:0", "WS_NATS_LISTEN=",
		"WS_PUBLISH_SECRET="+secret, "WS_LOG_FORMAT=json", "OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=50")
	follow(t, p.url(), "ada")
	if status, answer := post(t, p.url(), map[string]any{"title": "hi"}); status != http.StatusCreated {
		t.Fatalf("%d %v", status, answer)
	}
	eventually(t, "on standard output", func() bool {
		text, err := os.ReadFile(file.Name())
		return err == nil && bytes.Contains(text, []byte(`"Name":"publish sv.ws.broadcast"`)) && bytes.Contains(text, []byte(`"Name":"write"`))
	})
}
