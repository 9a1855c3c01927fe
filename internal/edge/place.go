package edge

import (
	"context"
	"fmt"

	"github.com/socialvibes/vibemesh/internal/ring"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// errMoved: the ring has turned while a session was being placed. The next
// attempt sees it as it is then.
var errMoved = fmt.Errorf("%w: the ring has moved on", errBehind)

// placeBehind finds the start of a session that has missed something, so that no
// more than start.Newest events follow it. The newest are in the ring; the
// stream is asked only for what is older.
func (e *Edge) placeBehind(ctx context.Context, h History, pl *placement, view *ring.View, aud audience) error {
	pos, ok := view.Find(max(pl.start.After, view.FloorSeq()))
	if !ok {
		return errMoved
	}
	limit := pl.start.Newest
	from, count, ok := view.Newest(aud.keys, pos, limit+1)
	if !ok {
		return errMoved
	}
	switch {
	case count > limit:
		if from, _, ok = view.Newest(aud.keys, pos, limit); !ok {
			return errMoved
		}
		pl.limitTo(view.SeqAt(from))
	case pl.start.Source == session.FromStream:
		return e.placeFromStream(ctx, h, pl, view.FloorSeq(), limit-count, aud)
	case !pl.start.Resumed && count < limit:
		return e.placeNewest(ctx, h, pl, view.FloorSeq(), limit-count, aud)
	case !pl.start.Resumed:
		pl.limitTo(view.SeqAt(from))
	}
	return nil
}

// limitTo moves the start to a later sequence; a client that resumes is told.
func (pl *placement) limitTo(seq uint64) {
	pl.start.After, pl.through = seq, seq
	if pl.start.Resumed {
		pl.start.Gap = wire.GapLimit
	}
}

// placeFromStream reads what lies between the client's cursor and the ring, if
// it is no more than room events; otherwise the start moves to the newest of
// them.
func (e *Edge) placeFromStream(ctx context.Context, h History, pl *placement, floor uint64, room int, aud audience) error {
	if e.cfg.NoHistory {
		pl.start.After, pl.through, pl.start.Gap = floor, floor, wire.GapRetention
		return nil
	}
	if h == nil {
		return errNeedsLog
	}
	page, err := h.Page(ctx, wire.PageRequest{
		Audiences: aud.list, After: pl.start.After, UpTo: floor,
		Limit: min(room+1, pageEvents), MaxBytes: pageBytes,
	})
	if err != nil {
		return err
	}
	if page.State.Life != pl.gen.life {
		return fmt.Errorf("%w: the log began a new life", errBehind)
	}
	if page.Through >= floor && len(page.Entries) <= room {
		pl.frames = e.encodePage(pl.gen, pl.start.After, page)
		pl.through = floor
		return nil
	}
	// More than a page, or than the limit: find the newest that fit. The entries
	// themselves are read as the socket takes them.
	newest, err := h.Newest(ctx, aud.list, pl.before(floor), room+1)
	if err != nil {
		return err
	}
	if len(newest) > room && newest[room].Seq > pl.start.After {
		if room == 0 {
			pl.limitTo(floor)
		} else {
			pl.limitTo(newest[room-1].Seq - 1)
		}
	}
	return nil
}

// placeNewest moves the start back before the ring, for a client that asked for
// its newest events without a cursor.
func (e *Edge) placeNewest(ctx context.Context, h History, pl *placement, floor uint64, room int, aud audience) error {
	if e.cfg.NoHistory {
		return nil
	}
	if h == nil {
		return errNeedsLog
	}
	newest, err := h.Newest(ctx, aud.list, pl.before(floor), room)
	if err != nil {
		return err
	}
	if len(newest) > 0 {
		pl.limitTo(newest[len(newest)-1].Seq - 1)
	}
	return nil
}

// before names the place up to and including a sequence, for History.Newest.
func (pl *placement) before(seq uint64) *wire.EventID {
	return &wire.EventID{Position: wire.Position{Life: pl.gen.life, Seq: seq + 1}}
}

// A page of the stream: at most so many events and, about, bytes.
const (
	pageEvents = 256
	pageBytes  = 64 << 10
)

// encodePage makes the frames of a page, and says the gap before it if retention
// has removed what came after a session's position.
func (e *Edge) encodePage(g *generation, after uint64, p wire.Page) []byte {
	var out []byte
	if p.State.First > after+1 {
		e.metrics.gap(wire.GapRetention)
		out = appendServerFrame(out, wire.Gap{
			Reason: wire.GapRetention, Cursor: g.cursor(min(p.State.First-1, p.Through)).String(),
		})
	}
	for i := range p.Entries {
		out = appendEventFrame(out, &p.Entries[i], g.cursor(p.Entries[i].Seq))
	}
	return out
}
