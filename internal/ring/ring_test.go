package ring_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/ring"
	"pgregory.net/rapid"
)

const kindUser = 2

func entry(seq uint64, user string, size int) ring.Entry {
	e := ring.Entry{Seq: seq, Time: time.Unix(int64(seq), 0), Kind: ring.KindAll, Frame: make([]byte, size)}
	copy(e.Frame, fmt.Sprintf("%d/%s/", seq, user))
	switch user {
	case "":
	case "skip":
		e.Kind, e.Frame = ring.KindSkip, nil
	default:
		e.Kind, e.ID = kindUser, user
	}
	return e
}

// TestModel compares the ring with a plain slice through appends, eviction and
// wrap-around, over every question that a reader asks.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Uint64Range(0, 1<<40).Draw(t, "base")
		r := ring.New(rapid.IntRange(1, 64<<10).Draw(t, "cap"), []uint64{base})
		var log []ring.Entry
		seq := base
		users := []string{"", "a", "b", "c", "skip"}
		for range rapid.IntRange(0, 300).Draw(t, "entries") {
			seq += rapid.Uint64Range(1, 3).Draw(t, "step") // deletions leave holes
			e := entry(seq, rapid.SampledFrom(users).Draw(t, "user"), rapid.IntRange(40, 9000).Draw(t, "size"))
			r.Append(e)
			log = append(log, e)
		}
		v := r.View()
		if v.Head() != uint64(len(log)) || v.HeadSeqs()[0] != seq {
			t.Fatalf("head %d seq %d, want %d and %d", v.Head(), v.HeadSeqs()[0], len(log), seq)
		}
		floor := int(v.Floor())
		for i := floor; i < len(log); i++ {
			it := v.At(uint64(i + 1))
			if it.Seq != log[i].Seq || string(it.ID) != log[i].ID || !slices.Equal(it.Frame, log[i].Frame) {
				t.Fatalf("entry %d is not what was appended", i)
			}
		}
		checkFind(t, v, log, base)
		checkCollect(t, r, v, log)
	})
}

func checkFind(t *rapid.T, v ring.View, log []ring.Entry, base uint64) {
	seq := rapid.Uint64Range(base, v.HeadSeqs()[0]+2).Draw(t, "find")
	pos, mixed, ok := v.Find([]uint64{seq})
	if want := seq >= v.FloorSeqs()[0] && seq <= v.HeadSeqs()[0]; ok != want {
		t.Fatalf("Find(%d) = %v, want %v", seq, ok, want)
	}
	if !ok {
		return
	}
	want := 0
	for want < len(log) && log[want].Seq <= seq {
		want++
	}
	if pos != uint64(want) || mixed != pos {
		t.Fatalf("Find(%d) = %d, %d, want %d", seq, pos, mixed, want)
	}
}

func checkCollect(t *rapid.T, r *ring.Ring, v ring.View, log []ring.Entry) {
	keys := []ring.Key{r.Key(ring.KindAll, "")}
	for _, u := range []string{"a", "b"} {
		if rapid.Bool().Draw(t, "key "+u) {
			keys = append(keys, r.Key(kindUser, u))
		}
	}
	mine := func(e ring.Entry) bool {
		return slices.ContainsFunc(keys, func(k ring.Key) bool { return k.Kind == e.Kind && k.ID == e.ID })
	}
	after := rapid.Uint64Range(v.Floor(), v.Head()).Draw(t, "after")
	upTo := rapid.Uint64Range(after, v.Head()).Draw(t, "upTo")
	limit := rapid.IntRange(1, 50).Draw(t, "limit")
	var want []uint64
	for i := after; i < upTo && len(want) < limit; i++ {
		if mine(log[i]) {
			want = append(want, i+1)
		}
	}
	got, ok := v.Collect(nil, keys, after, upTo, limit)
	if !ok || !slices.Equal(got, want) {
		t.Fatalf("Collect(%d, %d, %d) = %v %v, want %v", after, upTo, limit, got, ok, want)
	}
	n := rapid.IntRange(0, 20).Draw(t, "n")
	var newest []uint64
	for i := v.Head(); i > after && len(newest) < n; i-- {
		if mine(log[i-1]) {
			newest = append(newest, i)
		}
	}
	pos, count, ok := v.Newest(keys, after, v.SeqsAt(nil, after), n)
	wantPos := v.Head()
	if len(newest) > 0 {
		wantPos = newest[len(newest)-1] - 1
	}
	if !ok || count != len(newest) || pos != wantPos {
		t.Fatalf("Newest(%d, %d) = %d %d %v, want %d %d", after, n, pos, count, ok, wantPos, len(newest))
	}
}

// TestDenseBacklog crosses from the chains to the forward scan.
func TestDenseBacklog(t *testing.T) {
	r := ring.New(4<<20, []uint64{0})
	for i := range 5000 {
		r.Append(entry(uint64(i+1), []string{"", "a", "b"}[i%3], 64))
	}
	v := r.View()
	keys := []ring.Key{r.Key(ring.KindAll, ""), r.Key(kindUser, "b")}
	got, ok := v.Collect(nil, keys, 10, v.Head(), 4)
	if want := []uint64{12, 13, 15, 16}; !ok || !slices.Equal(got, want) {
		t.Fatalf("got %v %v, want %v", got, ok, want)
	}
}

// TestConcurrentReaders has readers follow a ring that evicts all the time. Each
// must see every entry of its user, or be told that it fell off.
func TestConcurrentReaders(t *testing.T) {
	const entries = 60_000
	r := ring.New(64<<10, []uint64{0})
	var wg sync.WaitGroup
	for _, user := range []string{"", "a", "b", "c"} {
		kind := uint8(kindUser)
		if user == "" {
			kind = ring.KindAll
		}
		keys := []ring.Key{r.Key(kind, user)}
		wg.Go(func() {
			var buf []uint64
			pos, last := uint64(0), uint64(0)
			for pos < entries {
				v := r.View()
				var ok bool
				if buf, ok = v.Collect(buf[:0], keys, pos, v.Head(), 1<<20); !ok {
					fresh := r.View()
					pos = fresh.Floor() // fell off: said, never silent
					last = 0
					continue
				}
				for _, p := range buf {
					it := v.At(p)
					if want := fmt.Sprintf("%d/%s/", it.Seq, user); string(it.Frame[:len(want)]) != want {
						t.Errorf("at %d: %q, want %q", p, it.Frame[:len(want)], want)
						return
					}
					if last != 0 && it.Seq != last+4 {
						t.Errorf("user %q: %d follows %d", user, it.Seq, last)
						return
					}
					last = it.Seq
				}
				pos = v.Head()
			}
		})
	}
	for i := range entries {
		r.Append(entry(uint64(i+1), []string{"", "a", "b", "c"}[i%4], 100))
	}
	wg.Wait()
}

func TestCapAndStats(t *testing.T) {
	r := ring.New(1<<20, []uint64{7})
	for i := range 20_000 {
		r.Append(entry(uint64(8+i), "a", 300))
	}
	v := r.View()
	s := v.Stats()
	if s.Bytes > 1<<20+1<<16 || s.Bytes < 1<<19 {
		t.Errorf("holds %d bytes, cap %d", s.Bytes, 1<<20)
	}
	if s.Entries != v.Head()-v.Floor() || s.Oldest.Unix() != int64(v.SeqsAt(nil, v.Floor()+1)[0]) {
		t.Errorf("stats %+v", s)
	}
	if _, _, ok := v.Find([]uint64{7}); ok {
		t.Error("finds what it evicted")
	}
}

func BenchmarkAppend(b *testing.B) {
	r := ring.New(64<<20, []uint64{0})
	frame := make([]byte, 300)
	b.ReportAllocs()
	for i := range b.N {
		r.Append(ring.Entry{Seq: uint64(i + 1), Time: time.Unix(1, 0), Kind: kindUser, ID: "user-4711", Frame: frame})
	}
}

// BenchmarkCollectOne is what a live delivery to one user asks of the index.
func BenchmarkCollectOne(b *testing.B) {
	r := ring.New(64<<20, []uint64{0})
	frame := make([]byte, 300)
	for i := range 150_000 {
		r.Append(ring.Entry{Seq: uint64(i + 1), Time: time.Unix(1, 0), Kind: kindUser, ID: fmt.Sprint("user-", i), Frame: frame})
	}
	v := r.View()
	keys := []ring.Key{r.Key(ring.KindAll, ""), r.Key(kindUser, "user-149999")}
	var buf []uint64
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = v.Collect(buf[:0], keys, 149_990, 150_000, 64)
	}
}
