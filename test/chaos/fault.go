package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Fault is one thing that breaks and heals.
type Fault struct {
	Name  string
	About string
	Short bool // in the short form, too
	// hold is how long it lasts in a full run, where a time is to be chosen at all. The
	// short form takes a third.
	hold time.Duration
	// run breaks and heals. When it returns, nothing is broken any more, though not
	// everything may have come back yet. Its error is a promise that was broken
	// meanwhile, or skipped.
	run func(ctx context.Context, r *Run, s Step) error
}

// Step is a fault with everything decided that is left open.
type Step struct {
	*Fault
	Target int           // which edge, or node, or follower; each fault takes it modulo what there is
	Hold   time.Duration // how long it lasts
	Pause  time.Duration // of normal running before it
}

// Plan decides the order of faults, their targets and their times. The same seed
// decides the same.
func Plan(faults []*Fault, seed uint64, short bool) (steps []Step) {
	order := rand.New(rand.NewPCG(seed, 1))
	faults = slices.Clone(faults)
	// By name first: the order must not depend on how the list was put together.
	slices.SortFunc(faults, func(a, b *Fault) int { return strings.Compare(a.Name, b.Name) })
	order.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for _, f := range faults {
		s := Step{
			Fault: f, Target: order.IntN(6), Hold: f.hold,
			Pause: time.Duration(1000+order.IntN(3000)) * time.Millisecond,
		}
		if short {
			s.Hold, s.Pause = s.Hold/3, s.Pause/4
		}
		steps = append(steps, s)
	}
	return steps
}

// skipped is the error of a fault that this system does not allow.
type skipped struct{ why string }

func (s *skipped) Error() string { return "skipped: " + s.why }

func skip(format string, args ...any) error { return &skipped{fmt.Sprintf(format, args...)} }

// Select finds faults by name, separated by commas: all of a full run for an empty
// text, those of the short form for "short".
func Select(names string) (chosen []*Fault, err error) {
	for _, f := range Faults {
		if names == "" || names == "short" && f.Short {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) > 0 {
		return chosen, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		if name == Sabotage.Name {
			chosen = append(chosen, Sabotage)
			continue
		}
		i := slices.IndexFunc(Faults, func(f *Fault) bool { return f.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no fault %q; --list names all", name)
		}
		chosen = append(chosen, Faults[i])
	}
	return chosen, nil
}

// hold waits, and heals even when the run is ended meanwhile.
func hold(ctx context.Context, d time.Duration, heal func() error) error {
	return errors.Join(sleep(ctx, d), heal())
}
