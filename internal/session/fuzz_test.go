package session_test

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// However bytes are split, they come to what gobwas makes of them, within the
// bounds of memory and with a close code that a server may send.
func FuzzFeed(f *testing.F) {
	for _, c := range cases() {
		if len(c.stream) < 1000 {
			f.Add(c.stream, uint64(len(c.stream)))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		g := feed(t, data)
		if g.code != 0 && g.code != 1002 && g.code != 1007 && g.code != 1009 {
			t.Fatalf("close code %d", g.code)
		}
		agree(t, data, g)
		random := rand.New(rand.NewPCG(seed, 0))
		ends := make([]int, random.IntN(8))
		for i := range ends {
			ends[i] = random.IntN(len(data) + 1)
		}
		slices.Sort(ends)
		if split := feed(t, data, ends...); !split.equal(g) {
			t.Fatalf("whole: %v\nsplit at %v: %v", g, ends, split)
		}
	})
}
