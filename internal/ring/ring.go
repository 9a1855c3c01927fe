// Package ring is the recent log in memory: the last entries, each a finished
// frame and its audience, in segments that are capped in bytes, with an index by
// audience.
//
// One goroutine appends (the tail); any number read, without a lock. A position
// counts entries since the ring was made: position p means "has seen the first p
// entries". Positions are this process's own; sequences are the log's, which has one
// or several partitions: a place in it is a vector of sequences. Another process's
// ring may hold the same entries in another order, each partition's in its own.
//
// An entry that has expired, or whose place a newer one has taken, keeps its position
// and is not found any more.
//
// The index is a table of chains. An audience hashes to a bucket, the bucket
// holds the position of its newest entry, and each entry holds the position of
// the one before it in the same bucket. Finding what one user missed costs a few
// steps, whatever went by for others, and evicting needs no bookkeeping: a link
// to below the floor is the end of its chain.
package ring

import (
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// KindSkip marks an entry without a frame: a message of the log that no client
// receives, kept so that positions and sequences stay in step.
const KindSkip = 0

// KindAll marks an entry for everybody; its ID is empty. All other kinds are the
// caller's.
const KindAll = 1

// Key names an audience, with the hash of it that this ring uses.
type Key struct {
	Kind uint8
	ID   string
	Hash uint64
}

// Entry is what is appended.
type Entry struct {
	Part uint8 // the partition of the log, which Seq counts
	Seq  uint64
	Time time.Time // zero for one that is skipped: that of the entry before it
	// Expires is when it is no longer to be found; zero: never.
	Expires time.Time
	// Collapse: an earlier entry with this key and the same audience is found no
	// longer. Empty: none.
	Collapse string
	Kind     uint8
	ID       string
	Frame    []byte // copied into the ring
	// Packed is the same frame compressed, or empty; copied as well.
	Packed []byte
	// Mark is the caller's own note, which Item has again. 0: none.
	Mark uint16
}

// meta describes one entry of a segment; it holds no pointer, so the collector
// never looks inside the ring.
type meta struct {
	seq   uint64
	time  int64  // Unix nanoseconds
	hash  uint64 // of the audience
	prev  uint64 // position of the entry before it in the same bucket
	off   uint32 // in the segment's bytes: the id, then the frame, then it compressed
	frame uint32 // length
	pack  uint32 // length of the compressed frame
	until uint32 // when it expires, Unix seconds, rounded up; 0: never
	notes uint32 // replaced, and above it the entry's mark; written and read atomically
	id    uint16 // length
	kind  uint8
	part  uint8
}

const metaSize = 56

// replaced, of meta.notes: a newer entry has taken its place.
const (
	replaced  = 1
	markShift = 1
)

// found reports whether an entry is still to be found at a time.
func (m *meta) found(now uint32) bool {
	return (m.until == 0 || m.until > now) && atomic.LoadUint32(&m.notes)&replaced == 0
}

type segment struct {
	first uint64   // position of metas[0]
	base  []uint64 // sequence, in each partition, of the entry before metas[0]
	metas []meta   // fixed length; readers look only at positions up to the head
	bytes []byte   // fixed length
}

func (s *segment) size() int { return len(s.bytes) + len(s.metas)*metaSize }

// Ring is the recent log. Make one with New.
type Ring struct {
	seed     maphash.Seed
	capBytes int
	segBytes int

	// Shared: written by the appender, read by all.
	segs    atomic.Pointer[[]*segment] // replaced, never changed in place; never empty
	head    atomic.Uint64              // position of the newest entry
	buckets []atomic.Uint64            // bucket 0 is KindAll's alone
	expire  atomic.Bool                // an entry has had a time to expire

	// Owned by the appender.
	fillMeta, fillBytes int               // used of the newest segment
	seqs                []uint64          // of the newest entry of each partition
	keyed               map[uint64]uint64 // audience and collapse key, hashed, to the position of the newest
	size                int               // bytes of all segments
	last                int64             // time of the newest entry that has one
}

// New makes a ring that holds about capBytes, and nothing up to a sequence of each
// partition.
func New(capBytes int, seqs []uint64) *Ring {
	segBytes := min(max(capBytes/32, 4<<10), 1<<20)
	buckets := 256
	for buckets < capBytes/1024 && buckets < 1<<18 {
		buckets *= 2
	}
	r := &Ring{
		seed: maphash.MakeSeed(), capBytes: capBytes, segBytes: segBytes,
		buckets: make([]atomic.Uint64, buckets),
		seqs:    slices.Clone(seqs), keyed: map[uint64]uint64{},
	}
	seg := r.newSegment(1, 0)
	r.size = seg.size()
	r.segs.Store(&[]*segment{seg})
	return r
}

// newSegment leaves room for one entry of need bytes even if that is more than
// a segment usually holds.
func (r *Ring) newSegment(first uint64, need int) *segment {
	return &segment{
		first: first, base: slices.Clone(r.seqs),
		metas: make([]meta, max(r.segBytes/256, 8)),
		bytes: make([]byte, max(r.segBytes, need)),
	}
}

// Key hashes an audience for lookups.
func (r *Ring) Key(kind uint8, id string) Key {
	return Key{Kind: kind, ID: id, Hash: r.hash(kind, id)}
}

func (r *Ring) hash(kind uint8, id string) uint64 {
	// The kind keeps user "x" and topic "x" apart; it need not be mixed well.
	return maphash.String(r.seed, id) + uint64(kind)*0x9e3779b97f4a7c15
}

func (r *Ring) bucket(kind uint8, hash uint64) *atomic.Uint64 {
	if kind == KindAll {
		return &r.buckets[0]
	}
	return &r.buckets[1+hash%uint64(len(r.buckets)-1)]
}

// Append adds the next entry. Only one goroutine may append; entries must come
// with rising sequences.
func (r *Ring) Append(e Entry) {
	segs := *r.segs.Load()
	seg := segs[len(segs)-1]
	need := len(e.ID) + len(e.Frame) + len(e.Packed)
	if r.fillMeta == len(seg.metas) || r.fillBytes+need > len(seg.bytes) {
		seg = r.grow(segs, need)
	}
	pos := seg.first + uint64(r.fillMeta)
	if !e.Time.IsZero() { // an entry that is skipped comes without
		r.last = e.Time.UnixNano()
	}
	m := meta{
		seq: e.Seq, time: r.last, kind: e.Kind, part: e.Part,
		off: uint32(r.fillBytes), id: uint16(len(e.ID)), frame: uint32(len(e.Frame)), pack: uint32(len(e.Packed)),
		notes: uint32(e.Mark) << markShift,
	}
	if !e.Expires.IsZero() {
		m.until = uint32(min(max(e.Expires.Add(time.Second-1).Unix(), 1), math.MaxUint32))
		r.expire.Store(true)
	}
	var bucket *atomic.Uint64
	if e.Kind != KindSkip {
		m.hash = r.hash(e.Kind, e.ID)
		bucket = r.bucket(e.Kind, m.hash)
		m.prev = bucket.Load()
	}
	n := copy(seg.bytes[r.fillBytes:], e.ID)
	n += copy(seg.bytes[r.fillBytes+n:], e.Frame)
	copy(seg.bytes[r.fillBytes+n:], e.Packed)
	seg.metas[r.fillMeta] = m
	r.seqs[e.Part] = e.Seq
	r.fillBytes += need
	r.fillMeta++
	// Bucket before head: a reader whose head covers the entry must find it.
	if bucket != nil {
		bucket.Store(pos)
	}
	r.head.Store(pos)
	if e.Collapse != "" {
		r.replace(m.hash, e.Collapse, pos)
	}
}

// replace hides the entry whose place the one at pos has taken.
func (r *Ring) replace(audience uint64, key string, pos uint64) {
	hash := maphash.String(r.seed, key) ^ bits.RotateLeft64(audience, 32)
	before := r.keyed[hash]
	r.keyed[hash] = pos
	if v := r.View(); before > v.Floor() {
		_, m := v.at(before)
		atomic.StoreUint32(&m.notes, m.notes|replaced) // nobody else writes
	}
}

// forget drops the collapse keys of entries that were evicted.
func (r *Ring) forget(floor uint64) {
	for key, pos := range r.keyed {
		if pos <= floor {
			delete(r.keyed, key)
		}
	}
}

// grow seals the newest segment, adds one and evicts the oldest ones.
func (r *Ring) grow(segs []*segment, need int) *segment {
	last := segs[len(segs)-1]
	// Copied without what was not used, so that first+len names the last entry and
	// size is what is held. The old struct stays as it is for readers that hold it.
	sealed := &segment{
		first: last.first, base: last.base,
		metas: slices.Clone(last.metas[:r.fillMeta]), bytes: last.bytes,
	}
	r.size -= last.size() - sealed.size()
	seg := r.newSegment(last.first+uint64(r.fillMeta), need)
	next := make([]*segment, 0, len(segs)+1)
	next = append(append(next, segs[:len(segs)-1]...), sealed, seg)
	if r.fillMeta == 0 { // the entry was too big for an empty segment
		next = append(next[:len(next)-2], seg)
		r.size -= sealed.size()
	}
	r.size += seg.size()
	for r.size > r.capBytes && len(next) > 2 {
		r.size -= next[0].size()
		next = next[1:]
	}
	if floor := next[0].first - 1; len(r.keyed) > 0 && next[0] != segs[0] {
		r.forget(floor)
	}
	r.fillMeta, r.fillBytes = 0, 0
	r.segs.Store(&next)
	return seg
}

// Head is the position of the newest entry.
func (r *Ring) Head() uint64 { return r.head.Load() }
