package mesh

import (
	"context"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// head is the place in the log up to where it goes now.
func (m *Mesh) head(ctx context.Context) (wire.Cursor, error) {
	log, err := m.State(ctx)
	if err != nil {
		return nil, err
	}
	return wire.At(wire.Lives(log), wire.Heads(log)), nil
}

// unreadSpan is what the log holds for some audiences after the marks of a read state,
// up to a place; nil: to the end.
func (m *Mesh) unreadSpan(ctx context.Context, audiences []wire.Audience, state wire.ReadState, upTo wire.Cursor) (span, error) {
	where := m.byPartition(audiences)
	log, err := m.statesSince(ctx, time.Now(), func(p int) bool { return len(where[p]) > 0 })
	if err != nil {
		return span{}, err
	}
	s := span{lives: wire.Lives(log)}
	for p, part := range log {
		last := part.Last
		if p < len(upTo) && upTo[p].Life == part.Life {
			last = min(last, upTo[p].Seq)
		}
		s.first = append(s.first, part.First)
		s.after = append(s.after, min(max(part.First, 1)-1, last))
		s.upTo = append(s.upTo, last)
	}
	for p, pos := range state.UpTo() {
		switch {
		case p >= len(s.lives) || pos.Life < s.lives[p]:
		case pos.Life > s.lives[p]: // of a life that this one has followed
			s.after[p] = s.upTo[p]
		default:
			s.after[p] = max(s.after[p], min(pos.Seq, s.upTo[p]))
		}
	}
	return s, nil
}

// unreadEntries reads the next entries of a stretch of the log.
func (m *Mesh) unreadEntries(ctx context.Context, audiences []wire.Audience, after, upTo []uint64, limit int) ([]wire.Entry, []uint64, error) {
	page, err := m.Page(ctx, wire.PageRequest{Audiences: audiences, After: after, UpTo: upTo, Limit: limit, MaxBytes: unreadBytes})
	return page.Entries, page.Through, err
}
