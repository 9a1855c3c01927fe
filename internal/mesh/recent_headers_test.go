package mesh_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestRememberedHeaders: what publishers put into headers takes no memory.
func TestRememberedHeaders(t *testing.T) {
	m, url := reachable(t, 0)
	_, js := raw(t, url)
	pad := strings.Repeat("x", 60<<10)
	for i := range 200 {
		msg := nats.NewMsg("sv.ws.broadcast")
		msg.Header.Set("X-Pad", pad)
		msg.Data = fmt.Appendf(nil, `{"type":"toast","payload":{"title":"%d"}}`, i)
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := m.Newest(t.Context(), []wire.Audience{wire.Broadcast()}, nil, 5)
	if err != nil || len(entries) != 5 {
		t.Fatal(len(entries), err)
	}
	if got := m.RememberedBytes(); got > 4<<20 {
		t.Errorf("%d MiB are remembered, for 200 small events", got>>20)
	}
}
