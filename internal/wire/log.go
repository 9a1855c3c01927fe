package wire

import "time"

// Entry is one message of the log, parsed and validated.
type Entry struct {
	Partition int
	Position
	Time     time.Time // when JetStream stored it
	Audience Audience
	Collapse string    // see Event.Collapse; empty: none
	Expires  time.Time // zero: with the log's retention
	Envelope
}

// Expired reports whether an entry is no longer to be shown.
func (e *Entry) Expired(now time.Time) bool { return !e.Expires.IsZero() && !now.Before(e.Expires) }

// ID is the entry's event id.
func (e *Entry) ID() EventID { return EventID{Partition: e.Partition, Position: e.Position} }

// Event is the entry as a client receives it; cursor is the position of the
// edge in the whole log when it took the entry in.
func (e *Entry) Event(cursor Cursor) Event {
	ev := Event{
		Type: e.Type, ID: e.ID().String(), Cursor: cursor.String(),
		TS: e.Time.UnixMilli(), To: e.Audience.To(), Collapse: e.Collapse, Payload: e.Payload,
	}
	if !e.Expires.IsZero() {
		ev.Expires = e.Expires.UnixMilli()
	}
	return ev
}

// PageRequest asks for entries of some audiences, oldest first.
type PageRequest struct {
	Audiences []Audience
	After     uint64 // entries with a larger sequence only
	UpTo      uint64 // entries up to this sequence only; the log is known to reach it
	Limit     int    // entries at most
	MaxBytes  int    // payload bytes, about, at most
}

// Page is a run of the log as some audiences see it.
type Page struct {
	Entries []Entry
	// Through says how far the page is complete: it holds every entry of the
	// audiences after PageRequest.After up to and including this sequence.
	Through uint64
	State   LogState // read after the entries, so that retention cannot hide a loss
}

// LogState is what a stream says about itself.
type LogState struct {
	Life  uint64 // see Position.Life
	First uint64 // sequence of the oldest entry still held; Last+1 when it holds none
	Last  uint64 // sequence of the newest entry
}
