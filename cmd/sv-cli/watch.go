package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// seen remembers the edges between two answers.
type seen struct {
	edges map[edgeKey]sighting
}

// edgeKey is one life of an edge: what it counts begins anew with the next.
type edgeKey struct {
	node    string
	started int64
}

type sighting struct {
	edge wire.EdgeStatus
	at   time.Time
}

// remembered is for how long the view shows an edge that does not answer any more.
const remembered = time.Minute

func keyOf(e *wire.EdgeStatus) edgeKey { return edgeKey{e.Node, e.Started.UnixNano()} }

// take remembers an answer.
func (b *seen) take(s *status) {
	for i := range s.Edges {
		b.edges[keyOf(&s.Edges[i])] = sighting{s.Edges[i], s.at}
	}
	for key, was := range b.edges {
		if s.at.Sub(was.at) > remembered {
			delete(b.edges, key)
		}
	}
}

// rates are how an edge's sessions and deliveries have changed a second since it was
// seen last; "-" where it was not.
func (b *seen) rates(e *wire.EdgeStatus, at time.Time) (sessions, events string) {
	was, ok := b.edges[keyOf(e)]
	took := at.Sub(was.at).Seconds()
	if !ok || took <= 0 || e.Delivered < was.edge.Delivered {
		return "-", "-"
	}
	sessions = fmt.Sprintf("%+.1f", float64(e.Sessions-was.edge.Sessions)/took)
	if e.Sessions == was.edge.Sessions {
		sessions = "0"
	}
	return sessions, countText(uint64(float64(e.Delivered-was.edge.Delivered)/took + 0.5))
}

// gone are the edges that have answered before and do not now, by name. One that is
// there in another life is not gone.
func (b *seen) gone(s *status) (all []wire.EdgeStatus) {
	for _, was := range b.edges {
		same := func(e wire.EdgeStatus) bool { return e.Node == was.edge.Node }
		if !slices.ContainsFunc(s.Edges, same) && !slices.ContainsFunc(all, same) {
			all = append(all, was.edge)
		}
	}
	slices.SortFunc(all, func(a, b wire.EdgeStatus) int { return strings.Compare(a.Node, b.Node) })
	return all
}

// watch asks again and again until it is interrupted, which is a success.
func (c *statusCmd) watch(ctx context.Context, w world, g globals, ask func(context.Context) (*status, error)) error {
	first, err := ask(ctx) // what is wrong with the question is said before the screen is taken
	if err != nil {
		return err
	}
	show := w.scroller(g)
	var keys <-chan byte
	var resized <-chan struct{}
	if w.openScreen != nil && !g.JSON {
		s, err := w.openScreen()
		if err != nil {
			return fmt.Errorf("taking the terminal: %w", err)
		}
		defer s.restore()
		show, keys, resized = w.painter(s, g), s.keys(), s.resized()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := live{show: show, before: &seen{edges: map[edgeKey]sighting{}}, most: c.Count}
	if err := l.take(first, nil); err != nil || l.full() {
		return err
	}
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	type answer struct {
		status *status
		err    error
	}
	answers, asked := make(chan answer, 1), false // one at a time; keys count meanwhile
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case key := <-keys:
			if key == 'q' || key == 'Q' || key == ctrlC || key == ctrlD {
				return nil
			}
		case <-resized:
			err = l.show(l.now, l.view, l.problem)
		case <-tick.C:
			if !asked {
				asked = true
				go func() { s, err := ask(ctx); answers <- answer{s, err} }()
			}
		case a := <-answers:
			asked = false
			if ctx.Err() != nil {
				return nil
			}
			if err = l.take(a.status, a.err); err == nil && l.full() {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// live is what a watch shows.
type live struct {
	show    func(*status, *view, error) error
	before  *seen
	now     *status // the newest answer
	view    *view
	problem error // why there is none newer
	answers int
	most    int
}

// take shows an answer, or why there is none. What is not going to be better ends it.
func (l *live) take(s *status, problem error) error {
	var refused *problemError
	if errors.As(problem, &refused) && exitCode(problem) == exitRefused && refused.Status != http.StatusTooManyRequests {
		return problem
	}
	if l.problem = problem; problem == nil {
		l.now, l.view = s, s.view(l.before)
		l.before.take(s)
	}
	l.answers++
	return l.show(l.now, l.view, l.problem)
}

func (l *live) full() bool { return l.most > 0 && l.answers >= l.most }

// scroller prints one answer below the other.
func (w world) scroller(g globals) func(*status, *view, error) error {
	return func(s *status, v *view, problem error) error {
		switch {
		case problem != nil:
			report(w, g, problem)
			return nil
		case g.JSON:
			return say(w, s.raw)
		}
		head := cell{s.at.In(w.zone).Format(time.DateTime) + "  ", dim}
		v.title = append([]cell{head}, v.title...)
		return w.printLines(append(v.lines(0), nil))
	}
}

// painter draws each answer over the one before.
func (w world) painter(scr screen, g globals) func(*status, *view, error) error {
	return func(s *status, v *view, problem error) error {
		width, height := scr.size()
		if width <= 0 || height <= 0 {
			return errors.New("the terminal has no size")
		}
		foot := cell{fmt.Sprintf("%s  %s  q ends", s.at.In(w.zone).Format(time.DateTime), clean(g.URL)), dim}
		if problem != nil {
			text, _, _ := strings.Cut(problem.Error(), "\n")
			foot = cell{"no answer since " + s.at.In(w.zone).Format(time.TimeOnly) + ": " + clean(text), red}
		}
		lines := append(v.lines(height-1), []cell{foot})
		if height == 1 {
			lines = lines[len(lines)-1:]
		}
		var b strings.Builder
		b.WriteString(cursorHome)
		for i, l := range lines {
			if i > 0 {
				b.WriteString("\r\n") // the terminal is in raw mode
			}
			b.WriteString(w.line(l, width) + clearLine)
		}
		b.WriteString(clearBelow)
		_, err := fmt.Fprint(w.stdout, b.String())
		return err
	}
}
