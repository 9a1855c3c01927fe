package wire

import (
	"cmp"
	"maps"
	"slices"
)

// Limits of a read state. What is beyond them is forgotten, the oldest first.
const (
	MaxReadFlags = 1000 // events that were marked one by one
	MaxReadMarks = 8    // moments at which all up to some event was read
)

// ReadState is what a person has read. It is a value that is merged (a state-based
// CRDT): changes may come in any order, from devices that were offline, any number of
// times, and whoever has merged the same ones has the same state. (Only when there
// are more than the limits allow does it depend on the order which old ones are
// forgotten.) The log holds it whole in each message on a person's read subject, so
// that the newest message is all that has to be read.
//
// It consists of marks, "at this time the person had read all up to there", and of
// flags, "at this time the person said of this event that it is read, or unread". The
// latest of an event's flag and the marks that cover it counts. Of the same time, a
// flag counts rather than a mark, and unread rather than read: a notification that is
// shown once too often is better than one that is never seen.
//
// The zero value is the state of somebody who has read nothing. States are not changed
// in place.
type ReadState struct {
	marks []readMark // newest first; each covers more than the one before it
	flags map[EventID]readFlag
}

type readMark struct {
	at   int64 // milliseconds since 1970
	upTo Cursor
}

type readFlag struct {
	at   int64 // milliseconds since 1970
	read bool
}

// later reports whether f counts rather than g, of the same event.
func (f readFlag) later(g readFlag) bool {
	if f.at != g.at {
		return f.at > g.at
	}
	return !f.read && g.read
}

// Change is something that a person did to what they have read. What of it names a
// place in the log is for whoever knows the log to find: see Unresolved.
type Change struct {
	All     bool     // all that the log holds now is read
	Through *EventID // all up to this event is read; nil: says nothing
	UpTo    Cursor   // all up to these positions, one a partition; nil: says nothing
	Read    []EventID
	Unread  []EventID
	At      int64 // when, milliseconds since 1970; 0: now
}

// Unresolved reports whether the change names a place that only the log knows.
func (c *Change) Unresolved() bool { return c.All || c.Through != nil }

// State is the state of somebody who has done nothing but this. All and Through must
// have been made an UpTo, At must be given.
func (c *Change) State() ReadState {
	var s ReadState
	if upTo := joined(nil, c.UpTo); len(upTo) > 0 {
		s.marks = []readMark{{c.At, upTo}}
	}
	s.flags = make(map[EventID]readFlag, len(c.Read)+len(c.Unread))
	for _, id := range c.Read {
		s.flags[id] = readFlag{c.At, true}
	}
	for _, id := range c.Unread {
		s.flags[id] = readFlag{c.At, false}
	}
	s.tidy()
	return s
}

// Merge is the state of somebody who has done what made s and what made o.
func (s ReadState) Merge(o ReadState) ReadState {
	marks := slices.Concat(s.marks, o.marks)
	slices.SortStableFunc(marks, func(a, b readMark) int { return cmp.Compare(b.at, a.at) })
	merged := ReadState{flags: make(map[EventID]readFlag, len(s.flags)+len(o.flags))}
	maps.Copy(merged.flags, s.flags)
	for id, f := range o.flags {
		if g, ok := merged.flags[id]; !ok || f.later(g) {
			merged.flags[id] = f
		}
	}
	// What an older mark covers, together with the newer ones, is what the person had
	// read at its time; one that adds nothing to them says nothing.
	var covered Cursor
	for _, m := range marks {
		upTo := joined(covered, m.upTo)
		if slices.Equal(upTo, covered) {
			continue
		}
		covered = upTo
		if n := len(merged.marks); n > 0 && merged.marks[n-1].at == m.at {
			merged.marks[n-1].upTo = upTo
		} else {
			merged.marks = append(merged.marks, readMark{m.at, upTo})
		}
	}
	merged.tidy()
	return merged
}

// tidy drops the flags that no longer count, and what is beyond the limits.
func (s *ReadState) tidy() {
	maps.DeleteFunc(s.flags, func(id EventID, f readFlag) bool {
		at, ok := s.marked(id)
		return ok && (at > f.at || at == f.at && f.read)
	})
	if n := len(s.marks); n > MaxReadMarks {
		// Not the oldest: it covers the most. Without one before it, events that it alone
		// covered count as read at the time of the next older.
		s.marks = append(s.marks[:MaxReadMarks-1:MaxReadMarks-1], s.marks[n-1])
	}
	if len(s.flags) > MaxReadFlags {
		ids := slices.SortedFunc(maps.Keys(s.flags), func(a, b EventID) int {
			return cmp.Or(cmp.Compare(s.flags[a].at, s.flags[b].at), compareIDs(a, b))
		})
		for _, id := range ids[:len(ids)-MaxReadFlags] {
			delete(s.flags, id)
		}
	}
}

// marked is the time of the newest mark that covers an event.
func (s *ReadState) marked(id EventID) (at int64, ok bool) {
	for _, m := range s.marks {
		if m.upTo.covers(id) {
			return m.at, true
		}
	}
	return 0, false
}

// IsRead reports whether the person has read an event.
func (s ReadState) IsRead(id EventID) bool {
	if f, ok := s.flags[id]; ok {
		return f.read // a flag that a mark outdates is not kept
	}
	_, ok := s.marked(id)
	return ok
}

// Equal reports whether two states are the same: not only of every event, but of
// every event after any change, too.
func (s ReadState) Equal(o ReadState) bool {
	same := func(a, b readMark) bool { return a.at == b.at && slices.Equal(a.upTo, b.upTo) }
	return slices.EqualFunc(s.marks, o.marks, same) && maps.Equal(s.flags, o.flags)
}

// LastChange is the time of the latest change in the state, milliseconds since 1970;
// 0 when there is none.
func (s ReadState) LastChange() int64 {
	last := int64(0)
	if len(s.marks) > 0 {
		last = s.marks[0].at
	}
	for _, f := range s.flags {
		last = max(last, f.at)
	}
	return last
}

// UpTo is up to where all is read but the events of Unread: one position a partition,
// the zero Position where nothing is.
func (s ReadState) UpTo() Cursor {
	if len(s.marks) == 0 {
		return nil
	}
	return slices.Clone(s.marks[len(s.marks)-1].upTo)
}

// Unread lists the events that are covered by UpTo and nevertheless unread, in order.
func (s ReadState) Unread() []EventID { return s.exceptions(false) }

// exceptions lists the events of which a flag says something else than UpTo does.
func (s ReadState) exceptions(read bool) (ids []EventID) {
	for id, f := range s.flags {
		if _, covered := s.marked(id); f.read == read && covered != read {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}

// View is the state as a client receives it, without a cursor.
func (s ReadState) View() Read {
	var v Read
	for partition, pos := range s.UpTo() {
		if pos != (Position{}) {
			v.UpTo = append(v.UpTo, EventID{Partition: partition, Position: pos}.String())
		}
	}
	v.Read, v.Unread = texts(s.exceptions(true)), texts(s.exceptions(false))
	return v
}

// IsRead reports whether the person has read an event, as a client finds it out.
func (f *Read) IsRead(event EventID) bool {
	id := event.String()
	covered := slices.ContainsFunc(f.UpTo, func(text string) bool {
		upTo, err := ParseEventID(text)
		return err == nil && upTo.Partition == event.Partition && upTo.compare(event.Position) >= 0
	})
	if covered {
		return !slices.Contains(f.Unread, id)
	}
	return slices.Contains(f.Read, id)
}

func texts(ids []EventID) (list []string) {
	for _, id := range ids {
		list = append(list, id.String())
	}
	return list
}

// compare orders positions of one partition: a later life of the log comes after all
// of an earlier one.
func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Life, q.Life), cmp.Compare(p.Seq, q.Seq))
}

func compareIDs(a, b EventID) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), a.compare(b.Position))
}

// covers reports whether a cursor has come as far as an event.
func (c Cursor) covers(id EventID) bool {
	if id.Partition >= len(c) || c[id.Partition] == (Position{}) {
		return false
	}
	return c[id.Partition].compare(id.Position) >= 0
}

// joined is the cursor that covers what a or b does, without partitions at its end of
// which neither says anything.
func joined(a, b Cursor) Cursor {
	c := make(Cursor, max(len(a), len(b)))
	copy(c, a)
	for i, pos := range b {
		if c[i].compare(pos) < 0 {
			c[i] = pos
		}
	}
	for len(c) > 0 && c[len(c)-1] == (Position{}) {
		c = c[:len(c)-1]
	}
	return c
}
