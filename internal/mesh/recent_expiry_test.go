package mesh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestNewestWhileOthersExpire: a page is full as long as the log has enough, also when
// something expires while it is being read.
func TestNewestWhileOthersExpire(t *testing.T) {
	m := connected(t)
	const limit = 11
	for i := range 2 * limit {
		publish(t, m, message(wire.Broadcast(), fmt.Sprint(i)))
	}
	audiences := []wire.Audience{wire.User("ada"), wire.Broadcast()}
	for range 3 {
		for range limit - 1 {
			short := message(wire.Broadcast(), "short")
			short.TTL = time.Second
			publish(t, m, short)
		}
		for deadline := time.Now().Add(1200 * time.Millisecond); time.Now().Before(deadline); {
			entries, err := m.Newest(t.Context(), audiences, nil, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != limit {
				t.Fatalf("a page of %d, want %d", len(entries), limit)
			}
		}
	}
}
