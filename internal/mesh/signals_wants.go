package mesh

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// A subscription lingers after the last who wanted it has gone: people come back, and
// each change of interest is told to every server of the cluster.
const (
	linger     = 5 * time.Second
	lingerTick = time.Second
)

// wants counts who wants the signals of which audience. Loops change it; a goroutine
// follows with the subscriptions, however often something was changed in between.
type wants struct {
	wake chan struct{} // there is something in changed

	mu      sync.Mutex
	of      map[wire.Audience]*want
	changed []wire.Audience // each once: see want.changed
	dropped int             // by subscriptions that are over

	leaving []departure // in order of time; owned by the goroutine
}

type want struct {
	count   int
	changed bool               // it is in wants.changed
	leaving bool               // it is in wants.leaving; only the goroutine looks
	sub     *nats.Subscription // written by the goroutine alone
}

type departure struct {
	of wire.Audience
	at time.Time
}

func (w *wants) init() {
	w.wake = make(chan struct{}, 1)
	w.of = map[wire.Audience]*want{}
}

// Want asks for the signals to an audience, once more than before.
func (s *Signals) Want(a wire.Audience) { s.wants.add(a, 1) }

// Unwant takes one asking back.
func (s *Signals) Unwant(a wire.Audience) { s.wants.add(a, -1) }

func (w *wants) add(a wire.Audience, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.of[a]
	if at == nil {
		at = &want{}
		w.of[a] = at
	}
	before := at.count
	at.count += n
	if (before > 0) == (at.count > 0) || at.changed {
		return
	}
	at.changed = true
	w.changed = append(w.changed, a)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// settle subscribes to what is wanted now, and notes what is not any more.
func (s *Signals) settle(now time.Time) {
	w := &s.wants
	w.mu.Lock()
	changed := w.changed
	w.changed = nil
	w.mu.Unlock()
	for _, a := range changed {
		w.mu.Lock()
		at := w.of[a]
		at.changed = false
		wanted := at.count > 0
		if !wanted && at.sub == nil {
			delete(w.of, a)
		}
		w.mu.Unlock()
		switch {
		case wanted && at.sub == nil:
			s.subscribe(a, at)
		case !wanted && at.sub != nil && !at.leaving:
			at.leaving = true
			w.leaving = append(w.leaving, departure{a, now.Add(linger)})
		}
	}
}

// subscribe does not wait for NATS: what is asked for while that is out of reach is
// said when it is back, as every other subscription is.
func (s *Signals) subscribe(a wire.Audience, at *want) {
	subject, err := s.subjects.Signal(a)
	var sub *nats.Subscription
	if err == nil {
		sub, err = s.nc.ChanSubscribe(subject, s.in)
	}
	if err != nil { // the connection was closed: the process ends
		s.log.Warn("subscribing to signals", "err", err)
		return
	}
	s.wants.mu.Lock()
	at.sub = sub
	s.wants.mu.Unlock()
}

// expire ends the subscriptions that nobody has wanted for a while.
func (s *Signals) expire(now time.Time) {
	w := &s.wants
	for len(w.leaving) > 0 && !now.Before(w.leaving[0].at) {
		a := w.leaving[0].of
		w.leaving = w.leaving[1:]
		w.mu.Lock()
		at := w.of[a]
		at.leaving = false
		sub := at.sub
		over := at.count == 0
		if over {
			dropped, err := sub.Dropped()
			if err == nil {
				w.dropped += dropped
			}
			at.sub = nil
			if !at.changed {
				delete(w.of, a)
			}
		}
		w.mu.Unlock()
		if over {
			if err := sub.Unsubscribe(); err != nil {
				s.log.Debug("unsubscribing from signals", "err", err)
			}
		}
	}
}

// stats is how many subscriptions there are, and what nats.go had to drop because the
// channel was full.
func (w *wants) stats() (subscribed, dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dropped = w.dropped
	for _, at := range w.of {
		if at.sub == nil {
			continue
		}
		subscribed++
		if n, err := at.sub.Dropped(); err == nil {
			dropped += n
		}
	}
	return subscribed, dropped
}
