package auth

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

const (
	ways    = 8  // places that a key can be in; 8 slots fill Go's 576-byte size class
	stripes = 64 // locks, each over its share of the sets
)

// table is the memory of a Cache: set-associative, like a CPU's. A key can be in
// the eight slots of one set only, so a get or a put reads eight slots under the
// lock of a stripe, the bound holds by construction, and nothing is ever moved.
// SHA-256 spreads keys evenly; still, when the table is nearly full some sets
// are full before others, and entries are lost a little early.
type table struct {
	locks [stripes]sync.Mutex
	sets  []*set       // a set is made when it is first needed
	live  atomic.Int64 // slots that hold something
}

type set [ways]slot

type slot struct {
	key              key
	uid              string
	issued, expires  int64 // seconds since 1970; expires 0: the slot is empty
	publish, touched bool
}

func (t *table) init(entries int) {
	t.sets = make([]*set, (max(entries, 0)+ways-1)/ways)
}

// stripe chooses the flights that a key is among.
func (k *key) stripe() int { return int(k[31]) % stripes }

func (t *table) index(k *key) int {
	return int(binary.LittleEndian.Uint64(k[:]) % uint64(len(t.sets)))
}

// get finds what is remembered of k and has not expired at now.
func (t *table) get(k key, now int64) (Identity, bool) {
	if len(t.sets) == 0 {
		return Identity{}, false
	}
	i := t.index(&k)
	lock := &t.locks[i%stripes]
	lock.Lock()
	defer lock.Unlock()
	entries := t.sets[i]
	if entries == nil {
		return Identity{}, false
	}
	for j := range entries {
		s := &entries[j]
		if s.key != k || s.expires == 0 {
			continue
		}
		if s.expires <= now {
			*s = slot{}
			t.live.Add(-1)
			return Identity{}, false
		}
		s.touched = true
		return Identity{s.uid, time.Unix(s.issued, 0), time.Unix(s.expires, 0), s.publish}, true
	}
	return Identity{}, false
}

// put remembers who k speaks for, in the place of something older if need be.
func (t *table) put(k key, id Identity, now int64) {
	if len(t.sets) == 0 || id.Expires.Unix() <= now {
		return
	}
	i := t.index(&k)
	lock := &t.locks[i%stripes]
	lock.Lock()
	defer lock.Unlock()
	if t.sets[i] == nil {
		t.sets[i] = new(set)
	}
	s := t.sets[i].place(&k, now)
	if s.expires == 0 {
		t.live.Add(1)
	}
	*s = slot{key: k, uid: id.UID, issued: id.IssuedAt.Unix(), expires: id.Expires.Unix(), publish: id.MayPublish}
}

// place chooses the slot for k: its own, an empty or expired one, or by second
// chance the first that was not touched since the last choice. The search starts
// where k says, so that no slot is preferred.
func (set *set) place(k *key, now int64) *slot {
	var free *slot
	for i := range set {
		if s := &set[i]; s.key == *k {
			return s
		} else if s.expires <= now {
			free = s
		}
	}
	if free != nil {
		return free
	}
	start := int(k[8])
	for i := range set {
		s := &set[(start+i)%ways]
		if !s.touched {
			return s
		}
		s.touched = false
	}
	return &set[start%ways]
}
