package mesh_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestPageOfWhatWasPurged: what the log does not hold any more is not replayed from memory.
func TestPageOfWhatWasPurged(t *testing.T) {
	m, url := reachable(t, 0)
	for i := range 5 {
		publish(t, m, message(wire.Broadcast(), fmt.Sprint(i)))
	}
	m.Remember(t.Context())
	_, js := raw(t, url)
	log, err := js.Stream(t.Context(), "SV_LOG")
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Purge(t.Context(), jetstream.WithPurgeSequence(4)); err != nil { // 4 and 5 are kept
		t.Fatal(err)
	}
	p, err := m.Page(t.Context(), wire.PageRequest{Audiences: []wire.Audience{wire.Broadcast()}, After: wire.Vector{0}, UpTo: wire.Vector{5}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Entries) != 2 || p.State[0].First != 4 {
		t.Errorf("%d entries of a log that begins at %d", len(p.Entries), p.State[0].First)
	}
}
