package wire_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// verdicts lists events that are read, and others that are not.
type verdicts struct {
	Read   []string `json:"is_read"`
	Unread []string `json:"is_unread"`
}

func (v verdicts) check(t *testing.T, who string, isRead func(wire.EventID) bool) {
	t.Helper()
	for _, list := range []struct {
		ids  []string
		want bool
	}{{v.Read, true}, {v.Unread, false}} {
		for _, text := range list.ids {
			id, err := wire.ParseEventID(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := isRead(id); got != list.want {
				t.Errorf("%s: %s is read: %v, want %v", who, text, got, list.want)
			}
		}
	}
}

type readStateVectors struct {
	Good []struct {
		input
		verdicts
		View wire.Read `json:"view"`
	} `json:"good"`
	Tolerated []struct {
		input
		Becomes string `json:"becomes"`
	} `json:"tolerated"`
	Merges []struct {
		Name   string `json:"name"`
		A      string `json:"a"`
		B      string `json:"b"`
		Merged string `json:"merged"`
	} `json:"merges"`
	Frames []struct {
		Name string `json:"name"`
		verdicts
		Frame wire.Read `json:"frame"`
	} `json:"frames"`
	Malformed []input `json:"malformed"`
}

func TestReadStateVectors(t *testing.T) {
	v := load[readStateVectors](t, "read_states.json")
	parse := func(t *testing.T, in string) wire.ReadState {
		t.Helper()
		s, err := wire.ParseReadState([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range v.Good {
		t.Run(c.Name, func(t *testing.T) {
			s := parse(t, *c.Text)
			if got := text(t, s); got != *c.Text {
				t.Errorf("written as %s, want %s", got, *c.Text)
			}
			view := s.View()
			if diff := cmp.Diff(c.View, view); diff != "" {
				t.Errorf("a client gets (-want +got):\n%s", diff)
			}
			c.check(t, "the state", s.IsRead)
			c.check(t, "a client", view.IsRead)
		})
	}
	for _, c := range v.Tolerated {
		t.Run(c.Name, func(t *testing.T) {
			if got := text(t, parse(t, *c.Text)); got != c.Becomes {
				t.Errorf("written as %s, want %s", got, c.Becomes)
			}
		})
	}
	for _, c := range v.Merges {
		t.Run(c.Name, func(t *testing.T) {
			a, b := parse(t, c.A), parse(t, c.B)
			for _, got := range []string{text(t, a.Merge(b)), text(t, b.Merge(a))} {
				if got != c.Merged {
					t.Errorf("merged: %s, want %s", got, c.Merged)
				}
			}
		})
	}
	for _, c := range v.Frames {
		t.Run(c.Name, func(t *testing.T) { c.check(t, "a client", c.Frame.IsRead) })
	}
	for _, c := range v.Malformed {
		t.Run(c.Name, func(t *testing.T) {
			s, err := wire.ParseReadState(c.bytes(t))
			if !errors.Is(err, wire.ErrReadState) {
				t.Fatalf("read as %s, error %v; want ErrReadState", text(t, s), err)
			}
			if len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes repeats what was stored", len(err.Error()))
			}
		})
	}
}

// What is accepted is written as the log holds it, is then read as the same, and tells
// of each event that it names, and the ones beside it, the same as what a client gets.
func FuzzParseReadState(f *testing.F) {
	v := load[readStateVectors](f, "read_states.json")
	for _, c := range v.Good {
		f.Add(c.bytes(f), *c.Text)
	}
	for _, c := range v.Tolerated {
		f.Add(c.bytes(f), c.Becomes)
	}
	for _, c := range v.Merges {
		f.Add([]byte(c.A), c.B)
	}
	for _, c := range v.Malformed {
		f.Add(c.bytes(f), "{}")
	}
	f.Fuzz(func(t *testing.T, one []byte, other string) {
		s, err := wire.ParseReadState(one)
		if err != nil {
			if !errors.Is(err, wire.ErrReadState) {
				t.Fatalf("error %v of no kind", err)
			}
			return
		}
		again, err := wire.ParseReadState([]byte(text(t, s)))
		if err != nil || !again.Equal(s) || text(t, again) != text(t, s) {
			t.Fatalf("%s is read again as %s, error %v", text(t, s), text(t, again), err)
		}
		if o, err := wire.ParseReadState([]byte(other)); err == nil {
			if ab, ba := s.Merge(o), o.Merge(s); !ab.Equal(ba) || !ab.Merge(s).Equal(ab) {
				t.Fatalf("%s and %s make %s or %s", text(t, s), text(t, o), text(t, ab), text(t, ba))
			}
		}
		view := s.View()
		for partition, pos := range s.UpTo() {
			for _, seq := range []uint64{pos.Seq - 1, pos.Seq, pos.Seq + 1} {
				id := wire.EventID{Partition: partition, Position: wire.Position{Life: pos.Life, Seq: seq}}
				if s.IsRead(id) != view.IsRead(id) {
					t.Fatalf("%s is read: %v; a client takes it for %v", id, s.IsRead(id), view.IsRead(id))
				}
			}
		}
		for _, id := range s.Unread() {
			if s.IsRead(id) || view.IsRead(id) {
				t.Fatalf("%s is unread, and read", id)
			}
		}
	})
}
