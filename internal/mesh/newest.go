package mesh

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sync/errgroup"
)

// Of a subject that holds few messages all are read at once. Of others stretches are
// read, back from where the search begins: the log can only be read forward, and a
// stretch costs what it holds for the audience. The first one is as long as probably is
// enough, each next one longer by a factor.
const (
	fewMessages   = 256
	firstStretch  = 4096
	stretchGrowth = 4
	stretchBytes  = 1 << 20 // of one batch, about
)

// Newest reads the newest entries of some audiences, newest first, that come
// before an event; nil: before the end of the log.
func (m *Mesh) Newest(ctx context.Context, audiences []wire.Audience, before *wire.EventID, limit int) ([]wire.Entry, error) {
	if before == nil {
		return m.NewestUpTo(ctx, audiences, nil, limit)
	}
	place, err := m.locate(ctx, *before)
	if err != nil {
		return nil, err
	}
	place[before.Partition].Seq = max(before.Seq, 1) - 1
	return m.NewestUpTo(ctx, audiences, place, limit)
}

// NewestUpTo reads the newest entries of some audiences, newest first, up to a place;
// nil: the end of the log. Of those with one collapse key it reads the newest only, and
// none that has expired.
func (m *Mesh) NewestUpTo(ctx context.Context, audiences []wire.Audience, upTo wire.Cursor, limit int) ([]wire.Entry, error) {
	where := m.byPartition(audiences)
	log, err := m.statesSince(ctx, time.Now(), func(p int) bool { return len(where[p]) > 0 })
	if err != nil {
		return nil, err
	}
	if upTo != nil && !slices.EqualFunc(upTo, log, func(at wire.Position, s wire.LogState) bool { return at.Life == s.Life }) {
		return nil, wire.ErrForeignEvent
	}
	ends := make([]uint64, len(m.parts))
	for i := range m.parts {
		ends[i] = log[i].Last
		if upTo != nil {
			ends[i] = min(upTo[i].Seq, log[i].Last)
		}
	}
	var c cut
	now := time.Now()
	if slices.Contains(audiences, wire.Broadcast()) {
		if c, err = m.recent.cut(ctx, now, log, ends, limit); err != nil {
			return nil, err
		}
	}
	found := make([][]wire.Entry, len(m.parts))
	group, ctx := errgroup.WithContext(ctx)
	for i := range m.parts {
		if len(where[i]) == 0 {
			continue
		}
		s := search{m: m, now: now, part: m.parts[i], state: log[i], audiences: where[i], limit: limit, upTo: ends[i], keys: make(keySet)}
		group.Go(func() (err error) {
			if s.after, err = m.recent.cutOf(ctx, c, s.part, log[i]); err == nil {
				found[i], err = s.run(ctx)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := merge(found, func(a, b *wire.Entry) bool { return a.Time.After(b.Time) })
	return all[:min(limit, len(all))], nil
}

// search looks for the newest entries of some audiences in one partition.
type search struct {
	m         *Mesh
	now       time.Time // what has expired by then is not found
	part      *partition
	state     wire.LogState
	audiences []wire.Audience
	limit     int
	after     uint64 // what comes before is not wanted
	upTo      uint64
	keys      keySet // of what is newer: see keySet.add
	whole     map[wire.Audience][]stored
}

func (s *search) run(ctx context.Context) ([]wire.Entry, error) {
	var found []wire.Entry
	if s.after >= s.upTo {
		return nil, nil
	}
	length, err := s.lookAhead(ctx)
	if err != nil {
		return nil, err
	}
	newer, upTo := s.upTo < s.state.Last, s.upTo
	for ; upTo > s.after && len(found) < s.limit; length *= stretchGrowth {
		after := s.after
		if upTo-after > length {
			after = upTo - length
		}
		entries, after, err := s.stretch(ctx, after, upTo)
		if err != nil {
			return nil, err
		}
		if newer && slices.ContainsFunc(entries, func(e wire.Entry) bool { return e.Collapse != "" }) {
			newer = false
			if err := s.learn(ctx); err != nil {
				return nil, err
			}
		}
		for i := range entries {
			if len(found) < s.limit && s.keys.add(&entries[i]) && !entries[i].Expired(s.now) {
				found = append(found, entries[i])
			}
		}
		upTo = after
	}
	return found, nil
}

// lookAhead reads the audiences that have few messages, and says how long the first
// stretch is to be for the others. A batch from the beginning costs the server no
// counting; one from the middle costs it a look at all that it will read.
func (s *search) lookAhead(ctx context.Context) (uint64, error) {
	s.whole = make(map[wire.Audience][]stored, len(s.audiences))
	lengths := make([]uint64, len(s.audiences))
	runs, err := eachAudience(ctx, s.audiences, func(ctx context.Context, i int, a wire.Audience) (run, error) {
		lengths[i] = s.upTo - s.after
		if a == wire.Broadcast() {
			lengths[i] = s.m.recent.stretch(s.after, s.limit)
			return run{}, nil
		}
		r, err := s.m.runOfLog(ctx, s.part, a, s.after, s.state.Last, fewMessages, stretchBytes)
		if err == nil && r.through < s.upTo {
			lengths[i] = stretchFor(s.limit, s.state.Last-s.after, r.pending+uint64(len(r.msgs)))
		}
		return r, err
	})
	if err != nil {
		return 0, err
	}
	for i, a := range s.audiences {
		if runs[i].through >= s.upTo {
			s.whole[a] = runs[i].msgs
		}
	}
	return slices.Min(lengths), nil
}

// learnAtMost bounds how many messages after a page are looked at for keys that hide
// some of the page.
const learnAtMost = 4096

// learn notes the collapse keys of what is newer than upTo.
func (s *search) learn(ctx context.Context) error {
	for _, a := range s.audiences {
		at := s.upTo
		for read := 0; at < s.state.Last && read < learnAtMost; {
			r, err := s.m.run(ctx, s.part, a, at, s.state.Last, maxBatch, stretchBytes)
			if err != nil {
				return err
			}
			for i := range r.msgs {
				if e, ok := s.m.entryOf(&r.msgs[i], s.state.Life); ok {
					s.keys.add(&e)
				}
			}
			read += len(r.msgs)
			at = r.through
		}
	}
	return nil
}

// stretch reads the newest entries of one stretch, newest first, and says how far back
// they are complete: not to its beginning if it holds very many.
func (s *search) stretch(ctx context.Context, after, upTo uint64) (entries []wire.Entry, from uint64, err error) {
	runs, err := eachAudience(ctx, s.audiences, func(ctx context.Context, _ int, a wire.Audience) (run, error) {
		if whole, ok := s.whole[a]; ok {
			return run{msgs: between(whole, after, upTo), through: after}, nil
		}
		newest, from := []stored(nil), after
		for at := after; at < upTo; {
			r, err := s.m.run(ctx, s.part, a, at, upTo, maxBatch, stretchBytes)
			if err != nil {
				return run{}, err
			}
			newest = append(newest, r.msgs...)
			// A bound, so that a busy subject does not fill memory. Twice the limit, so
			// that what is malformed or hidden seldom makes it read again.
			if keep := 2 * s.limit; len(newest) > keep {
				from = newest[len(newest)-keep].seq - 1
				newest = append([]stored(nil), newest[len(newest)-keep:]...)
			}
			at = r.through
		}
		return run{msgs: newest, through: from}, nil
	})
	if err != nil {
		return nil, 0, err
	}
	var all []stored
	for _, r := range runs {
		all = append(all, r.msgs...)
		from = max(from, r.through)
	}
	slices.SortFunc(all, func(a, b stored) int { return cmp.Compare(b.seq, a.seq) })
	for i := range all {
		if all[i].seq <= from {
			break
		}
		if e, ok := s.m.entryOf(&all[i], s.state.Life); ok {
			entries = append(entries, e)
		}
	}
	return entries, from, nil
}
