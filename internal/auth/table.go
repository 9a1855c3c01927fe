package auth

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	ways    = 8  // places that a key can be in
	stripes = 64 // locks, each over its share of the sets
)

// table is the memory of a Cache: set-associative, like a CPU's. A key can be in
// the eight slots of one set only, so a get or a put reads eight slots under the
// lock of a stripe, the bound holds by construction, and nothing is ever moved.
// SHA-256 spreads keys evenly; still, when the table is nearly full some sets
// are full before others, and entries are lost a little early.
type table struct {
	locks [stripes]sync.Mutex
	sets  []set        // a set grows from one slot to ways as it fills
	live  atomic.Int64 // slots that hold something
}

type set []slot

// slot is 48 bytes. Times are seconds since 1970 and last until 2106.
type slot struct {
	key              key
	who              string // the user id, and what Identity.Topics is behind it
	issued, expires  uint32 // expires 0: the slot is empty
	uid              uint8  // length of the user id: at most wire.MaxIDLen
	publish, touched bool
}

func (s *slot) identity() Identity {
	return Identity{
		UID: s.who[:s.uid], Topics: Topics(s.who[s.uid:]),
		IssuedAt: time.Unix(int64(s.issued), 0), Expires: time.Unix(int64(s.expires), 0), MayPublish: s.publish,
	}
}

func (t *table) init(entries int) {
	t.sets = make([]set, (max(entries, 0)+ways-1)/ways)
}

// stripe chooses the flights that a key is among.
func (k *key) stripe() int { return int(k[15]) % stripes }

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
	for j := range entries {
		s := &entries[j]
		if s.key != k || s.expires == 0 {
			continue
		}
		if int64(s.expires) <= now {
			*s = slot{}
			t.live.Add(-1)
			return Identity{}, false
		}
		s.touched = true
		return s.identity(), true
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
	s := t.sets[i].place(&k, now)
	if s.expires == 0 {
		t.live.Add(1)
	}
	*s = slot{
		key: k, who: id.UID + string(id.Topics), uid: uint8(len(id.UID)),
		issued: seconds(id.IssuedAt), expires: seconds(id.Expires), publish: id.MayPublish,
	}
}

func seconds(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), math.MaxUint32)) }

// place chooses the slot for k: its own, an empty or expired one, a new one while
// the set may grow, or by second chance the first that was not touched since the
// last choice. That search starts where k says, so that no slot is preferred.
func (s *set) place(k *key, now int64) *slot {
	var free *slot
	for i := range *s {
		if at := &(*s)[i]; at.key == *k {
			return at
		} else if int64(at.expires) <= now {
			free = at
		}
	}
	if free != nil {
		return free
	}
	if n := len(*s); n < ways {
		if n == cap(*s) { // exactly 1, 2, 4 and 8: most sets of a big table hold one or two
			grown := make(set, n, max(2*n, 1))
			copy(grown, *s)
			*s = grown
		}
		*s = (*s)[:n+1]
		return &(*s)[n]
	}
	start := int(k[8])
	for i := range *s {
		at := &(*s)[(start+i)%ways]
		if !at.touched {
			return at
		}
		at.touched = false
	}
	return &(*s)[start%ways]
}
