package session_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/socialvibes/vibemesh/internal/session"
)

// However bytes are split, they come to what gobwas makes of them, within the
// bounds of memory and with a close code that a server may send.
func FuzzFeed(f *testing.F) {
	for _, c := range cases() {
		if len(c.stream) < 1000 {
			f.Add(c.stream, uint64(len(c.stream)))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) { fuzzFeed(t, data, seed, false) })
}

// The same where permessage-deflate was agreed on.
func FuzzFeedDeflate(f *testing.F) {
	for _, c := range append(cases(), deflateCases()...) {
		if len(c.stream) < 1000 {
			f.Add(c.stream, uint64(len(c.stream)))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) { fuzzFeed(t, data, seed, true) })
}

func fuzzFeed(t *testing.T, data []byte, seed uint64, deflate bool) {
	from := session.Inbound{Deflate: deflate}
	g := feedTo(t, from, data)
	if !slices.Contains([]int{0, 1002, 1007, 1009, 4003}, g.code) {
		t.Fatalf("close code %d", g.code)
	}
	agree(t, data, g, deflate)
	random := rand.New(rand.NewPCG(seed, 0))
	ends := make([]int, random.IntN(8))
	for i := range ends {
		ends[i] = random.IntN(len(data) + 1)
	}
	slices.Sort(ends)
	if split := feedTo(t, from, data, ends...); !split.equal(g) {
		t.Fatalf("whole: %v\nsplit at %v: %v", g, ends, split)
	}
}

// Any bytes at all as one compressed message, which few mutations of a stream get to.
func FuzzInflate(f *testing.F) {
	for _, s := range []string{"", "\x00", deflated("Hello", 9), finished("Hello"), deflated(noise(300), 9), deflated(kib64, 9), manyTables()[:40]} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		data := frame(fin|packed|2, string(message))
		agree(t, data, feedTo(t, withDeflate, data), true)
	})
}
