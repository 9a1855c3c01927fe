package ring

import (
	"slices"
	"sort"
	"sync/atomic"
	"time"
)

// View is a reader's hold on the ring at one moment. It stays valid while the
// ring moves on, and keeps the segments it covers in memory: use it for one
// turn and let it go.
type View struct {
	ring *Ring
	segs []*segment
	head uint64
	now  uint32 // Unix seconds; 0: nothing expires
}

// View takes hold of the ring as it is now.
func (r *Ring) View() View {
	for {
		// Head before segments: the segments are then at least as new, so the
		// head is among them, unless it was evicted in between.
		head := r.head.Load()
		segs := *r.segs.Load()
		if segs[0].first <= head+1 {
			v := View{ring: r, segs: segs, head: head}
			if r.expire.Load() {
				v.now = uint32(time.Now().Unix())
			}
			return v
		}
	}
}

// Head is the position of the newest entry of the view.
func (v *View) Head() uint64 { return v.head }

// Floor is the position before the oldest entry: what came at or before it is
// no longer in the ring.
func (v *View) Floor() uint64 { return v.segs[0].first - 1 }

// FloorSeqs is the place at the floor: the ring holds all of the log after it. It is
// the ring's own.
func (v *View) FloorSeqs() []uint64 { return v.segs[0].base }

// HeadSeqs is the place at the head.
func (v *View) HeadSeqs() []uint64 { return v.SeqsAt(nil, v.head) }

// SeqsAt appends to dst the place in the log at a position from Floor to Head.
func (v *View) SeqsAt(dst []uint64, pos uint64) []uint64 {
	if pos == v.Floor() {
		return append(dst, v.FloorSeqs()...)
	}
	seg, m := v.at(pos)
	if len(seg.base) == 1 {
		return append(dst, m.seq)
	}
	start := len(dst)
	dst = append(dst, seg.base...)
	seqs, missing := dst[start:], len(seg.base)
	// The newest entry of a partition is the one that counts; the base is below all.
	for i := pos - seg.first; missing > 0; i-- {
		if m := &seg.metas[i]; m.seq > seqs[m.part] {
			if seqs[m.part] == seg.base[m.part] {
				missing--
			}
			seqs[m.part] = m.seq
		}
		if i == 0 {
			break
		}
	}
	return dst
}

// Item is one entry as a reader sees it. ID, Frame and Packed are the ring's own
// bytes.
type Item struct {
	Pos    uint64
	Part   uint8
	Seq    uint64
	Hash   uint64
	Nanos  int64 // when it was stored, since 1970
	Mark   uint16
	Kind   uint8
	ID     []byte
	Frame  []byte
	Packed []byte // the frame compressed, or empty
}

// At is the entry at a position after Floor, up to Head.
func (v *View) At(pos uint64) Item {
	seg, m := v.at(pos)
	id, frame := m.off, m.off+uint32(m.id)
	return Item{
		Pos: pos, Part: m.part, Seq: m.seq, Hash: m.hash, Nanos: m.time, Kind: m.kind,
		Mark: uint16(atomic.LoadUint32(&m.notes) >> markShift),
		ID:   seg.bytes[id:frame], Frame: seg.bytes[frame:][:m.frame], Packed: seg.bytes[frame+m.frame:][:m.pack],
	}
}

func (v *View) at(pos uint64) (*segment, *meta) {
	// Most reads are of the newest segment.
	seg := v.segs[len(v.segs)-1]
	if pos < seg.first {
		i := sort.Search(len(v.segs), func(i int) bool { return v.segs[i].first > pos })
		seg = v.segs[i-1]
	}
	return seg, &seg.metas[pos-seg.first]
}

// Find is the position up to which no entry comes after a place in the log. Another
// process may have given the place: then later entries, up to the position mixed at
// most, can be before it, too. It reports false when the ring does not reach back to
// the place, or not yet forward to it.
func (v *View) Find(seqs []uint64) (pos, mixed uint64, ok bool) {
	pos = v.head
	head := v.HeadSeqs()
	for part, floor := range v.FloorSeqs() {
		if seqs[part] < floor || seqs[part] > head[part] {
			return 0, 0, false
		}
		seen, next := v.split(part, seqs[part])
		pos, mixed = min(pos, next-1), max(mixed, seen)
	}
	return pos, max(pos, mixed), true
}

// split finds, of the entries of one partition, a position at or after that of the last
// up to a sequence, and that of the first after it; one after the head if there is none.
func (v *View) split(part int, seq uint64) (seen, next uint64) {
	i := sort.Search(len(v.segs), func(i int) bool { return v.segs[i].base[part] > seq }) - 1
	seg := v.segs[i]
	n := len(seg.metas)
	if seg.first+uint64(n) > v.head+1 {
		n = int(v.head + 1 - seg.first)
	}
	seen, next = seg.first-1, v.head+1
	if len(seg.base) == 1 {
		at := uint64(sort.Search(n, func(i int) bool { return seg.metas[i].seq > seq }))
		return seg.first - 1 + at, seg.first + at
	}
	for i := range n {
		m := &seg.metas[i]
		if int(m.part) != part {
			continue
		}
		if m.seq > seq {
			return seen, seg.first + uint64(i)
		}
		seen = seg.first + uint64(i)
	}
	return seen, next
}

// latest starts a chain: the newest entry of k's bucket within the view. It
// reports false when the way there, through entries newer than the view, has
// been evicted since the view was taken.
func (v *View) latest(k Key) (uint64, bool) {
	pos := v.ring.bucket(k.Kind, k.Hash).Load()
	for pos > v.head {
		newest := v.ring.View()
		if pos < newest.segs[0].first {
			return 0, false
		}
		_, m := newest.at(pos)
		pos = m.prev
	}
	return pos, true
}

// matches reports whether an entry is for an audience.
func (s *segment) matches(m *meta, k *Key) bool {
	return m.hash == k.Hash && m.kind == k.Kind && string(s.bytes[m.off:][:m.id]) == k.ID
}

// back steps from pos, which may be any entry of k's bucket, to the newest entry
// of k at or before it that is later than after; 0 when there is none.
func (v *View) back(pos, after uint64, k *Key) uint64 {
	for pos > after && pos > v.Floor() {
		seg, m := v.at(pos)
		if seg.matches(m, k) && m.found(v.now) {
			return pos
		}
		pos = m.prev
	}
	return 0
}

// denseSteps is how many links Collect follows before it reads forward instead.
const denseSteps = 1024

// Collect appends to dst the positions of the entries for keys after one
// position and up to another, in order: the first limit of them. It reports
// false when the ring has moved on too far since the view was taken to tell, or
// does not reach back to after.
func (v *View) Collect(dst []uint64, keys []Key, after, upTo uint64, limit int) ([]uint64, bool) {
	start := len(dst)
	if after < v.Floor() {
		return dst, false
	}
	steps := 0
	for i := range keys {
		k := &keys[i]
		pos, ok := v.latest(*k)
		if !ok {
			return dst[:start], false
		}
		for pos = v.back(pos, after, k); pos != 0; steps++ {
			if steps > denseSteps {
				return v.scan(dst[:start], keys, after, upTo, limit), true
			}
			if pos <= upTo {
				dst = append(dst, pos)
			}
			_, m := v.at(pos)
			pos = v.back(m.prev, after, k)
		}
	}
	found := dst[start:]
	if len(keys) > 1 {
		slices.Sort(found)
	} else {
		slices.Reverse(found)
	}
	return dst[:start+min(len(found), limit)], true
}

// scan finds the same by reading forward. A chain of many entries for these keys
// means that the first few are near: walking all of it back for each batch of a
// long backlog would cost the square of its length.
func (v *View) scan(dst []uint64, keys []Key, after, upTo uint64, limit int) []uint64 {
	for pos := max(after, v.Floor()) + 1; pos <= min(upTo, v.head) && limit > 0; pos++ {
		seg, m := v.at(pos)
		for i := range keys {
			k := &keys[i]
			if seg.matches(m, k) && m.found(v.now) {
				dst = append(dst, pos)
				limit--
				break
			}
		}
	}
	return dst
}

// Newest finds the newest n entries for keys that come after one position, which
// is not below Floor, and after a place in the log, which Find has put there: the
// position they follow, and how many there are, at most n. It reports false when the
// ring has moved on too far to tell.
func (v *View) Newest(keys []Key, after uint64, place []uint64, n int) (pos uint64, count int, ok bool) {
	next := make([]uint64, len(keys))
	for i := range keys {
		latest, ok := v.latest(keys[i])
		if !ok {
			return 0, 0, false
		}
		next[i] = v.back(latest, after, &keys[i])
	}
	pos = v.head
	for count < n {
		newest := 0
		for i := range next {
			if next[i] > next[newest] {
				newest = i
			}
		}
		if len(next) == 0 || next[newest] == 0 {
			break
		}
		at := next[newest]
		_, m := v.at(at)
		next[newest] = v.back(m.prev, after, &keys[newest])
		if m.seq > place[m.part] {
			pos = at - 1
			count++
		}
	}
	return pos, count, true
}

// Stats describes the ring for metrics.
type Stats struct {
	Bytes   int       // held
	Entries uint64    // held
	Oldest  time.Time // when the oldest entry was stored; zero when none is known
}

// Stats describes the ring as the view has it.
func (v *View) Stats() Stats {
	s := Stats{Entries: v.head - v.Floor()}
	for _, seg := range v.segs {
		s.Bytes += seg.size()
	}
	if s.Entries > 0 {
		if nanos := v.At(v.Floor() + 1).Nanos; nanos != 0 {
			s.Oldest = time.Unix(0, nanos)
		}
	}
	return s
}
