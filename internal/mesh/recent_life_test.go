package mesh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestPageOfALogThatBeganAnew: what was remembered of the log before does not keep a
// session from being replayed, although nobody asks for a history.
func TestPageOfALogThatBeganAnew(t *testing.T) {
	m, url := reachable(t, 0)
	for i := range 5 {
		publish(t, m, message(wire.Broadcast(), fmt.Sprint(i)))
	}
	m.Remember(t.Context())
	_, js := raw(t, url)
	if err := js.DeleteStream(t.Context(), "SV_LOG"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	publish(t, m, message(wire.Broadcast(), "new"))
	req := wire.PageRequest{Audiences: []wire.Audience{wire.Broadcast()}, After: wire.Vector{0}, UpTo: wire.Vector{1}, Limit: 10}
	var err error
	for range 3 { // once may fail: then it is tried again
		var p wire.Page
		if p, err = m.Page(t.Context(), req); err == nil {
			if len(p.Entries) != 1 || string(p.Entries[0].Payload) != `{"title":"new"}` {
				t.Fatalf("%+v", p.Entries)
			}
			return
		}
	}
	t.Error(err)
}
