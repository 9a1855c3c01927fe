package mesh

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	// contact is how recently most replicas must have been heard by a leader whose word
	// counts. They are heard every second.
	contact = 3 * time.Second
	// lostAfter is how long a replicated log has to say that it lacks what was read of it
	// before it is believed. A leader that was cut off, or whose disk is slow, says so for a
	// while; it gives up its office after 10 to 20 s.
	lostAfter = 30 * time.Second
)

// led says why an answer about a stream is not its leader's word: it has none, so nothing
// can be stored, or the leader may be one only for itself.
func led(stream string, info *jetstream.StreamInfo) error {
	if info.Cluster == nil {
		return nil
	}
	if info.Cluster.Leader == "" {
		return fmt.Errorf("%w: %s has no leader", wire.ErrUnavailable, stream)
	}
	heard := 1 // itself
	for _, r := range info.Cluster.Replicas {
		if !r.Offline && r.Active < contact {
			heard++
		}
	}
	if heard <= info.Config.Replicas/2 {
		return fmt.Errorf("%w: the leader of %s, %s, has lost the other replicas", wire.ErrUnavailable, stream, info.Cluster.Leader)
	}
	return nil
}

// upToDate says why an answer of the leader of a partition is not to be believed: it may
// be the leader only for itself. What is believed is that a log has lost its end, and then
// every session begins anew.
func (p *partition) upToDate(info *jetstream.StreamInfo) error {
	if info.Config.Replicas == 1 || info.Cluster == nil {
		return nil
	}
	if err := led(p.stream, info); err != nil {
		return err
	}
	read := p.tail.seq.Load()
	if p.tail.life.Load() != uint64(info.Created.UnixMilli()) || info.State.LastSeq >= read {
		p.states.short.Store(0)
		return nil
	}
	now := time.Now().UnixNano()
	if p.states.short.CompareAndSwap(0, now) || time.Duration(now-p.states.short.Load()) < lostAfter {
		return fmt.Errorf("%w: %s says that %s ends at %d, and %d was read of it", wire.ErrUnavailable, info.Cluster.Leader, p.stream, info.State.LastSeq, read)
	}
	return nil
}
