package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
	definitions "github.com/socialvibes/vibemesh/nats"
)

// LogConfig is what settings say about the log.
type LogConfig struct {
	Replicas int
	MaxAge   time.Duration
	MaxBytes int64 // 0: no limit
}

// Provision creates the log, or changes it to what the settings say. It is safe
// to call again, by several processes at once.
func (m *Mesh) Provision(ctx context.Context, cfg LogConfig) (wire.LogState, error) {
	var sc jetstream.StreamConfig
	if err := json.Unmarshal(definitions.Stream, &sc); err != nil {
		return wire.LogState{}, fmt.Errorf("nats/stream.json: %w", err)
	}
	sc.Name = m.StreamName()
	sc.Subjects = []string{m.cfg.Subjects.Log(0)}
	sc.Replicas = cfg.Replicas
	sc.MaxAge = cfg.MaxAge
	sc.MaxBytes = -1
	if cfg.MaxBytes > 0 {
		sc.MaxBytes = cfg.MaxBytes
	}
	// Two processes that start together may both find no stream.
	for range 3 {
		s, err := m.pub.js.CreateOrUpdateStream(ctx, sc)
		switch {
		case err == nil:
			return stateOf(s.CachedInfo()), nil
		case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
			continue
		default:
			return wire.LogState{}, fmt.Errorf("provisioning the log %s: %w", sc.Name, unavailable(err))
		}
	}
	return wire.LogState{}, fmt.Errorf("provisioning the log %s: another process keeps changing it", sc.Name)
}

func stateOf(info *jetstream.StreamInfo) wire.LogState {
	s := wire.LogState{
		Life: uint64(info.Created.UnixMilli()), First: info.State.FirstSeq, Last: info.State.LastSeq,
	}
	if s.First == 0 { // a stream that never held anything
		s.First = 1
	}
	return s
}
