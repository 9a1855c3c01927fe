package mesh_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
)

// TestTopicGateAsksOnce: of many who ask the same at the same time, none asks again
// because it came just when the answer did.
func TestTopicGateAsksOnce(t *testing.T) {
	m, url := reachable(t, 0)
	nc, _ := raw(t, url)
	g := m.NewTopicGate()
	var asked atomic.Int64
	if _, err := nc.Subscribe("sv.auth.topic", func(msg *nats.Msg) {
		asked.Add(1)
		msg.Respond([]byte(`{"allow":true,"ttl":60}`)) //nolint:errcheck // then Ask fails
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	const topics = 300
	for i := range topics {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if allow, err := g.Ask(t.Context(), "ada", fmt.Sprint(i)); !allow || err != nil {
					t.Errorf("%v, %v", allow, err)
				}
			})
		}
		all.Wait()
	}
	if n := asked.Load(); n != topics {
		t.Errorf("asked %d times, want %d", n, topics)
	}
}
