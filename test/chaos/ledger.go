package chaos

import (
	"fmt"
	"sync"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Ledger is what the publishers know: which messages they published, and which of
// them were acknowledged.
type Ledger struct {
	Subjects []*Subject

	mu      sync.Mutex
	removed []Removal
}

// Removal is something that was taken out of the log on purpose: every message up
// to a sequence. Clients that missed any of it have to be told by a gap.
type Removal struct {
	Through uint64
	At      time.Duration // since the run began
}

// Remove notes a removal.
func (l *Ledger) Remove(r Removal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.removed = append(l.removed, r)
}

// removedThrough is the last sequence that was removed up to a time, and whether
// anything was.
func (l *Ledger) removedThrough(at time.Duration) (seq uint64, any bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.removed {
		if r.At <= at {
			seq, any = max(seq, r.Through), true
		}
	}
	return seq, any
}

// Acknowledged counts the messages of all subjects that were acknowledged.
func (l *Ledger) Acknowledged() (n int) {
	for _, s := range l.Subjects {
		n += int(s.Acknowledged())
	}
	return n
}

// Subject is one subject of the log. Its one publisher numbers the messages from
// 1, and begins one only when the one before was acknowledged.
type Subject struct {
	Index    int
	Name     string // on NATS
	Audience wire.Audience

	mu     sync.Mutex
	begun  uint32 // the number being published, or the last one that was
	stored []stored
	early  uint64 // sequence of the begun one, when a client had it before the acknowledgement
}

// stored is an acknowledged message.
type stored struct {
	seq uint64        // in the log
	at  time.Duration // when it was acknowledged, since the run began
}

// Begin gives the number of the next message.
func (s *Subject) Begin() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun++
	return s.begun
}

// Acknowledge notes that the message begun last is in the log.
func (s *Subject) Acknowledge(seq uint64, at time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(s.begun) != len(s.stored)+1 {
		return fmt.Errorf("%s: %d was acknowledged before", s.Name, s.begun)
	}
	early := s.early
	s.stored, s.early = append(s.stored, stored{seq, at}), 0
	if early != 0 && early != seq {
		return fmt.Errorf("%s: %d was acknowledged with the sequence %d, and clients received it with %d", s.Name, s.begun, seq, early)
	}
	return nil
}

// Acknowledged is the last number that was acknowledged, with all before it.
func (s *Subject) Acknowledged() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint32(len(s.stored))
}

// When says when a number was acknowledged.
func (s *Subject) When(number uint32) (at time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number == 0 || int(number) > len(s.stored) {
		return 0, false
	}
	return s.stored[number-1].at, true
}

// sequence is where a number that was acknowledged, or seen, is in the log; 0 for others.
func (s *Subject) sequence(number uint32) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case number >= 1 && int(number) <= len(s.stored):
		return s.stored[number-1].seq
	case number == s.begun:
		return s.early
	}
	return 0
}

// observe notes that a client received a number with a sequence. It returns the
// sequence that the number is known under, and 0 for a number that was never
// published.
func (s *Subject) observe(number uint32, seq uint64) (known uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case number >= 1 && int(number) <= len(s.stored):
		return s.stored[number-1].seq
	case number != s.begun || number == 0:
		return 0
	case s.early == 0:
		s.early = seq
	}
	return s.early
}
