package mesh

import (
	"context"
	"slices"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// cut is a place before which nothing belongs to a page: what was sent to everybody after
// it fills the page already. Most people's messages of before are then never looked for,
// which is what costs in a cold log.
type cut struct {
	seq  uint64 // of the oldest of these events; 0: there is no cut
	at   time.Time
	life uint64
}

// seqOfCut is where a cut is in a partition.
type seqOfCut struct {
	cut
	partition uint64 // its life
	after     uint64
}

// cut is the one for a page of so many events up to the ends of a log, which have not
// expired at a time. The page must count the same ones, or it would not be full.
func (r *recent) cut(ctx context.Context, now time.Time, log []wire.LogState, ends []uint64, limit int) (c cut, err error) {
	if limit == 0 {
		return c, nil
	}
	state, end := log[r.part.index], ends[r.part.index]
	_, err = r.upTo(ctx, state, func(v *recentView) bool {
		if end <= v.from {
			return true // the page is further back than what is remembered
		}
		c = v.cut(r.m, now, end, limit)
		return c.seq > 0
	})
	return c, err
}

func (v *recentView) cut(m *Mesh, now time.Time, end uint64, limit int) cut {
	keys := make(keySet)
	for _, s := range slices.Backward(v.msgs) { // from the newest on, which may hide others
		e, ok := m.entryOf(&s, v.life)
		if !ok || !keys.add(&e) || e.Expired(now) || s.seq > end {
			continue
		}
		if limit--; limit == 0 {
			return cut{seq: s.seq, at: s.at, life: v.life}
		}
	}
	return cut{}
}

// cutOf is the sequence in a partition after which a page begins at the earliest.
func (r *recent) cutOf(ctx context.Context, c cut, p *partition, state wire.LogState) (uint64, error) {
	first := max(state.First, 1) - 1
	if c.seq == 0 {
		return first, nil
	}
	if p == r.part {
		return max(first, c.seq-1), nil
	}
	r.mu.Lock()
	known, ok := r.cuts[p.index]
	r.mu.Unlock()
	if ok && known.cut == c && known.partition == state.Life {
		return max(first, known.after), nil
	}
	next, ok, err := r.m.reader.one(ctx, p, request{StartTime: &c.at, NextBy: r.m.cfg.Subjects.Log(p.index)})
	if err != nil {
		return 0, err
	}
	if !ok { // nothing is as new; or a replica answered that is behind
		return first, nil
	}
	r.mu.Lock()
	r.cuts[p.index] = seqOfCut{cut: c, partition: state.Life, after: next.seq - 1}
	r.mu.Unlock()
	return max(first, next.seq-1), nil
}
