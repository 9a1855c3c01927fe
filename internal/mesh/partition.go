package mesh

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sync/errgroup"
)

// partition is one stream of the log.
type partition struct {
	index  int
	stream string
	states states
	tail   follower
}

func (m *Mesh) newPartitions() []*partition {
	parts := make([]*partition, m.cfg.Subjects.Partitions())
	for i := range parts {
		parts[i] = &partition{index: i, stream: m.streamNameOf(i)}
		parts[i].states.of = parts[i]
	}
	return parts
}

// of is the partition that holds what is addressed to an audience.
func (m *Mesh) of(a wire.Audience) *partition { return m.parts[m.cfg.Subjects.Partition(a)] }

// byPartition sorts audiences by where they are stored.
func (m *Mesh) byPartition(audiences []wire.Audience) [][]wire.Audience {
	sorted := make([][]wire.Audience, len(m.parts))
	for _, a := range audiences {
		p := m.cfg.Subjects.Partition(a)
		sorted[p] = append(sorted[p], a)
	}
	return sorted
}

// State is what each partition of the log says about itself now.
func (m *Mesh) State(ctx context.Context) ([]wire.LogState, error) {
	return m.statesSince(ctx, time.Now(), nil)
}

// statesSince returns states that were asked for after since; of a partition for which
// some says no, one that may be older.
func (m *Mesh) statesSince(ctx context.Context, since time.Time, some func(p int) bool) ([]wire.LogState, error) {
	log := make([]wire.LogState, len(m.parts))
	if len(log) == 1 {
		var err error
		log[0], err = m.parts[0].states.get(ctx, m, since)
		return log, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i, p := range m.parts {
		after := since
		if some != nil && !some(i) {
			after = anyAge
		}
		group.Go(func() (err error) {
			log[i], err = p.states.get(ctx, m, after)
			return err
		})
	}
	err := group.Wait()
	return log, err
}

// locate is the place that an event has in all of the log: in its own partition its
// sequence, in the others what was stored before it. Its error is wire.ErrForeignEvent
// for an event of another log.
func (m *Mesh) locate(ctx context.Context, id wire.EventID) (wire.Cursor, error) {
	log, err := m.State(ctx)
	if err != nil {
		return nil, err
	}
	if id.Partition >= len(log) || id.Life != log[id.Partition].Life || id.Seq > log[id.Partition].Last+1 {
		return nil, wire.ErrForeignEvent
	}
	place := wire.Heads(log)
	place[id.Partition] = id.Seq
	if len(log) == 1 {
		return wire.At(wire.Lives(log), place), nil
	}
	own := m.parts[id.Partition]
	event, ok, err := m.reader.one(ctx, own, request{Seq: max(id.Seq, 1), NextBy: m.cfg.Subjects.Log(own.index)})
	if err != nil {
		return nil, err
	}
	if !ok { // nothing is as late as this event was
		return wire.At(wire.Lives(log), place), nil
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range m.parts {
		if p == own {
			continue
		}
		group.Go(func() error {
			later, ok, err := m.reader.one(ctx, p, request{StartTime: &event.at, NextBy: m.cfg.Subjects.Log(i)})
			if ok {
				place[i] = later.seq - 1
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return wire.At(wire.Lives(log), place), nil
}

// merge puts lists, each in order, into one that is in order.
func merge[T any](lists [][]T, before func(a, b *T) bool) []T {
	total := 0
	lists = slices.DeleteFunc(lists, func(l []T) bool { return len(l) == 0 })
	for _, l := range lists {
		total += len(l)
	}
	if len(lists) == 1 {
		return lists[0]
	}
	out := make([]T, 0, total)
	for len(lists) > 0 {
		first := 0
		for i := range lists {
			if before(&lists[i][0], &lists[first][0]) {
				first = i
			}
		}
		out = append(out, lists[first][0])
		if lists[first] = lists[first][1:]; len(lists[first]) == 0 {
			lists = slices.Delete(lists, first, first+1)
		}
	}
	return out
}

// noLog is the error for a stream that is not there.
func noLog(stream string) error {
	return fmt.Errorf("%w: the log %s does not exist; run `vibemesh provision`", wire.ErrUnavailable, stream)
}
