package edge

import (
	"sort"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// maxMarks bounds a deliverer's marks, which a sweep of minutes would gather.
const maxMarks = 4096

// marks are positions of the ring, rising, with the place in the log of each. The
// places lie in one slice, so that a mark, of which every turn of a loop makes one,
// allocates nothing.
type marks struct {
	pos   []uint64
	seqs  []uint64
	parts int
}

func (m *marks) at(i int) wire.Vector { return m.seqs[i*m.parts : (i+1)*m.parts : (i+1)*m.parts] }

// reset leaves one mark.
func (m *marks) reset(pos uint64, place []uint64) {
	m.parts = len(place)
	m.pos, m.seqs = append(m.pos[:0], pos), append(m.seqs[:0], place...)
}

// add appends a mark; place appends its place to what it is given.
func (m *marks) add(pos uint64, place func(dst []uint64) []uint64) {
	if len(m.pos) == maxMarks { // see deliverer.fallBehind
		m.remove(1, maxMarks/2) // the first is done's
	}
	m.pos = append(m.pos, pos)
	m.seqs = place(m.seqs)
}

func (m *marks) remove(from, to int) {
	m.pos = append(m.pos[:from], m.pos[to:]...)
	m.seqs = append(m.seqs[:from*m.parts], m.seqs[to*m.parts:]...)
}

// before is the index of the last mark at or before a position; -1: none.
func (m *marks) before(pos uint64) int {
	return sort.Search(len(m.pos), func(i int) bool { return m.pos[i] > pos }) - 1
}
