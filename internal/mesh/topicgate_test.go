package mesh_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestTopicGate(t *testing.T) {
	s := server(t, t.TempDir(), "127.0.0.1:0")
	g := connectTo(t, mesh.Config{Server: s}).NewTopicGate()
	if _, err := g.Ask(t.Context(), "ada", "chess"); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("without a service: %v", err)
	}
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var asked atomic.Int32
	_, err = nc.Subscribe("sv.auth.topic", func(m *nats.Msg) {
		asked.Add(1)
		switch q := string(m.Data); {
		case strings.Contains(q, `"topic":"silent"`):
			return
		case strings.Contains(q, `"topic":"nonsense"`):
			m.Respond([]byte(`{"ok":true}`))
		case strings.Contains(q, `"topic":"once"`):
			m.Respond([]byte(`{"allow":true,"ttl":0}`))
		case q == `{"uid":"ada","topic":"chess"}`:
			m.Respond([]byte(`{"allow":true,"ttl":60}`))
		default:
			m.Respond([]byte(`{"allow":false}`))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil { // who asks has a connection of its own
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 { // at the same time: asked once, or known by then
		wg.Go(func() {
			if allow, err := g.Ask(t.Context(), "ada", "chess"); !allow || err != nil {
				t.Errorf("ada may not join chess: %v", err)
			}
		})
	}
	wg.Wait()
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	if allow, known := g.Known("ada", "chess"); !allow || !known {
		t.Error("the answer is not remembered")
	}
	if allow, err := g.Ask(t.Context(), "bob", "chess"); allow || err != nil {
		t.Errorf("bob may join chess: %v", err)
	}
	if allow, known := g.Known("bob", "chess"); allow || !known {
		t.Error("the refusal is not remembered")
	}
	if allow, err := g.Ask(t.Context(), "ada", "once"); !allow || err != nil {
		t.Errorf("ada may not join once: %v", err)
	}
	if _, known := g.Known("ada", "once"); known {
		t.Error("an answer for no time is remembered")
	}
	for _, topic := range []string{"nonsense", "silent"} {
		if allow, err := g.Ask(t.Context(), "ada", topic); allow || !errors.Is(err, wire.ErrUnavailable) {
			t.Errorf("%s: %v, %v", topic, allow, err)
		}
		if _, known := g.Known("ada", topic); known {
			t.Errorf("%s: what was not answered is remembered", topic)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if allow, err := g.Ask(ended, "ada", "silent"); allow || !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("who has gone: %v, %v", allow, err)
	}
}
