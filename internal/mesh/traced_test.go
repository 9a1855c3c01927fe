package mesh_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/trace/tracetest"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// recording is a mesh of several partitions that traces what it publishes.
func recording(t *testing.T, partitions int) (m *mesh.Mesh, spans func() []tracetest.Span) {
	t.Helper()
	c, err := tracetest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL())
	r, err := trace.New(t.Context(), trace.Process{Node: "api-0"}, prometheus.NewRegistry(), quiet())
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(stop)
	_, srv, _ := logOf(t, partitions)
	m = connectTo(t, mesh.Config{URLs: []string{srv.URL()}, Subjects: wire.Subjects{}.Partitioned(partitions), Trace: r})
	return m, func() []tracetest.Span { stop(); return c.Spans() }
}

// tracedTail is a sink that keeps what the tail brings.
type tracedTail chan wire.Entry

func (e tracedTail) Begin([]uint64, wire.Vector) {}
func (e tracedTail) Append(entry *wire.Entry)    { e <- *entry }
func (e tracedTail) Skip(int, uint64)            {}

// followed is the tail of a mesh, until the test ends.
func followed(t *testing.T, m *mesh.Mesh) tracedTail {
	t.Helper()
	e := make(tracedTail, 100)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Follow(ctx, e, 0); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return e
}

func (e tracedTail) next(t *testing.T) wire.Entry {
	t.Helper()
	select {
	case entry := <-e:
		return entry
	case <-time.After(30 * time.Second):
		t.Fatal("no entry came")
	}
	return wire.Entry{}
}

// TestPublishIsTraced: a batch over partitions is one span, with one for each partition's
// acknowledgement, and each of its messages carries it.
func TestPublishIsTraced(t *testing.T) {
	m, spans := recording(t, 4)
	tail := followed(t, m)
	to := []wire.Audience{wire.Broadcast(), wire.User("ada"), wire.User("bob"), wire.Topic("chess")}
	var msgs []wire.Message
	for _, a := range to {
		msgs = append(msgs, message(a, "hi"))
	}
	publish(t, m, msgs...)
	carried := map[string]bool{}
	for range to {
		entry := tail.next(t)
		carried[entry.Trace.Parent] = true
		if !entry.Trace.Sampled() || entry.Trace.Scheduled {
			t.Errorf("%s has the trace %+v", entry.Audience.To(), entry.Trace)
		}
	}
	var publishing tracetest.Span
	stores := 0
	all := spans()
	for _, s := range all {
		if s.Name == "publish sv.ws.>" {
			publishing = s
		}
	}
	for _, s := range all {
		if strings.HasPrefix(s.Name, "store SV_LOG") && s.Parent == publishing.ID && s.Attributes["messaging.destination.partition.id"] != "" {
			stores++
		}
	}
	if want := "00-" + publishing.Trace + "-" + publishing.ID + "-01"; len(carried) != 1 || !carried[want] {
		t.Errorf("the messages carry %v, want %s", carried, want)
	}
	if publishing.Attributes["vibemesh.audience"] != "several" || stores < 2 || len(all) != 1+stores {
		t.Errorf("%d spans, %d of them stores: %+v", len(all), stores, all)
	}
}

// TestScheduleIsTraced: what JetStream delivers later is in the trace of who published it.
func TestScheduleIsTraced(t *testing.T) {
	m, spans := recording(t, 1)
	tail := followed(t, m)
	publish(t, m, later(message(wire.User("ada"), "later"), time.Second))
	entry := tail.next(t)
	if !entry.Trace.Scheduled || !entry.Trace.Sampled() {
		t.Errorf("%+v", entry.Trace)
	}
	found := false
	for _, s := range spans() {
		if s.Name == "publish sv.ws.user.{id}" {
			found = s.Attributes["vibemesh.scheduled"] == "true" && entry.Trace.Parent == "00-"+s.Trace+"-"+s.ID+"-01"
		}
	}
	if !found {
		t.Errorf("no span of publishing that %q comes from", entry.Trace.Parent)
	}
}

// TestPublishFailsTraced: a span tells that the log was out of reach, and nothing of what
// was to be published.
func TestPublishFailsTraced(t *testing.T) {
	m, spans := recording(t, 1)
	m.Close()
	if _, err := m.Publish(t.Context(), []wire.Message{message(wire.User("ada"), "secret")}); err == nil {
		t.Fatal("published without a connection")
	}
	got := spans()
	if len(got) != 1 || !got[0].Failed || got[0].Attributes["error.type"] != "unavailable" || len(got[0].Events) > 0 {
		t.Errorf("%+v", got)
	}
}
