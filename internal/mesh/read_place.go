package mesh

import (
	"context"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// head is the place in the log up to where it goes now.
func (m *Mesh) head(ctx context.Context) (wire.Cursor, error) {
	log, err := m.State(ctx)
	if err != nil {
		return nil, err
	}
	place := make(wire.Vector, len(log))
	for i := range log {
		place[i] = log[i].Last
	}
	return wire.At(wire.Lives(log), place), nil
}

// unreadSpan is what the log holds after the marks of a read state.
func (m *Mesh) unreadSpan(ctx context.Context, state wire.ReadState) (span, error) {
	log, err := m.State(ctx)
	if err != nil {
		return span{}, err
	}
	s := span{lives: wire.Lives(log)}
	for _, part := range log {
		s.first = append(s.first, part.First)
		s.after = append(s.after, max(part.First, 1)-1)
		s.upTo = append(s.upTo, part.Last)
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
