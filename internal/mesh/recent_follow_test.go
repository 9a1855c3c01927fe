package mesh_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// tiring is a context that ends after it was looked at so many times: whoever has it can
// do so much and no more, however fast the machine is.
type tiring struct {
	context.Context
	mu    sync.Mutex
	left  int
	ended chan struct{}
}

func tired(ctx context.Context, after int) *tiring {
	return &tiring{Context: ctx, left: after, ended: make(chan struct{})}
}

func (c *tiring) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		close(c.ended)
	}
	return c.ended
}

func (c *tiring) Err() error {
	select {
	case <-c.ended:
		return context.Canceled
	default:
		return nil
	}
}

// TestRememberingGoesOn: who gives up while what is remembered follows the log has brought
// it forward, so that many who have little time each get there together.
func TestRememberingGoesOn(t *testing.T) {
	m := connected(t)
	publish(t, m, message(wire.Broadcast(), "first"))
	m.Remember(t.Context())
	pad := strings.Repeat("x", 60<<10) // some 17 are read at a time
	const total = 200
	for i := range total {
		publish(t, m, message(wire.Broadcast(), fmt.Sprint(i, pad)))
	}
	var err error
	for range 50 {
		var entries []wire.Entry
		if entries, err = m.Newest(tired(t.Context(), 30), []wire.Audience{wire.Broadcast()}, nil, 10); err == nil {
			if len(entries) != 10 {
				t.Errorf("%d entries", len(entries))
			}
			return
		}
	}
	t.Error(err)
}
