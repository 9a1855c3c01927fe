package edge

import (
	"iter"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// seeded draws steps from a seed.
func seeded(r *rand.Rand, n int) iter.Seq[step] {
	return func(yield func(step) bool) {
		for range n {
			if !yield(step{simSteps[r.IntN(len(simSteps))], r.IntN(1 << 16), r.IntN(1 << 16), r.IntN(1 << 16)}) {
				return
			}
		}
	}
}

// simulate runs the schedule of a seed in a bubble of its own.
func simulate(t *testing.T, seed uint64, steps int) (w *world, minutes float64, err error) {
	synctest.Test(t, func(*testing.T) {
		began := time.Now()
		r := rand.New(rand.NewPCG(seed, 4))
		w, err = runWorld(r, 1+r.IntN(4), 2+r.IntN(2), 2+r.IntN(20), seeded(r, steps))
		minutes = time.Since(began).Minutes()
	})
	return w, minutes, err
}

// TestSimulation runs edges and their log through schedules of faults, each drawn from
// a seed: slow sockets, pages that fail or come late or short, tails that stall,
// retention, new lives of the log, drains, crashes. SIM_SEED repeats one; SIM_SEEDS is how
// many there are.
func TestSimulation(t *testing.T) {
	first, count := uint64(1), uint64(12)
	if text := os.Getenv("SIM_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		count = n
	}
	if text := os.Getenv("SIM_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = n, 1
	}
	var minutes float64
	events, gaps, failed := 0, 0, 0
	for seed := first; seed < first+count; seed++ {
		w, took, err := simulate(t, seed, 4000)
		if err != nil {
			for _, line := range w.trace[max(0, len(w.trace)-40):] {
				t.Log(line)
			}
			t.Errorf("seed %d: %v\nrepeat it by: SIM_SEED=%d go test -run 'TestSimulation$' ./internal/edge", seed, err, seed)
			if failed++; failed > 2 {
				return
			}
		}
		minutes += took
		for _, c := range w.clients {
			events, gaps = events+c.events, gaps+c.gaps
		}
	}
	t.Logf("%.0f minutes, %d entries received, %d gaps", minutes, events, gaps)
}

// TestSimulationRepeats: the same seed is the same schedule, and brings the same words
// in the same order to every client.
func TestSimulationRepeats(t *testing.T) {
	for seed := range uint64(4) {
		a, _, err := simulate(t, 100+seed, 2000)
		if err != nil {
			t.Fatalf("seed %d: %v", 100+seed, err)
		}
		b, _, err := simulate(t, 100+seed, 2000)
		if err != nil {
			t.Fatalf("seed %d, again: %v", 100+seed, err)
		}
		for i := range max(len(a.trace), len(b.trace)) {
			if i >= len(a.trace) || i >= len(b.trace) || a.trace[i] != b.trace[i] {
				t.Fatalf("seed %d: line %d of %d and %d differs:\n%s\n%s", 100+seed, i, len(a.trace), len(b.trace),
					slices.Concat(a.trace, []string{"the end"})[i], slices.Concat(b.trace, []string{"the end"})[i])
			}
		}
	}
}
