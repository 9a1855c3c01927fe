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
	page := wire.Page{Through: slices.Clone(req.UpTo)}
	where := m.byPartition(req.Audiences)
	found, lives := make([][]stored, len(m.parts)), make([]uint64, len(m.parts))
	group, reading := errgroup.WithContext(ctx)
	for i, p := range m.parts {
		if len(where[i]) == 0 {
			continue
		}
		group.Go(func() error {
			runs, err := eachAudience(reading, where[i], func(ctx context.Context, _ int, a wire.Audience) (run, error) {
				return m.run(ctx, p, a, req.After[i], req.UpTo[i], req.Limit, req.MaxBytes)
			})
			found[i], page.Through[i] = join(runs, req.UpTo[i])
			lives[i] = lifeOf(runs)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return page, err
	}
	// Asked for after the entries were read: what retention removes from now on
	// cannot be missing in them.
	var err error
	concerned := func(p int) bool { return len(where[p]) > 0 }
	if page.State, err = m.statesSince(ctx, time.Now(), concerned); err != nil {
		return page, err
	}
	for i := range page.State {
		if lives[i] != 0 && lives[i] != page.State[i].Life {
			m.recent.forgetBut(page.State[i].Life)
			return page, unavailable(errAnotherLife)
		}
		if !concerned(i) {
			page.State[i].First = 0 // whatever it has lost was not for them
		}
	}
	all := merge(found, func(a, b *stored) bool { return a.at.Before(b.at) })
	// What is remembered may be gone from the log: it is said to be, so it is not shown.
	all = slices.DeleteFunc(all, func(s stored) bool { return s.seq < page.State[s.part].First })
	m.fill(&page, all, req)
	return page, nil
}

// errAnotherLife: what was remembered of the log is of the one before.
var errAnotherLife = errors.New("the log has just begun anew")

// lifeOf is the life that some runs of a partition are of, if one of them knows.
func lifeOf(runs []run) uint64 {
	for _, r := range runs {
		if r.life != 0 {
			return r.life
		}
	}
	return 0
}

// join puts the runs of one partition in order, and says how far they are complete.
func join(runs []run, upTo uint64) ([]stored, uint64) {
	through := upTo
	var all []stored
	for _, r := range runs {
		through = min(through, r.through)
		all = append(all, r.msgs...)
	}
	slices.SortFunc(all, func(a, b stored) int { return cmp.Compare(a.seq, b.seq) })
	beyond, _ := slices.BinarySearchFunc(all, through+1, func(s stored, seq uint64) int { return cmp.Compare(s.seq, seq) })
	return all[:beyond], through
}

// fill makes a page's entries of what was found, as many as are wanted.
func (m *Mesh) fill(page *wire.Page, all []stored, req wire.PageRequest) {
	now, bytes := time.Now(), 0
	for i, s := range all {
		if len(page.Entries) == req.Limit || req.MaxBytes > 0 && bytes >= req.MaxBytes {
			for _, rest := range slices.Backward(all[i:]) {
				page.Through[rest.part] = rest.seq - 1 // of each partition the first counts
			}
			break
		}
		bytes += len(s.data)
		if e, ok := m.entryOf(&s, page.State[s.part].Life); ok && !e.Expired(now) {
			page.Entries = append(page.Entries, e)
		}
	}
	// Of those with one key the last counts.
	keys := make(keySet)
	for i, e := range slices.Backward(page.Entries) {
		if !keys.add(&e) {
			page.Entries = slices.Delete(page.Entries, i, i+1)
		}
	}
}

// keySet remembers collapse keys.
type keySet map[collapseKey]struct{}

type collapseKey struct {
	audience wire.Audience
	key      string
}

// add reports whether an entry has no key, or one that was not there before.
func (k keySet) add(e *wire.Entry) bool {
	if e.Collapse == "" {
		return true
	}
	key := collapseKey{e.Audience, e.Collapse}
	_, there := k[key]
	k[key] = struct{}{}
	return !there
}

func (m *Mesh) entryOf(s *stored, life uint64) (wire.Entry, bool) {
	if s.parsed != nil && s.parsed.life == life {
		return s.parsed.entry, s.parsed.err == nil
	}
	e, err := m.parseEntry(m.parts[s.part], life, s)
	return e, err == nil // the tail has counted and logged what is malformed
}

// run is what one subject holds after a sequence.
type run struct {
	msgs    []stored
	through uint64 // the run is complete up to here
	pending uint64 // messages that come after them
	life    uint64 // of the log that it was read of, if that was before; otherwise 0
}

// run reads what one subject holds, of what is sent to everybody from memory where that
// reaches.
func (m *Mesh) run(ctx context.Context, p *partition, a wire.Audience, after, upTo uint64, limit, maxBytes int) (run, error) {
	if after >= upTo {
		return run{through: upTo}, nil
	}
	if a == wire.Broadcast() {
		if r, ok, err := m.recent.run(ctx, after, upTo, limit, maxBytes); ok || err != nil {
			return r, err
		}
	}
	return m.runOfLog(ctx, p, a, after, upTo, limit, maxBytes)
}

func (m *Mesh) runOfLog(ctx context.Context, p *partition, a wire.Audience, after, upTo uint64, limit, maxBytes int) (run, error) {
	subject, err := m.cfg.Subjects.Stored(a)
	if err != nil {
		return run{}, err
	}
	msgs, pending, err := m.reader.batch(ctx, p, request{Seq: after + 1, NextBy: subject, Batch: limit, MaxBytes: maxBytes})
	if err != nil {
		return run{}, err
	}
	r := run{msgs: msgs, through: upTo, pending: pending}
	if i := slices.IndexFunc(msgs, func(s stored) bool { return s.seq > upTo }); i >= 0 {
		r.msgs = msgs[:i]
		return r, nil
	}
	last := after
	if len(msgs) > 0 {
		last = msgs[len(msgs)-1].seq
	}
	if pending > 0 {
		r.through = last
	} else if r.through, err = m.complete(ctx, p, subject, last, upTo); err != nil {
		return run{}, err
	}
	if r.through == after {
		return run{}, unavailable(errors.New("a replica of the log is behind, or sent an empty batch"))
	}
	return r, nil
}

// complete says how far, up to upTo, a partition holds nothing for a subject after
// last. A replica that is behind does not know that it is, so the leader is asked
// when there are several.
func (m *Mesh) complete(ctx context.Context, p *partition, subject string, last, upTo uint64) (uint64, error) {
	if last >= upTo || p.states.copies.Load() == 1 {
		return upTo, nil
	}
	next, err := m.next(ctx, p, subject, last+1)
	if err != nil {
		return 0, err
	}
	if next == 0 || next > upTo {
		return upTo, nil
	}
	return next - 1, nil
}

// eachAudience asks for all of them at once; the reader bounds what is under way.
func eachAudience(ctx context.Context, audiences []wire.Audience, ask func(context.Context, int, wire.Audience) (run, error)) ([]run, error) {
	runs := make([]run, len(audiences))
	group, ctx := errgroup.WithContext(ctx)
	for i, a := range audiences {
		group.Go(func() error {
			var err error
			runs[i], err = ask(ctx, i, a)
			return err
		})
	}
	return runs, group.Wait()
}
