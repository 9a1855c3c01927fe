package edge

import (
	"context"
	"fmt"
	"slices"

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
	floor := wire.Vector(view.FloorSeqs())
	after := pl.start.After.Raised(floor)
	pos, _, ok := view.Find(after)
	if !ok {
		return errMoved
	}
	limit := pl.start.Newest
	from, count, ok := view.Newest(aud.keys, pos, after, limit+1)
	if !ok {
		return errMoved
	}
	switch {
	case count > limit:
		if from, _, ok = view.Newest(aud.keys, pos, after, limit); !ok {
			return errMoved
		}
		pl.limitTo(view.SeqsAt(nil, from))
	case pl.start.Source == session.FromStream:
		return e.placeFromStream(ctx, h, pl, after, limit-count, aud)
	case !pl.start.Resumed && count < limit:
		return e.placeNewest(ctx, h, pl, floor, limit-count, aud)
	case !pl.start.Resumed:
		pl.limitTo(view.SeqsAt(nil, from))
	}
	return nil
}

// limitTo moves the start to another place; a client that resumes is told.
func (pl *placement) limitTo(place wire.Vector) {
	if pl.start.Resumed {
		place = place.Raised(pl.start.After)
	}
	pl.start.After, pl.through = place, place
	if pl.start.Resumed {
		pl.start.Gap = wire.GapLimit
	}
}

// placeFromStream reads what lies between the client's cursor and the ring, if
// it is no more than room events; otherwise the start moves to the newest of
// them.
func (e *Edge) placeFromStream(ctx context.Context, h History, pl *placement, floor wire.Vector, room int, aud audience) error {
	if e.cfg.NoHistory {
		pl.start.After, pl.through, pl.start.Gap = floor, floor, wire.GapRetention
		return nil
	}
	if h == nil {
		return errNeedsLog
	}
	if pl.distance(floor) > farBehind {
		// Probably more than the limit: the newest are found without reading the oldest.
		if limited, err := placeLimited(ctx, h, pl, floor, room, aud); limited || err != nil {
			return err
		}
	}
	page, err := h.Page(ctx, wire.PageRequest{
		Audiences: aud.list, After: pl.start.After, UpTo: floor,
		Limit: min(room+1, pageEvents), MaxBytes: pageBytes,
	})
	if err != nil {
		return err
	}
	if !pl.gen.isOf(page.State) {
		return fmt.Errorf("%w: the log began a new life", errBehind)
	}
	if page.Through.Covers(floor) && len(page.Entries) <= room {
		pl.frames = e.encodePage(pl.gen, pl.start.After, page)
		pl.through = floor
		return nil
	}
	// More than a page, or than the limit: find the newest that fit. The entries
	// themselves are read as the socket takes them.
	_, err = placeLimited(ctx, h, pl, floor, room, aud)
	return err
}

// farBehind is how many messages of the log, whomever they are for, a session has to have
// missed to be probably beyond its limit.
const farBehind = 100_000

// distance is how many messages of the log come between a start and another place.
func (pl *placement) distance(place wire.Vector) (n uint64) {
	for p, seq := range place {
		n += seq - min(pl.start.After[p], seq)
	}
	return n
}

// placeLimited moves the start to the newest room events, if more were missed.
func placeLimited(ctx context.Context, h History, pl *placement, floor wire.Vector, room int, aud audience) (limited bool, err error) {
	newest, err := h.NewestUpTo(ctx, aud.list, pl.gen.cursor(floor), room+1)
	if err != nil {
		return false, err
	}
	missed := newest[:0]
	for _, e := range newest {
		if e.Seq > pl.start.After[e.Partition] {
			missed = append(missed, e)
		}
	}
	if len(missed) > room {
		pl.limitTo(before(missed[:room], floor))
	}
	return len(missed) > room, nil
}

// placeNewest moves the start back before the ring, for a client that asked for
// its newest events without a cursor.
func (e *Edge) placeNewest(ctx context.Context, h History, pl *placement, floor wire.Vector, room int, aud audience) error {
	if e.cfg.NoHistory {
		return nil
	}
	if h == nil {
		return errNeedsLog
	}
	newest, err := h.NewestUpTo(ctx, aud.list, pl.gen.cursor(floor), room)
	if err != nil {
		return err
	}
	pl.limitTo(before(newest, floor))
	return nil
}

// before is the place that some entries up to another place come after.
func before(entries []wire.Entry, upTo wire.Vector) wire.Vector {
	place := slices.Clone(upTo)
	for _, e := range entries {
		place[e.Partition] = min(place[e.Partition], e.Seq-1)
	}
	return place
}

// A page of the stream: at most so many events and, about, bytes.
const (
	pageEvents = 256
	pageBytes  = 64 << 10
)

// encodePage makes the frames of a page, and says the gap before it if retention
// has removed what came after a session's place.
func (e *Edge) encodePage(g *generation, after wire.Vector, p wire.Page) []byte {
	var out []byte
	at := slices.Clone(after)
	for i, s := range p.State {
		if s.First > at[i]+1 && p.Through[i] > at[i] {
			at[i] = min(s.First-1, p.Through[i])
		}
	}
	if !slices.Equal(at, after) {
		e.metrics.gap(wire.GapRetention)
		out = appendServerFrame(out, wire.Gap{Reason: wire.GapRetention, Cursor: g.cursor(at).String()})
	}
	for i := range p.Entries {
		entry := &p.Entries[i]
		at[entry.Partition] = max(at[entry.Partition], entry.Seq)
		out = appendEntryFrame(out, entry, g.cursor(at))
	}
	return out
}
