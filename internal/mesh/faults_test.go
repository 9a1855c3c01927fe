package mesh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// collectFaults makes a Collector of faults alone.
type collectFaults struct{ *faults }

func (c collectFaults) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }
func (c collectFaults) Collect(ch chan<- prometheus.Metric) { c.collect(ch) }

// TestFaultsAreCounted: by what they mean, however they are wrapped, and each kind of each
// connection is there from the start, so that its first increase is one.
func TestFaultsAreCounted(t *testing.T) {
	var f faults
	if n := testutil.CollectAndCount(collectFaults{&f}); n != len(roles)*len(faultKinds) {
		t.Errorf("%d series before anything was reported, want %d", n, len(roles)*len(faultKinds))
	}
	if !f.count("tail", nats.ErrSlowConsumer) || f.count("tail", fmt.Errorf("%w on sv.ws.>", nats.ErrSlowConsumer)) {
		t.Error("a flood is not logged once")
	}
	f.count("read", fmt.Errorf("%w: for publish to x", nats.ErrPermissionViolation))
	f.count("signal", nats.ErrAuthExpired)
	f.count("publish", errors.New("something new"))
	f.count("nobody", nats.ErrSlowConsumer)
	var want strings.Builder
	want.WriteString("# HELP vibemesh_nats_errors_total Errors that a connection to NATS reported by itself, by kind.\n# TYPE vibemesh_nats_errors_total counter\n")
	counts := map[string]int{"tail slow_consumer": 2, "read permissions": 1, "signal authorization": 1, "publish other": 1}
	for _, role := range roles {
		for _, kind := range faultKinds {
			fmt.Fprintf(&want, "vibemesh_nats_errors_total{connection=%q,error=%q} %d\n", role, kind, counts[role+" "+kind])
		}
	}
	if err := testutil.CollectAndCompare(collectFaults{&f}, strings.NewReader(want.String())); err != nil {
		t.Error(err)
	}
}

// blocked is a SignalSink that takes nothing until it is closed.
type blocked chan struct{}

func (b blocked) Signal(wire.Audience, string, string, wire.Envelope) { <-b }

// TestDroppedSignalsAreCounted: signals that come faster than they are looked at are a slow
// consumer like any other, to the metric that an alert looks at.
func TestDroppedSignalsAreCounted(t *testing.T) {
	s := withUser(t, "one")
	var said lines
	url := fmt.Sprintf("nats://mesh:one@%s", s.Addr())
	m, err := Connect(t.Context(), Config{URLs: []string{url}, Node: "test"}, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	signals, sink := m.NewSignals(), make(blocked)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- signals.Run(ctx, sink) }()
	defer func() {
		cancel()
		close(sink)
		<-ended
	}()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	topics := []wire.Audience{wire.Topic("chess"), wire.Topic("go")}
	for _, topic := range topics {
		signals.Want(topic)
	}
	slow := func() uint64 { return m.faults.of[slices.Index(roles[:], "signal")][faultSlow].Load() }
	deadline, tick := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for slow() < uint64(len(topics)) {
		for _, topic := range topics {
			for range signalsIn / 4 {
				if err := nc.Publish("sv.signal.topic."+topic.ID, []byte(`{"type":"typing","payload":{}}`)); err != nil {
					t.Fatal(err)
				}
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d subscriptions are known to be slow, want %d", slow(), len(topics))
		}
	}
	if said.with("slow consumer") == 0 {
		t.Error("no line says so")
	}
}

// TestPasswordsAreNotLogged: WS_NATS_URL may have one, and no server may be there.
func TestPasswordsAreNotLogged(t *testing.T) {
	var log strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, Config{URLs: []string{"nats://mesh:s3cret@127.0.0.1:1", "nats://t0ken@127.0.0.1:2"}}, slog.New(slog.NewTextHandler(&log, nil)))
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1,127.0.0.1:2") {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cret", "t0ken"} {
		if text := log.String() + err.Error(); strings.Contains(text, secret) {
			t.Errorf("%s is shown: %s", secret, text)
		}
	}
	var told []Finding
	Examine(t.Context(), Examination{URLs: []string{"nats://mesh:100%s3cret@127.0.0.1:1"}, Now: time.Now, Timeout: time.Second}, func(f Finding) { told = append(told, f) })
	if text := fmt.Sprint(told); len(told) == 0 || strings.Contains(text, "s3cret") {
		t.Errorf("the password is shown: %s", text)
	}
}
