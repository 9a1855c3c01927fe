package wire_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/wire"
	"pgregory.net/rapid"
)

// drawnID is an event of a small log: few enough that changes meet.
func drawnID(t *rapid.T, label string) wire.EventID {
	return wire.EventID{
		Partition: rapid.IntRange(0, 1).Draw(t, label+" partition"),
		Position: wire.Position{
			Life: rapid.Uint64Range(1, 2).Draw(t, label+" life"),
			Seq:  rapid.Uint64Range(1, 4).Draw(t, label+" seq"),
		},
	}
}

// everyID lists the events of that log, and one beyond it.
func everyID() (ids []wire.EventID) {
	for _, partition := range []int{0, 1, 2} {
		for _, life := range []uint64{1, 2} {
			for seq := uint64(1); seq <= 4; seq++ {
				ids = append(ids, wire.EventID{Partition: partition, Position: wire.Position{Life: life, Seq: seq}})
			}
		}
	}
	return ids
}

func drawnChange(t *rapid.T) wire.Change {
	c := wire.Change{At: rapid.Int64Range(1, 6).Draw(t, "at")}
	ids := func(label string) (list []wire.EventID) {
		for range rapid.IntRange(0, 2).Draw(t, label) {
			list = append(list, drawnID(t, label))
		}
		return list
	}
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		c.UpTo = wire.Cursor{drawnID(t, "up to").Position}
	case 1:
		c.UpTo = wire.Cursor{drawnID(t, "up to").Position, drawnID(t, "up to").Position}
	case 2:
		c.UpTo = wire.Cursor{{}, drawnID(t, "up to").Position}
	}
	c.Read, c.Unread = ids("read"), ids("unread")
	return c
}

// isRead says of an event what ReadState promises, from all that was ever done.
func isRead(changes []wire.Change, id wire.EventID) bool {
	// Rank orders what is said of the event: by time, then a flag before a mark, then
	// unread before read.
	best, read := -1, false
	say := func(at int64, rank int, is bool) {
		if r := int(at)*3 + rank; r > best {
			best, read = r, is
		}
	}
	for _, c := range changes {
		if p := id.Partition; p < len(c.UpTo) {
			pos := c.UpTo[p]
			if pos.Life > id.Life || pos.Life == id.Life && pos.Seq >= id.Seq {
				say(c.At, 0, true)
			}
		}
		if slices.Contains(c.Read, id) {
			say(c.At, 1, true)
		}
		if slices.Contains(c.Unread, id) {
			say(c.At, 2, false)
		}
	}
	return read
}

func merged(changes []wire.Change) wire.ReadState {
	switch n := len(changes); n {
	case 0:
		return wire.ReadState{}
	case 1:
		return changes[0].State()
	default:
		return merged(changes[:n/2]).Merge(merged(changes[n/2:]))
	}
}

func sameState(t *rapid.T, what string, got, want wire.ReadState) {
	t.Helper()
	if !got.Equal(want) {
		t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(text(t, want), text(t, got)))
	}
}

func text(t interface{ Fatal(...any) }, s wire.ReadState) string {
	out, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The state says of each event what the plain list of all changes says; so does what a
// client receives; and it is the same whatever the order in which they came to it,
// alone or merged elsewhere before, once or twice, through the log or not.
func TestReadStateModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := rapid.SliceOfN(rapid.Custom(drawnChange), 0, 8).Draw(t, "changes")
		s := merged(changes)
		view := s.View()
		for _, id := range everyID() {
			if got, want := s.IsRead(id), isRead(changes, id); got != want {
				t.Fatalf("%v is read: %v, want %v, in %s", id, got, want, text(t, s))
			}
			if view.IsRead(id) != s.IsRead(id) {
				t.Fatalf("a client takes %v for read: %v, in %+v", id, view.IsRead(id), view)
			}
		}
		// Two devices that were offline, each with some of it, and some with both.
		var phone, desk []wire.Change
		for _, c := range rapid.Permutation(changes).Draw(t, "order") {
			where := rapid.IntRange(0, 2).Draw(t, "where")
			if where != 0 {
				phone = append(phone, c)
			}
			if where != 1 {
				desk = append(desk, c)
			}
		}
		a, b := merged(phone), merged(desk)
		sameState(t, "phone, desk", a.Merge(b), s)
		sameState(t, "desk, phone", b.Merge(a), s)
		sameState(t, "again", s.Merge(a), s)
		sameState(t, "with itself", s.Merge(s), s)
		again, err := wire.ParseReadState([]byte(text(t, s)))
		if err != nil {
			t.Fatal(err)
		}
		sameState(t, "through the log", again, s)
	})
}

// Associative for any states, not only those that one by one changes make.
func TestReadStateMergeIsAssociative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(drawnChange), 0, 4)
		a, b, c := merged(list.Draw(t, "a")), merged(list.Draw(t, "b")), merged(list.Draw(t, "c"))
		sameState(t, "(a b) c", a.Merge(b).Merge(c), a.Merge(b.Merge(c)))
	})
}

// However much a person does, the state stays small, keeps what is newest, fits the
// log, and merging still does not depend on who begins.
func TestReadStateLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) wire.ReadState {
			var changes []wire.Change
			base := rapid.Uint64Range(1, 3000).Draw(t, label)
			for i := range rapid.Uint64Range(0, 1500).Draw(t, label+" events") {
				id := wire.EventID{Position: wire.Position{Life: 2, Seq: base + i}}
				c := wire.Change{At: int64(base + i), Read: []wire.EventID{id}}
				if i%3 == 0 {
					c.Read, c.Unread = nil, c.Read
				}
				if i%200 == 0 {
					c.UpTo = wire.Cursor{{Life: 1, Seq: 5000 - base - i}}
				}
				changes = append(changes, c)
			}
			return merged(changes)
		}
		a, b := draw("a"), draw("b")
		ab := a.Merge(b)
		sameState(t, "b a", b.Merge(a), ab)
		sameState(t, "again", ab.Merge(ab), ab)
		var parts struct {
			Marks        []any
			Read, Unread map[string]int64
		}
		if err := json.Unmarshal([]byte(text(t, ab)), &parts); err != nil {
			t.Fatal(err)
		}
		if n := len(parts.Read) + len(parts.Unread); n > wire.MaxReadFlags || len(parts.Marks) > wire.MaxReadMarks {
			t.Fatalf("%d flags, %d marks", n, len(parts.Marks))
		}
		last := wire.EventID{Position: wire.Position{Life: 2, Seq: uint64(ab.LastChange())}}
		if n := ab.LastChange(); n > 0 && a.IsRead(last) != ab.IsRead(last) && b.IsRead(last) != ab.IsRead(last) {
			t.Fatalf("the newest change, of %v, was forgotten", last)
		}
		again, err := wire.ParseReadState([]byte(text(t, ab)))
		if err != nil {
			t.Fatal(err)
		}
		sameState(t, "through the log", again, ab)
	})
}

// The largest state there can be is one that is read.
func TestLargestReadState(t *testing.T) {
	var s wire.ReadState
	far := wire.Position{Life: 1<<64 - 1, Seq: 1<<64 - 1}
	const late = 1 << 53
	for i := range wire.MaxReadMarks + 3 {
		c := wire.Change{At: late - int64(i)}
		for p := range wire.MaxPartitions {
			pos := far
			pos.Seq -= uint64(1000 - i)
			if p == 0 {
				pos = wire.Position{Life: 1, Seq: uint64(i + 1)}
			}
			c.UpTo = append(c.UpTo, pos)
		}
		s = s.Merge(c.State())
	}
	c := wire.Change{At: late}
	for i := range uint64(wire.MaxReadFlags + 50) {
		id := wire.EventID{Partition: wire.MaxPartitions - 1, Position: far}
		id.Seq -= i
		c.Unread = append(c.Unread, id)
	}
	s = s.Merge(c.State())
	again, err := wire.ParseReadState([]byte(text(t, s)))
	if err != nil || !again.Equal(s) {
		t.Fatalf("%d bytes: %v", len(text(t, s)), err)
	}
}
