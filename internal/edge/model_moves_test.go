package edge

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// modelSteps are the steps that a model test chooses from: those that move a client and
// the log on more often than others.
var modelSteps = func() []string {
	kinds := make(map[string]bool)
	for _, what := range simSteps {
		kinds[what] = true
	}
	delete(kinds, "sleep") // too little happens in it
	var list []string
	for _, what := range []string{"publish", "burst", "follow", "follow", "catch up", "turn", "job", "read", "connect", "connect", "round"} {
		list = append(list, what, what, what, what)
	}
	for _, what := range simSteps {
		if kinds[what] {
			list = append(list, what)
			delete(kinds, what)
		}
	}
	return list
}()

// TestModelOfMoves: clients that move between edges, each of which has its own order of
// the same partitions and a ring that holds next to nothing, get every entry that is
// theirs after their first place once, in the order of its partition, or are told of a
// gap that there is a reason for.
func TestModelOfMoves(t *testing.T) {
	number := rapid.IntRange(0, 1<<16-1)
	one := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom(modelSteps).Draw(t, "what"), number.Draw(t, "a"), number.Draw(t, "b"), number.Draw(t, "c")}
	})
	// Lists of lists are longer than lists, by far.
	steps := rapid.Map(rapid.SliceOfN(rapid.SliceOfN(one, 1, 60), 10, 60), func(lists [][]step) []step { return slices.Concat(lists...) })
	rapid.Check(t, func(rt *rapid.T) {
		partitions, edges := rapid.IntRange(1, 4).Draw(rt, "partitions"), rapid.IntRange(1, 3).Draw(rt, "edges")
		clients, seed := rapid.IntRange(1, 8).Draw(rt, "clients"), rapid.Uint64().Draw(rt, "settings")
		todo := steps.Draw(rt, "steps")
		var w *world
		var err error
		synctest.Test(t, func(*testing.T) { // in which nothing is drawn: it has goroutines of its own
			w, err = runWorld(rand.New(rand.NewPCG(seed, 3)), partitions, edges, clients, slices.Values(todo))
		})
		if err != nil {
			for _, line := range w.trace[max(0, len(w.trace)-30):] {
				rt.Log(line)
			}
			rt.Fatal(fmt.Errorf("ring of %d bytes, a limit of %d: %w", w.cfg.RingBytes, w.cfg.ReplayLimit, err))
		}
	})
}
