package chaos

import (
	"testing"
	"time"
)

func TestFlat(t *testing.T) {
	// Memory that grows at first and stays, and open files that come and go.
	steady := func(i int) Sample {
		return Sample{At: time.Duration(i) * time.Minute, RSS: min(100e6+20e6*float64(i), 160e6), FDs: 500 + float64(i%7), Goroutines: 100}
	}
	for name, c := range map[string]struct {
		sample func(i int) Sample
		n      int
		flat   bool
	}{
		"steady":          {steady, 30, true},
		"too few samples": {steady, 4, false},
		"memory leaks":    {func(i int) Sample { s := steady(i); s.RSS += 2e6 * float64(i); return s }, 30, false},
		"files leak":      {func(i int) Sample { s := steady(i); s.FDs += 10 * float64(i); return s }, 30, false},
		"goroutines leak": {func(i int) Sample { s := steady(i); s.Goroutines += 3 * float64(i); return s }, 30, false},
	} {
		var r SoakReport
		for i := range c.n {
			r.Samples = append(r.Samples, c.sample(i))
		}
		if rows, flat := r.flat(); flat != c.flat {
			t.Errorf("%s: flat %t\n%v", name, flat, rows)
		}
	}
}
