package mesh

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sync/errgroup"
)

// Page reads the next entries of some audiences, oldest first.
func (m *Mesh) Page(ctx context.Context, req wire.PageRequest) (wire.Page, error) {
	p := wire.Page{Through: req.UpTo}
	runs, err := eachAudience(ctx, req.Audiences, func(ctx context.Context, a wire.Audience) (run, error) {
		return m.run(ctx, a, req.After, req.UpTo, req.Limit, req.MaxBytes)
	})
	if err != nil {
		return p, err
	}
	// Asked for after the entries were read: what retention removes from now on
	// cannot be missing in them.
	if p.State, err = m.State(ctx); err != nil {
		return p, err
	}
	var all []stored
	for _, r := range runs {
		p.Through = min(p.Through, r.through)
		all = append(all, r.msgs...)
	}
	slices.SortFunc(all, func(a, b stored) int { return cmp.Compare(a.seq, b.seq) })
	bytes := 0
	for _, s := range all {
		if s.seq > p.Through {
			break
		}
		if len(p.Entries) == req.Limit || req.MaxBytes > 0 && bytes >= req.MaxBytes {
			p.Through = s.seq - 1
			break
		}
		bytes += len(s.data)
		if e, ok := m.entryOf(s, p.State.Life); ok {
			p.Entries = append(p.Entries, e)
		}
	}
	return p, nil
}

func (m *Mesh) entryOf(s stored, life uint64) (wire.Entry, bool) {
	e, err := m.parseEntry(s.subject, s.data, wire.Position{Life: life, Seq: s.seq}, s.at)
	return e, err == nil // the tail has counted and logged what is malformed
}

// run is what one subject holds after a sequence.
type run struct {
	msgs    []stored
	through uint64 // the run is complete up to here
}

func (m *Mesh) run(ctx context.Context, a wire.Audience, after, upTo uint64, limit, maxBytes int) (run, error) {
	subject, err := m.cfg.Subjects.Of(a)
	if err != nil {
		return run{}, err
	}
	if after >= upTo {
		return run{through: upTo}, nil
	}
	msgs, more, err := m.reader.batch(ctx, subject, after+1, limit, maxBytes)
	if err != nil {
		return run{}, err
	}
	r := run{msgs: msgs, through: upTo}
	if i := slices.IndexFunc(msgs, func(s stored) bool { return s.seq > upTo }); i >= 0 {
		r.msgs = msgs[:i]
		return r, nil
	}
	last := after
	if len(msgs) > 0 {
		last = msgs[len(msgs)-1].seq
	}
	if more {
		r.through = last
	} else if r.through, err = m.complete(ctx, subject, last, upTo); err != nil {
		return run{}, err
	}
	if r.through == after {
		return run{}, unavailable(errors.New("a replica of the log is behind, or sent an empty batch"))
	}
	return r, nil
}

// complete says how far, up to upTo, the log holds nothing for a subject after
// last. A replica that is behind does not know that it is, so the leader is asked
// when there are several.
func (m *Mesh) complete(ctx context.Context, subject string, last, upTo uint64) (uint64, error) {
	if last >= upTo || m.states.replicas.Load() == 1 {
		return upTo, nil
	}
	next, err := m.next(ctx, subject, last+1)
	if err != nil {
		return 0, err
	}
	if next == 0 || next > upTo {
		return upTo, nil
	}
	return next - 1, nil
}

// eachAudience asks for all of them at once; the reader bounds what is under way.
func eachAudience(ctx context.Context, audiences []wire.Audience, ask func(context.Context, wire.Audience) (run, error)) ([]run, error) {
	runs := make([]run, len(audiences))
	group, ctx := errgroup.WithContext(ctx)
	for i, a := range audiences {
		group.Go(func() error {
			var err error
			runs[i], err = ask(ctx, a)
			return err
		})
	}
	return runs, group.Wait()
}

// The first stretch of the log, counted back from where the search begins, that
// Newest reads, and by how much each next one is longer. The log can only be
// read forward: a stretch costs what it holds for the audience, so growing ones
// read at most a few times what is wanted.
const (
	firstStretch  = 4096
	stretchGrowth = 4
	stretchBytes  = 1 << 20 // of one batch, about
)

// Newest reads the newest entries of some audiences, newest first, that come
// before an event; nil: before the end of the log.
func (m *Mesh) Newest(ctx context.Context, audiences []wire.Audience, before *wire.EventID, limit int) ([]wire.Entry, error) {
	state, err := m.states.get(ctx, m, time.Now())
	if err != nil {
		return nil, err
	}
	upTo := state.Last
	if before != nil {
		if before.Life != state.Life || before.Partition != 0 || before.Seq > state.Last+1 {
			return nil, wire.ErrForeignEvent
		}
		upTo = max(before.Seq, 1) - 1
	}
	var found []wire.Entry
	for length := uint64(firstStretch); upTo >= state.First && len(found) < limit; length *= stretchGrowth {
		after := max(state.First, 1) - 1
		if upTo > length {
			after = max(after, upTo-length)
		}
		entries, err := m.stretch(ctx, audiences, after, upTo, limit-len(found), state.Life)
		if err != nil {
			return nil, err
		}
		found = append(found, entries...)
		upTo = after
	}
	return found, nil
}

// stretch reads the newest entries of one stretch, newest first.
func (m *Mesh) stretch(ctx context.Context, audiences []wire.Audience, after, upTo uint64, limit int, life uint64) ([]wire.Entry, error) {
	runs, err := eachAudience(ctx, audiences, func(ctx context.Context, a wire.Audience) (run, error) {
		var newest []stored
		for at := after; at < upTo; {
			r, err := m.run(ctx, a, at, upTo, maxBatch, stretchBytes)
			if err != nil {
				return run{}, err
			}
			newest = append(newest, r.msgs...)
			// Twice the limit, so that what is malformed does not shorten a page by
			// much; a bound, so that a busy subject does not fill memory.
			if keep := 2 * limit; len(newest) > keep {
				newest = append([]stored(nil), newest[len(newest)-keep:]...)
			}
			at = r.through
		}
		return run{msgs: newest}, nil
	})
	if err != nil {
		return nil, err
	}
	var all []stored
	for _, r := range runs {
		all = append(all, r.msgs...)
	}
	slices.SortFunc(all, func(a, b stored) int { return cmp.Compare(b.seq, a.seq) })
	var entries []wire.Entry
	for _, s := range all {
		if len(entries) == limit {
			break
		}
		if e, ok := m.entryOf(s, life); ok {
			entries = append(entries, e)
		}
	}
	return entries, nil
}
