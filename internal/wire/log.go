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
	Read  *ReadState // of an audience of KindRead, instead of an Envelope
	Trace Trace      // set by the tail only: what is read later is in nobody's trace
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
	After     Vector // entries with a larger sequence in their partition only
	UpTo      Vector // entries up to this sequence only; the log is known to reach it
	Limit     int    // entries at most
	MaxBytes  int    // payload bytes, about, at most
}

// Page is a run of the log as some audiences see it.
type Page struct {
	Entries []Entry // in the order of their partition, and otherwise of their time
	// Through says how far the page is complete: it holds every entry of the
	// audiences after PageRequest.After up to and including these sequences.
	Through Vector
	State   []LogState // read after the entries, so that retention cannot hide a loss
}

// LogState is what a partition says about itself.
type LogState struct {
	Life  uint64 // see Position.Life
	First uint64 // sequence of the oldest entry still held; Last+1 when it holds none
	Last  uint64 // sequence of the newest entry
	// Replicated: several servers have it. Who answers for it may have been cut off from
	// the others, and not know what they have since.
	Replicated bool
}

// Lives is the life of each partition.
func Lives(log []LogState) []uint64 {
	lives := make([]uint64, len(log))
	for i := range log {
		lives[i] = log[i].Life
	}
	return lives
}

// Heads is the place up to which a log goes.
func Heads(log []LogState) Vector {
	v := make(Vector, len(log))
	for i := range log {
		v[i] = log[i].Last
	}
	return v
}

// At is the cursor that names a place of a log.
func At(lives []uint64, v Vector) Cursor {
	c := make(Cursor, len(v))
	for i := range c {
		c[i] = Position{Life: lives[i], Seq: v[i]}
	}
	return c
}

// Seqs is the place that a cursor names, without the lives.
func (c Cursor) Seqs() Vector {
	v := make(Vector, len(c))
	for i := range c {
		v[i] = c[i].Seq
	}
	return v
}
