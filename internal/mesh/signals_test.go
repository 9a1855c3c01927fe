package mesh_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// heard gets signals as text.
type heard chan string

func (h heard) Signal(to wire.Audience, from, session string, env wire.Envelope) {
	h <- fmt.Sprint(to.To(), " ", to.ID, " from ", from, " ", session, " ", env.Type, string(env.Payload))
}

// next is the next signal.
func (h heard) next(t *testing.T) string {
	t.Helper()
	select {
	case text := <-h:
		return text
	case <-time.After(30 * time.Second):
		t.Fatal("no signal within 30 s")
		return ""
	}
}

// flush waits until NATS knows of the subscriptions: what others publish before that is
// nobody's.
func flush(t *testing.T, s *mesh.Signals) {
	t.Helper()
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
}

// metric reads one value of a collector.
func metric(t *testing.T, c prometheus.Collector, name string, labels ...string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			match := f.GetName() == name && len(m.GetLabel()) == len(labels)
			for i, l := range m.GetLabel() {
				match = match && l.GetValue() == labels[i]
			}
			if match {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s with %v", name, labels)
	return 0
}

func TestSignals(t *testing.T) {
	dir := t.TempDir()
	s := server(t, dir, "127.0.0.1:0")
	addr := strings.TrimPrefix(s.URL(), "nats://")
	m := connectTo(t, mesh.Config{URLs: []string{s.URL()}})
	signals, got := m.NewSignals(), make(heard, 100)
	running(t, func(ctx context.Context) error { return signals.Run(ctx, got) })
	subscribed := func() float64 { return metric(t, signals, "vibemesh_signal_subscriptions") }

	ada := wire.User("ada@example.org")
	for _, a := range []wire.Audience{ada, ada, wire.Topic("chess"), wire.Broadcast()} {
		signals.Want(a)
	}
	until(t, "subscribed", func() bool { return subscribed() == 3 })
	flush(t, signals)
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	publish := func(subject, data string, headers ...string) {
		t.Helper()
		msg := nats.NewMsg(subject)
		msg.Data = []byte(data)
		for i := 0; i < len(headers); i += 2 {
			msg.Header.Set(headers[i], headers[i+1])
		}
		if err := nc.PublishMsg(msg); err != nil {
			t.Fatal(err)
		}
	}
	encoded, err := wire.EncodeID("ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	publish("sv.signal.user."+encoded, `{"type":"typing","payload":{"on":true}}`)
	publish("sv.signal.topic.chess", `{"type":"typing","payload":{}}`, "Sv-From", encoded)
	publish("sv.signal.topic.go", `{"type":"typing","payload":{}}`)                // nobody wants it
	publish("sv.signal.broadcast", `{"type":"hello","payload":{}}`)                // the name of a frame
	publish("sv.signal.broadcast", `{"type":"x","payload":{}}`, "Sv-From", "a.b.") // no user
	publish("sv.signal.broadcast", `{"type":"x","payload":{}}`)
	for _, want := range []string{
		`user ada@example.org from   typing{"on":true}`, `topic:chess chess from ada@example.org  typing{}`, `broadcast  from   x{}`,
	} {
		if text := got.next(t); text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	signals.Signal(wire.Topic("chess"), "ada@example.org", "s1", wire.Envelope{Type: "typing", Payload: []byte(`{}`)})
	if text := got.next(t); text != `topic:chess chess from ada@example.org s1 typing{}` {
		t.Errorf("got %q", text)
	}
	if n := metric(t, signals, "vibemesh_signals_total", "malformed"); n != 2 {
		t.Errorf("%v malformed, want 2", n)
	}

	// The last who leaves ends it, after a while; who flaps in between changes nothing.
	signals.Unwant(ada)
	for range 1000 {
		signals.Unwant(wire.Topic("chess"))
		signals.Want(wire.Topic("chess"))
	}
	signals.Unwant(wire.Broadcast())
	until(t, "unsubscribed", func() bool { return subscribed() == 2 })

	// When NATS comes back, so do the subscriptions, also those that were asked for
	// meanwhile.
	nc.Close()
	s.Stop()
	until(t, "cut off", func() bool { return !signals.Connected() })
	signals.Want(wire.Topic("late"))
	signals.Signal(wire.Topic("chess"), "ada", "s1", wire.Envelope{Type: "typing", Payload: []byte(`{}`)})
	until(t, "dropped", func() bool { return metric(t, signals, "vibemesh_signals_total", "unreachable") == 1 })
	again := server(t, dir, addr)
	until(t, "back", signals.Connected)
	until(t, "subscribed to what was asked for meanwhile", func() bool { return subscribed() == 3 })
	flush(t, signals)
	if nc, err = nats.Connect(again.URL()); err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, topic := range []string{"chess", "late"} {
		publish("sv.signal.topic."+topic, `{"type":"typing","payload":{}}`)
		if text := got.next(t); !strings.HasPrefix(text, "topic:"+topic) {
			t.Errorf("got %q, want one to %s", text, topic)
		}
	}
}
