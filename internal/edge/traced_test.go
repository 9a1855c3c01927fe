package edge

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"
	"weak"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/trace/tracetest"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
	sampled   = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)

// trace has a crowd's edge record, and returns what the collector has got at the end.
func (c *crowd) trace(tb testing.TB) (spans func() []tracetest.Span) {
	tb.Helper()
	collector, err := tracetest.Start()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(collector.Close)
	tb.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL())
	tb.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100000")
	r, err := trace.New(tb.Context(), trace.Process{Node: "edge-0"}, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), time.Minute)
	tb.Cleanup(func() {
		r.Stop(ctx) //nolint:errcheck // done already, or it is not about the spans
		cancel()
	})
	c.edge.cfg.Trace = r
	c.edge.traces = newTracing(&c.edge.cfg)
	return func() []tracetest.Span {
		if err := r.Stop(ctx); err != nil {
			tb.Fatal(err)
		}
		return collector.Spans()
	}
}

func (c *crowd) appendTraced(to wire.Audience, traceparent string) {
	c.seq++
	c.edge.Append(&wire.Entry{
		Position: wire.Position{Life: 1, Seq: c.seq}, Time: time.Now(), Audience: to,
		Envelope: wire.Envelope{Type: "toast", Payload: []byte(`{"title":"a title"}`)},
		Trace:    wire.Trace{Parent: traceparent},
	})
}

// signIn adds a session of one user to the first loop.
func (c *crowd) signIn(tb testing.TB, uid string) {
	tb.Helper()
	l := c.edge.loops[0]
	l.deliver.route()
	slot, session := l.conns.add(int(l.conns.at(0).fd))
	session.state, session.more = stateSetUp, &more{}
	l.begin(refOf(slot, session), session, &reply{
		ok: true, gen: c.edge.gen.Load(), after: wire.Vector{c.seq}, identity: auth.Identity{UID: uid, Expires: time.Now().Add(time.Hour)},
	})
	if session.state != stateLive {
		tb.Fatalf("%s is in state %d", uid, session.state)
	}
}

func named(spans []tracetest.Span, name string) []tracetest.Span {
	return slices.DeleteFunc(slices.Clone(spans), func(s tracetest.Span) bool { return s.Name != name })
}

// TestTraced: one span of a delivery says how many sessions of all loops got it; of the
// writes to sockets, few have one.
func TestTraced(t *testing.T) {
	c := newCrowd(t, 3000, 2)
	c.join(500, "chess")
	for range 12 {
		c.signIn(t, "ada")
	}
	for _, l := range c.edge.loops {
		work(l)
	}
	spans := c.trace(t)
	c.appendTraced(wire.Broadcast(), sampled)
	c.appendTraced(wire.Topic("chess"), sampled)
	c.appendTraced(wire.User("ada"), sampled)
	c.appendTraced(wire.User("nobody"), sampled)
	c.appendTraced(wire.Broadcast(), unsampled)
	c.appendTraced(wire.Broadcast(), "")
	c.appendTraced(wire.Broadcast(), "00-not of this form but as long as if it were oneeeee-01")
	c.deliver()
	got := spans()
	writes := map[string]int{}
	for _, w := range named(got, "write") {
		writes[w.Parent]++
	}
	for _, want := range []struct {
		to       string
		sessions int
		writes   []int // one each delivery of this name
	}{
		{"sv.ws.broadcast", 3012, []int{1}},
		{"sv.ws.topic.{id}", 500, []int{1}},
		{"sv.ws.user.{id}", 12, []int{8, 0}},
	} {
		deliveries := named(got, "deliver "+want.to)
		var counts []int
		for _, d := range deliveries {
			counts = append(counts, writes[d.ID])
			if d.Parent != sampled[36:52] || d.Trace != sampled[3:35] || !slices.Equal(d.Events, []string{"stored"}) {
				t.Errorf("%+v", d)
			}
			if n := d.Attributes["vibemesh.sessions"]; n != fmt.Sprint(want.sessions) && n != "0" {
				t.Errorf("%s: %s sessions, want %d", want.to, n, want.sessions)
			}
		}
		slices.Sort(counts)
		slices.Reverse(counts)
		if !slices.Equal(counts, want.writes) {
			t.Errorf("%s: writes with a span %v, want %v", want.to, counts, want.writes)
		}
	}
	if n := len(got); n != 4+1+1+8 {
		t.Errorf("%d spans: %v", n, got)
	}
}

// TestTracedPast: what the tail reads before it is at the head is nobody's delivery.
func TestTracedPast(t *testing.T) {
	c := newCrowd(t, 1, 1)
	caughtUp := false
	c.edge.cfg.CaughtUp = func() bool { return caughtUp }
	spans := c.trace(t)
	c.appendTraced(wire.Broadcast(), sampled)
	c.deliver()
	caughtUp = true
	c.appendTraced(wire.Broadcast(), sampled)
	c.deliver()
	got := named(spans(), "deliver sv.ws.broadcast")
	if len(got) != 1 || got[0].Attributes["messaging.message.id"] != "0-1-2" {
		t.Errorf("%v, want that of the second", got)
	}
}

// TestTracedTooMany: an edge follows the last so many, and says of the others that it does
// not. What it starts over with, it gives up.
func TestTracedTooMany(t *testing.T) {
	c := newCrowd(t, 10, 2)
	spans := c.trace(t)
	for range maxTraced + 5 {
		c.appendTraced(wire.Broadcast(), sampled)
	}
	c.deliver()
	c.appendTraced(wire.Broadcast(), sampled)
	c.edge.Begin([]uint64{2}, wire.Vector{0})
	c.deliver()
	ended := map[string]int{}
	for _, d := range named(spans(), "deliver sv.ws.broadcast") {
		if len(d.Events) == 1 {
			ended[d.Attributes["vibemesh.sessions"]]++
		} else {
			ended[d.Events[1]]++
		}
	}
	if ended["10"] != maxTraced || ended["too many are followed"] != 5 || ended["the edge starts over"] != 1 || len(ended) != 3 {
		t.Errorf("deliveries ended like this: %v", ended)
	}
	for _, l := range c.edge.loops {
		if len(l.deliver.traced) > 0 {
			t.Errorf("a loop follows %d still", len(l.deliver.traced))
		}
	}
}

// TestTracedLetsGo: a table that is never full again must not keep the ring of before.
func TestTracedLetsGo(t *testing.T) {
	c := newCrowd(t, 10, 2)
	c.trace(t)
	c.appendTraced(wire.Broadcast(), sampled)
	c.deliver()
	before := weak.Make(c.edge.gen.Load().ring)
	c.edge.Begin([]uint64{2}, wire.Vector{0})
	for _, l := range c.edge.loops {
		l.deliver.route()
	}
	runtime.GC()
	if before.Value() != nil {
		t.Error("the ring of before is kept after the edge started over")
	}
}

// TestExamples: a bucket shows the newest sampled delivery that fell in it, of any loop.
func TestExamples(t *testing.T) {
	c := newCrowd(t, 4, 2)
	c.trace(t)
	var m dto.Metric
	write := func() []*dto.Bucket {
		t.Helper()
		if err := c.edge.metrics.latency().Write(&m); err != nil {
			t.Fatal(err)
		}
		return m.Histogram.Bucket
	}
	c.appendTraced(wire.Broadcast(), unsampled)
	c.deliver()
	for _, b := range write() {
		if b.Exemplar != nil {
			t.Errorf("an example of what is not sampled: %v", b.Exemplar)
		}
	}
	c.seq++
	c.edge.Append(&wire.Entry{ // older than the last bound
		Position: wire.Position{Life: 1, Seq: c.seq}, Time: time.Now().Add(-2 * time.Minute), Audience: wire.Broadcast(),
		Envelope: wire.Envelope{Type: "toast", Payload: []byte(`{}`)}, Trace: wire.Trace{Parent: sampled},
	})
	c.deliver()
	buckets := write()
	last := buckets[len(buckets)-1]
	labels := map[string]string{}
	for _, l := range last.GetExemplar().GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	if v := last.GetExemplar().GetValue(); labels["trace_id"] != sampled[3:35] || len(labels["span_id"]) != 16 || v < 120 || v > 180 {
		t.Errorf("the example of the last bucket is %v", last.GetExemplar())
	}
}

// TestUntracedAllocates: a message that is not sampled costs an edge that records no
// allocation more than one that does not record.
func TestUntracedAllocates(t *testing.T) {
	per := func(record bool, traceparent string) float64 {
		c := newCrowd(t, 100, 1)
		if record {
			c.trace(t)
		}
		return testing.AllocsPerRun(2000, func() {
			c.appendTraced(wire.User(userName(7)), traceparent)
			c.deliver()
		})
	}
	off := per(false, "")
	for _, traceparent := range []string{"", unsampled} {
		if on := per(true, traceparent); on > off {
			t.Errorf("traceparent %q: %v allocations, %v where nothing is recorded", traceparent, on, off)
		}
	}
}

// BenchmarkTraced is what a message costs an edge from the tail to the sockets, by what
// its trace is.
func BenchmarkTraced(b *testing.B) {
	for _, to := range []struct {
		name     string
		audience wire.Audience
	}{{"user", wire.User(userName(7))}, {"broadcast", wire.Broadcast()}} {
		for _, of := range []struct {
			name, traceparent string
			record            bool
		}{{"off", "", false}, {"none", "", true}, {"unsampled", unsampled, true}, {"sampled", sampled, true}} {
			b.Run(to.name+"/"+of.name, func(b *testing.B) {
				c := newCrowd(b, 10_000, 1)
				if of.record {
					c.trace(b)
				}
				b.ReportAllocs()
				var n uint64
				for b.Loop() {
					c.appendTraced(to.audience, of.traceparent)
					n += c.deliver()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/delivery")
			})
		}
	}
}
