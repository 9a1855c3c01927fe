package session_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/ring"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
	"pgregory.net/rapid"
)

// moves is a log of several partitions, edges whose rings hold the newest of it, each in
// an order of its own, and one client that is continued by one edge after the other.
type moves struct {
	lives []uint64
	log   [][]string // by partition, whom the entry with sequence i+1 is for
	edges []*modelEdge

	cursor string
	seen   wire.Vector // what the client has got or was told of, by partition
	limit  int
}

// modelEdge is no more of an edge than the ring that its tail fills.
type modelEdge struct {
	lives []uint64
	ring  *ring.Ring
	at    wire.Vector
}

const modelUser = 2

func (m *moves) begin(e *modelEdge, capacity int) {
	e.lives, e.at = slices.Clone(m.lives), make(wire.Vector, len(m.log))
	for i := range e.at {
		e.at[i] = uint64(len(m.log[i])) / 2 // somewhere in the past
	}
	e.ring = ring.New(capacity, e.at)
}

// follow brings an entry of a partition to an edge, if there is one.
func (m *moves) follow(e *modelEdge, part int) {
	if e.lives[part] != m.lives[part] || e.at[part] >= uint64(len(m.log[part])) {
		return
	}
	e.at[part]++
	entry := ring.Entry{Part: uint8(part), Seq: e.at[part], Time: time.Unix(1, 0), Frame: make([]byte, 600)}
	switch who := m.log[part][e.at[part]-1]; who {
	case "all":
		entry.Kind = ring.KindAll
	default:
		entry.Kind, entry.ID = modelUser, who
	}
	e.ring.Append(entry)
}

// mine are the client's entries of a partition after one sequence and up to another.
func (m *moves) mine(part int, after, upTo uint64) (seqs []uint64) {
	for seq := after + 1; seq <= upTo; seq++ {
		if who := m.log[part][seq-1]; who == "all" || who == "ada" {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

func (m *moves) missed(after, upTo wire.Vector) (n int) {
	for part := range after {
		n += len(m.mine(part, after[part], upTo[part]))
	}
	return n
}

// get takes an entry: the next one for the client in its partition.
func (m *moves) get(part int, seq uint64) error {
	if want := m.mine(part, m.seen[part], seq); len(want) != 1 || want[0] != seq {
		return fmt.Errorf("has seen %v and gets %d of partition %d: what is due are %v", m.seen, seq, part, want)
	}
	m.seen[part] = seq
	return nil
}

// resume continues the client on an edge, up to so many entries, as plan and ring have
// it; what the ring does not hold is read of the log.
func (m *moves) resume(e *modelEdge, entries int) error {
	v := e.ring.View()
	w := session.Window{Lives: e.lives, Floor: v.FloorSeqs(), Head: v.HeadSeqs()}
	s := session.Plan(session.Ask{Cursor: m.cursor}, w, m.limit)
	for s.Source == session.FromAhead {
		before := slices.Clone(e.at)
		for part := range e.at {
			m.follow(e, part)
		}
		if slices.Equal(before, e.at) {
			return fmt.Errorf("has seen %v, is ahead of %v, and nothing is to come", m.seen, w.Head)
		}
		v = e.ring.View()
		w.Floor, w.Head = v.FloorSeqs(), v.HeadSeqs()
		s = session.Plan(session.Ask{Cursor: m.cursor}, w, m.limit)
	}
	if s.Gap != "" {
		if m.knows(e) {
			return fmt.Errorf("a gap, %s, for a cursor of this log", s.Gap)
		}
		m.start(e.lives, s.After)
		return nil
	}
	if m.cursor != "" && (!m.knows(e) || !slices.Equal(s.After, m.seen)) {
		return fmt.Errorf("has seen %v of lives %v and is continued after %v of %v", m.seen, m.lives, s.After, e.lives)
	}
	if m.cursor == "" {
		m.start(e.lives, s.After)
	}
	return m.replay(e, &v, s, entries)
}

func (m *moves) start(lives []uint64, at wire.Vector) {
	m.seen = slices.Clone(at)
	m.cursor = wire.At(lives, m.seen).String()
}

// knows reports whether the client's cursor is of an edge's lives.
func (m *moves) knows(e *modelEdge) bool {
	c, err := wire.ParseCursor(m.cursor)
	return err == nil && slices.Equal(wire.At(e.lives, c.Seqs()), c)
}

func (m *moves) replay(e *modelEdge, v *ring.View, s session.Start, entries int) error {
	if s.Source == session.FromStream {
		for part, floor := range v.FloorSeqs() {
			for _, seq := range m.mine(part, m.seen[part], floor) {
				if err := m.get(part, seq); err != nil {
					return err
				}
				if entries--; entries == 0 {
					m.cursor = wire.At(e.lives, m.seen).String()
					return nil
				}
			}
			m.seen[part] = max(m.seen[part], floor)
		}
	}
	pos, mixed, ok := v.Find(m.seen)
	if !ok {
		return fmt.Errorf("%v is not found between %v and %v", m.seen, v.FloorSeqs(), v.HeadSeqs())
	}
	keys := []ring.Key{e.ring.Key(ring.KindAll, ""), e.ring.Key(modelUser, "ada")}
	missed := m.missed(m.seen, v.HeadSeqs())
	if _, n, ok := v.Newest(keys, pos, m.seen, m.limit); !ok || n != min(missed, m.limit) {
		return fmt.Errorf("the ring counts %d that are missed, of %d", n, missed)
	}
	got, ok := v.Collect(nil, keys, pos, v.Head(), 1<<20)
	if !ok {
		return fmt.Errorf("nothing to be found after %d", pos)
	}
	for _, p := range got {
		it := v.At(p)
		if p <= mixed && it.Seq <= m.seen[it.Part] {
			continue
		}
		if err := m.get(int(it.Part), it.Seq); err != nil {
			return err
		}
		m.seen = m.seen.Raised(v.SeqsAt(nil, p))
		if entries--; entries == 0 {
			m.cursor = wire.At(e.lives, m.seen).String()
			return nil
		}
	}
	// A quiet session learns of the head by a pong.
	m.seen = m.seen.Raised(v.HeadSeqs())
	m.cursor = wire.At(e.lives, m.seen).String()
	if n := m.missed(m.seen, v.HeadSeqs()); n > 0 {
		return fmt.Errorf("at the head, and %d are missed", n)
	}
	return nil
}

// TestModelOfResumes: a client that moves between rings of the same partitions in other
// orders, and takes only some of what is there each time, gets every entry of its own
// once, in the order of its partition, unless the lives of the log are others.
func TestModelOfResumes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.IntRange(1, 4).Draw(t, "partitions")
		m := &moves{log: make([][]string, parts), limit: rapid.IntRange(1, 40).Draw(t, "limit")}
		for range parts {
			m.lives = append(m.lives, life)
		}
		capacity := rapid.IntRange(1, 32<<10).Draw(t, "capacity")
		for range rapid.IntRange(1, 3).Draw(t, "edges") {
			e := new(modelEdge)
			m.begin(e, capacity)
			m.edges = append(m.edges, e)
		}
		edge := func(t *rapid.T) *modelEdge { return rapid.SampledFrom(m.edges).Draw(t, "edge") }
		part := func(t *rapid.T) int { return rapid.IntRange(0, parts-1).Draw(t, "partition") }
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				for range rapid.IntRange(1, 12).Draw(t, "entries") {
					p := part(t)
					m.log[p] = append(m.log[p], rapid.SampledFrom([]string{"all", "ada", "ben"}).Draw(t, "for"))
				}
			},
			"follow": func(t *rapid.T) {
				for e := edge(t); rapid.IntRange(0, 20).Draw(t, "more") > 0; {
					m.follow(e, part(t))
				}
			},
			"catch up": func(t *rapid.T) {
				e := edge(t)
				for p := range parts {
					for range m.log[p] {
						m.follow(e, p)
					}
				}
			},
			"move": func(t *rapid.T) {
				if err := m.resume(edge(t), rapid.IntRange(1, 30).Draw(t, "takes")); err != nil {
					t.Fatal(err)
				}
			},
			"begin a life": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "seldom") > 0 {
					return
				}
				p := part(t)
				m.lives[p]++
				m.log[p] = nil
				for _, e := range m.edges {
					m.begin(e, capacity)
				}
			},
		})
	})
}
