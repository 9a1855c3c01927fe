package mesh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// anyAge accepts a state however long ago it was read.
var anyAge time.Time

// states remembers what the log says about itself, so that many who ask at once
// cost one request.
type states struct {
	mu    sync.Mutex
	state wire.LogState
	asked time.Time // when the request that brought it was sent
	busy  chan struct{}
}

// State is what the log says about itself now.
func (m *Mesh) State(ctx context.Context) (wire.LogState, error) {
	return m.states.get(ctx, m, time.Now())
}

// get returns a state that was asked for after since.
func (s *states) get(ctx context.Context, m *Mesh, since time.Time) (wire.LogState, error) {
	for {
		s.mu.Lock()
		if !s.asked.IsZero() && !s.asked.Before(since) {
			defer s.mu.Unlock()
			return s.state, nil
		}
		if wait := s.busy; wait != nil {
			s.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return wire.LogState{}, unavailable(ctx.Err())
			}
		}
		done := make(chan struct{})
		s.busy = done
		s.mu.Unlock()

		asked := time.Now()
		state, err := m.readState(ctx)
		s.mu.Lock()
		s.busy = nil
		if err == nil {
			s.state, s.asked = state, asked
		}
		s.mu.Unlock()
		close(done)
		return state, err
	}
}

func (s *states) forget() {
	s.mu.Lock()
	s.asked = time.Time{}
	s.mu.Unlock()
}

func (m *Mesh) readState(ctx context.Context) (wire.LogState, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := m.read.js.Stream(ctx, m.StreamName())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return wire.LogState{}, fmt.Errorf("%w: the log %s does not exist; run `vibemesh provision`", wire.ErrUnavailable, m.StreamName())
	}
	if err != nil {
		return wire.LogState{}, unavailable(err)
	}
	return stateOf(s.CachedInfo()), nil
}
