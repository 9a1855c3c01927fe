package ring_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/ring"
	"pgregory.net/rapid"
)

// plain is the ring as a slice that forgets nothing: log[i] is at position i+1.
type plain struct {
	t    *rapid.T
	ring *ring.Ring
	base []uint64
	log  []ring.Entry
	over []uint64    // by what position an entry's place was taken; 0: none
	held []ring.View // taken at some time before
	now  time.Time
}

// found reports whether a view finds the entry at a position for sure, and whether it
// may: what was replaced after the view was taken it finds, or not.
func (m *plain) found(pos, head uint64) (sure, may bool) {
	e, over := &m.log[pos-1], m.over[pos-1]
	if !e.Expires.IsZero() && !e.Expires.After(m.now) {
		return false, false
	}
	return over == 0, over == 0 || over > head
}

// place is the place in the log at a position.
func (m *plain) place(pos uint64) []uint64 {
	seqs := slices.Clone(m.base)
	for _, e := range m.log[:pos] {
		seqs[e.Part] = e.Seq
	}
	return seqs
}

func (m *plain) append() {
	t := m.t
	part := rapid.IntRange(0, len(m.base)-1).Draw(t, "partition")
	e := ring.Entry{
		Part: uint8(part), Seq: m.place(uint64(len(m.log)))[part] + rapid.Uint64Range(1, 3).Draw(t, "step"),
		Time: m.now, Kind: ring.KindAll,
	}
	switch who := rapid.SampledFrom([]string{"", "a", "b", "skip"}).Draw(t, "for"); who {
	case "":
	case "skip":
		e.Kind, e.Time = ring.KindSkip, time.Time{}
	default:
		e.Kind, e.ID = kindUser, who
	}
	if e.Kind != ring.KindSkip {
		e.Frame = fmt.Appendf(nil, "%d/%d/", part, e.Seq)
		e.Frame = append(e.Frame, make([]byte, rapid.IntRange(0, 3000).Draw(t, "size"))...)
		e.Packed = e.Frame[:rapid.IntRange(0, 10).Draw(t, "packed")%len(e.Frame)]
		e.Collapse = rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "collapse")
		e.Mark = rapid.SampledFrom([]uint16{0, 0, 1, 1024, math.MaxUint16}).Draw(t, "mark")
		// Far from now, which goes on.
		if hours := rapid.SampledFrom([]time.Duration{0, 0, -1, 1}).Draw(t, "expires"); hours != 0 {
			e.Expires = m.now.Add(hours * time.Hour)
		}
	}
	m.ring.Append(e)
	m.log, m.over = append(m.log, e), append(m.over, 0)
	for i := len(m.log) - 2; i >= 0 && e.Collapse != ""; i-- {
		if o := &m.log[i]; o.Collapse == e.Collapse && o.Kind == e.Kind && o.ID == e.ID {
			m.over[i] = uint64(len(m.log))
			break
		}
	}
}

// TestModelOfPartitions compares a ring of several partitions with a plain slice, over
// every question that a reader asks, of views taken now and before, through eviction.
func TestModelOfPartitions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.IntRange(1, 4).Draw(t, "partitions")
		m := &plain{t: t, now: time.Now(), base: make([]uint64, parts)}
		for i := range m.base {
			m.base[i] = rapid.Uint64Range(0, 1<<40).Draw(t, "base")
		}
		m.ring = ring.New(rapid.IntRange(1, 48<<10).Draw(t, "cap"), m.base)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				m.t = t
				for range rapid.IntRange(1, 12).Draw(t, "entries") {
					m.append()
				}
			},
			"hold": func(*rapid.T) {
				m.held = append(m.held, m.ring.View())
			},
			"ask": func(t *rapid.T) {
				m.t = t
				m.check(m.ring.View())
				if len(m.held) > 0 {
					m.check(rapid.SampledFrom(m.held).Draw(t, "view"))
				}
			},
		})
		m.t = t
		m.check(m.ring.View())
	})
}

func (m *plain) check(v ring.View) {
	place := m.place(v.Floor())
	if floor := v.FloorSeqs(); !slices.Equal(floor, place) || !slices.Equal(v.SeqsAt(nil, v.Floor()), place) {
		m.t.Fatalf("FloorSeqs = %v, want %v", floor, place)
	}
	for pos := v.Floor() + 1; pos <= v.Head(); pos++ {
		it, e := v.At(pos), &m.log[pos-1]
		place[e.Part] = e.Seq
		if got := v.SeqsAt([]uint64{7}, pos); got[0] != 7 || !slices.Equal(got[1:], place) {
			m.t.Fatalf("SeqsAt(%d) = %v, want %v behind what was there", pos, got, place)
		}
		if it.Part != e.Part || it.Seq != e.Seq || it.Kind != e.Kind || string(it.ID) != e.ID || it.Mark != e.Mark ||
			!slices.Equal(it.Frame, e.Frame) || !slices.Equal(it.Packed, e.Packed) {
			m.t.Fatalf("the entry at %d is not what was appended", pos)
		}
	}
	m.checkFind(v)
	m.checkCollect(v)
}

// checkFind asks for a place that another interleaving of the same partitions can have
// come to: any number of entries of each.
func (m *plain) checkFind(v ring.View) {
	seqs, within := make([]uint64, len(m.base)), true
	floor, head := v.FloorSeqs(), v.HeadSeqs()
	for part := range seqs {
		low := floor[part] - min(floor[part], uint64(rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(m.t, "below")))
		seqs[part] = rapid.Uint64Range(low, head[part]+uint64(rapid.SampledFrom([]int{0, 0, 0, 2}).Draw(m.t, "above"))).Draw(m.t, "seq")
		within = within && seqs[part] >= floor[part] && seqs[part] <= head[part]
	}
	pos, mixed, ok := v.Find(seqs)
	if ok != within {
		m.t.Fatalf("Find(%v) = %t in a view from %v to %v", seqs, ok, floor, head)
	}
	if !ok {
		return
	}
	wantPos, wantMixed := v.Head(), v.Floor()
	for p := v.Head(); p > v.Floor(); p-- {
		if e := &m.log[p-1]; e.Seq > seqs[e.Part] {
			wantPos = p - 1
		} else {
			wantMixed = max(wantMixed, p)
		}
	}
	if pos != wantPos {
		m.t.Fatalf("Find(%v): no entry up to %d comes after it, want %d", seqs, pos, wantPos)
	}
	// mixed may be somewhat later than it has to, but not in a log without partitions.
	if wantMixed = max(wantMixed, wantPos); mixed < wantMixed || mixed > v.Head() || len(m.base) == 1 && mixed != pos {
		m.t.Fatalf("Find(%v): entries up to %d may come before it, want %d", seqs, mixed, wantMixed)
	}
}

func (m *plain) checkCollect(v ring.View) {
	t := m.t
	var keys []ring.Key
	for _, who := range []string{"", "a", "b"} {
		switch {
		case !rapid.Bool().Draw(t, "key "+who):
		case who == "":
			keys = append(keys, m.ring.Key(ring.KindAll, ""))
		default:
			keys = append(keys, m.ring.Key(kindUser, who))
		}
	}
	after := rapid.Uint64Range(v.Floor(), v.Head()).Draw(t, "after")
	upTo := rapid.Uint64Range(after, v.Head()).Draw(t, "upTo")
	limit := rapid.IntRange(1, 30).Draw(t, "limit")
	var sure, may []uint64
	for pos := after + 1; pos <= v.Head(); pos++ {
		mine := func(k ring.Key) bool { return k.Kind == m.log[pos-1].Kind && k.ID == m.log[pos-1].ID }
		if slices.ContainsFunc(keys, mine) {
			isSure, isMay := m.found(pos, v.Head())
			if isSure {
				sure = append(sure, pos)
			}
			if isMay {
				may = append(may, pos)
			}
		}
	}
	// Only the way through entries that are newer than the view can be lost.
	fresh := m.ring.View()
	lost := fresh.Floor() > v.Head()

	got, ok := v.Collect([]uint64{1}, keys, after, upTo, limit)
	if got[0] != 1 || !ok && !lost {
		t.Fatalf("Collect(%d, %d, %d) = %v %t", after, upTo, limit, got, ok)
	}
	got = got[1:]
	if len(got) == limit {
		upTo = got[limit-1]
	}
	if ok && (len(got) > limit || !slices.IsSorted(got) || len(without(got, may)) > 0 || len(without(through(sure, upTo), got)) > 0) {
		t.Fatalf("Collect(%d, %d, %d) = %v, want %v of %v", after, upTo, limit, got, sure, may)
	}
	m.checkNewest(v, keys, after, sure, may)
	if v.Floor() > 0 {
		if got, ok := v.Collect(nil, keys, v.Floor()-1, v.Head(), limit); ok || len(got) > 0 {
			t.Fatalf("Collect from below the floor = %v, true", got)
		}
	}
}

// checkNewest asks for the newest entries after a position; some have been seen already,
// by a reader that comes from another interleaving.
func (m *plain) checkNewest(v ring.View, keys []ring.Key, after uint64, sure, may []uint64) {
	t := m.t
	place := m.place(after)
	for part, head := range v.HeadSeqs() {
		place[part] = rapid.Uint64Range(place[part], head).Draw(t, "seen")
	}
	seen := func(pos uint64) bool { return m.log[pos-1].Seq <= place[m.log[pos-1].Part] }
	sure, may = slices.DeleteFunc(sure, seen), slices.DeleteFunc(may, seen)
	n := rapid.IntRange(0, 20).Draw(t, "n")
	pos, count, ok := v.Newest(keys, after, place, n)
	if !ok {
		if fresh := m.ring.View(); fresh.Floor() <= v.Head() {
			t.Fatalf("Newest(%d, %d) cannot tell, and nothing of its way was evicted", after, n)
		}
		return
	}
	most, least := len(may)-len(through(may, pos)), len(sure)-len(through(sure, pos))
	if count == 0 {
		most, least = 0, 0
	}
	if count < max(least, min(len(sure), n)) || count > min(most, n) ||
		count > 0 && !slices.Contains(may, pos+1) || count == 0 && pos != v.Head() {
		t.Fatalf("Newest(%d, %v, %d) = %d %d, want %v of %v", after, place, n, pos, count, sure, may)
	}
}

// through is those of some rising positions that are not after one.
func through(all []uint64, last uint64) []uint64 {
	i, _ := slices.BinarySearch(all, last+1)
	return all[:i]
}

// without is those positions that are not among others.
func without(all, others []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(all), func(pos uint64) bool { return slices.Contains(others, pos) })
}
