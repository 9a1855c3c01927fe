package mesh

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sync/errgroup"
)

// EdgeStatus is what every edge says of itself, sorted by node. complete says that all
// of them have answered.
func (o *Operator) EdgeStatus(ctx context.Context) (edges []wire.EdgeStatus, complete bool, err error) {
	reports, complete, err := o.gather(ctx, orderStatus, order{})
	for _, r := range reports {
		if r.Status != nil {
			edges = append(edges, *r.Status)
		}
	}
	slices.SortFunc(edges, func(a, b wire.EdgeStatus) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), a.Started.Compare(b.Started))
	})
	return edges, complete, err
}

// LogStatus is what the log holds. Its error wraps wire.ErrUnavailable when a partition
// is out of reach, or has no leader: a replica that is left answers, but stores nothing.
func (o *Operator) LogStatus(ctx context.Context) (wire.LogStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	m := o.mesh
	states, firsts := make([]jetstream.StreamState, len(m.parts)), make([]spot, len(m.parts))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i, p := range m.parts {
		group.Go(func() error {
			s, err := m.read.js.Stream(ctx, p.stream)
			switch {
			case errors.Is(err, jetstream.ErrStreamNotFound):
				return noLog(p.stream)
			case err != nil:
				return unavailable(err)
			}
			states[i] = s.CachedInfo().State
			if err = led(p.stream, s.CachedInfo()); err != nil {
				return err
			}
			firsts[i], err = m.first(ctx, p, s.CachedInfo())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return wire.LogStatus{}, err
	}
	log := wire.LogStatus{Partitions: len(states)}
	for i, s := range states {
		log.Messages += s.Msgs
		log.Bytes += s.Bytes
		log.Last += s.LastSeq
		if at := firsts[i].at; !at.IsZero() && (log.Oldest.IsZero() || at.Before(log.Oldest)) {
			log.Oldest = at.UTC()
		}
	}
	return log, nil
}

// logTimeout is how long the state of the log is waited for.
const logTimeout = 2 * time.Second
