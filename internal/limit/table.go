package limit

import "sync"

// entry is what is known of one address. It has no pointers, so that the collector
// does not look at a million of them.
type entry struct {
	key   uint64
	full  int64  // when its bucket is full again: see rate
	conns uint32 // it has now
	// The idle list, by index; 0 at the ends.
	prev, next uint32
}

const (
	chunkBits = 8
	chunkSize = 1 << chunkBits
)

// table is one share of the addresses. Its entries are a slab, which grows by
// chunks and never moves, and is as long as the most there ever were at once.
type table struct {
	mu     sync.Mutex
	index  map[uint64]uint32 // by key
	chunks []*[chunkSize]entry
	free   []uint32
	high   uint32 // the last index ever used; 0 is nobody's

	// Entries without connections: only their buckets are remembered. The first has
	// been idle for longest.
	first, last uint32
	idle        int
}

func (t *table) at(i uint32) *entry { return &t.chunks[i>>chunkBits][i&(chunkSize-1)] }

// add makes an entry, which is in no list yet.
func (t *table) add(key uint64) (uint32, *entry) {
	var i uint32
	if n := len(t.free); n > 0 {
		i = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		t.high++
		i = t.high
		if int(i>>chunkBits) == len(t.chunks) {
			t.chunks = append(t.chunks, new([chunkSize]entry))
		}
	}
	e := t.at(i)
	*e = entry{key: key}
	t.index[key] = i
	return i, e
}

// remove forgets an entry that is in no list.
func (t *table) remove(i uint32) {
	delete(t.index, t.at(i).key)
	t.free = append(t.free, i)
}

// rest puts an entry at the end of the idle list.
func (t *table) rest(i uint32, e *entry) {
	e.prev, e.next = t.last, 0
	if t.last == 0 {
		t.first = i
	} else {
		t.at(t.last).next = i
	}
	t.last = i
	t.idle++
}

// rouse takes an entry out of the idle list.
func (t *table) rouse(e *entry) {
	if e.prev == 0 {
		t.first = e.next
	} else {
		t.at(e.prev).next = e.next
	}
	if e.next == 0 {
		t.last = e.prev
	} else {
		t.at(e.next).prev = e.prev
	}
	e.prev, e.next = 0, 0
	t.idle--
}

// forgets is how many idle entries one call looks at, at most: more than it adds.
const forgets = 2

// forget removes idle entries that say nothing any more, or are too many; the
// oldest first.
func (t *table) forget(now int64, most int) {
	for range forgets {
		if t.first == 0 {
			return
		}
		i := t.first
		e := t.at(i)
		if e.full > now && t.idle <= most {
			return
		}
		t.rouse(e)
		t.remove(i)
	}
}
