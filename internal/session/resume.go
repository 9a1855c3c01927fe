package session

import (
	"slices"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Ask is how a client wants to be continued.
type Ask struct {
	Cursor string // as it came; empty: none
	Replay int    // without a cursor: the newest so many events
}

// Window is what an edge knows of the log at one moment.
type Window struct {
	Lives []uint64    // of the partitions; see wire.Position
	Floor wire.Vector // the ring holds all of the log after this place
	Head  wire.Vector // up to this one
}

// Source says where a session is continued from.
type Source uint8

// A session starts at the head, goes on from the ring or from the stream, or has
// to wait because its cursor is ahead of this edge.
const (
	FromHead Source = iota
	FromRing
	FromStream
	FromAhead
)

// Start is where a session is continued.
type Start struct {
	Source  Source
	After   wire.Vector // it has seen the log up to this place
	Newest  int         // > 0: of what follows, only the newest so many count
	Resumed bool        // the client's cursor was accepted
	Gap     string      // a wire.Gap reason to be said first, or empty
}

// Plan decides where a session is continued. limit is the most events that one
// resume may replay.
func Plan(ask Ask, w Window, limit int) Start {
	if ask.Cursor == "" {
		if ask.Replay <= 0 {
			return Start{Source: FromHead, After: w.Head}
		}
		return Start{Source: FromRing, After: w.Floor, Newest: min(ask.Replay, limit)}
	}
	c, err := wire.ParseCursor(ask.Cursor)
	if err != nil || !slices.EqualFunc(c, w.Lives, func(p wire.Position, life uint64) bool { return p.Life == life }) {
		// Not of this log, or of another life of it: nothing to compare with.
		return Start{Source: FromHead, After: w.Head, Gap: wire.GapUnknown}
	}
	s := Start{After: c.Seqs(), Newest: limit, Resumed: true}
	switch {
	case !w.Head.Covers(s.After):
		s.Source = FromAhead
	case s.After.Covers(w.Head):
		s.Source = FromHead
	case s.After.Covers(w.Floor):
		s.Source = FromRing
	default:
		s.Source = FromStream
	}
	return s
}
