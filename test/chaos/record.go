package chaos

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Record is what one session received. It keeps the last number of each subject,
// and of everything that is not simply the next number, what it was.
type Record struct {
	Session  string // name of the session
	Subjects []*Subject

	mu       sync.Mutex
	last     []uint32 // highest number received, by index in Subjects
	skipped  []span   // numbers below last that have not come
	late     []late
	again    []again
	gaps     []gap
	strange  []string
	trail    []string // what happened to the session, the newest last
	received int      // messages, each counted once
}

// span is a run of numbers of one subject, both ends included.
type span struct {
	subject  int // index in Subjects
	from, to uint32
}

// late is a number that came behind a higher one.
type late struct {
	subject       int
	number, after uint32
	at            time.Duration
}

// again is a number that had been received before.
type again struct {
	subject int
	number  uint32
	seq     uint64 // it came with
	known   uint64 // the number is known under
	covered bool   // the cursor of the session covered it
	at      time.Duration
}

// gap is a gap frame.
type gap struct {
	reason string
	at     time.Duration
}

// NewRecord begins the record of a session that is in the audience of some subjects.
func NewRecord(session string, subjects []*Subject) *Record {
	return &Record{Session: session, Subjects: subjects, last: make([]uint32, len(subjects))}
}

// arrival is one message as it came.
type arrival struct {
	subject *Subject
	number  uint32
	seq     uint64
	covered bool // the session's cursor was at or behind it already
	at      time.Duration
}

// receive notes a message. It reports whether it is new to the session.
func (r *Record) receive(a arrival) (fresh bool) {
	known := a.subject.observe(a.number, a.seq)
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.Subjects, a.subject)
	switch {
	case i < 0:
		r.strangely(a.at, "%s %d is for somebody else", a.subject.Name, a.number)
		return false
	case known == 0:
		r.strangely(a.at, "%s %d was never published", a.subject.Name, a.number)
		return false
	case a.number <= r.last[i] && !r.fill(i, a.number):
		r.again = append(r.again, again{i, a.number, a.seq, known, a.covered, a.at})
		return false
	case a.number < r.last[i]:
		r.late = append(r.late, late{i, a.number, r.last[i], a.at})
	case a.number > r.last[i]+1:
		r.skipped = append(r.skipped, span{i, r.last[i] + 1, a.number - 1})
	}
	if known != a.seq { // a second copy of it is in the log
		r.again = append(r.again, again{i, a.number, a.seq, known, a.covered, a.at})
	}
	r.last[i] = max(r.last[i], a.number)
	r.received++
	return true
}

// fill takes a number out of those that were skipped.
func (r *Record) fill(subject int, number uint32) bool {
	for i, s := range r.skipped {
		if s.subject != subject || number < s.from || number > s.to {
			continue
		}
		r.skipped = slices.Delete(r.skipped, i, i+1)
		if s.from < number {
			r.skipped = append(r.skipped, span{subject, s.from, number - 1})
		}
		if number < s.to {
			r.skipped = append(r.skipped, span{subject, number + 1, s.to})
		}
		return true
	}
	return false
}

// gapSaid notes a gap frame.
func (r *Record) gapSaid(reason string, at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gaps = append(r.gaps, gap{reason, at})
	r.tell(at, "gap "+reason)
}

const (
	maxStrange = 20
	maxTrail   = 12
)

func (r *Record) strangely(at time.Duration, format string, args ...any) {
	if len(r.strange) < maxStrange {
		r.strange = append(r.strange, clock(at)+" "+fmt.Sprintf(format, args...))
	}
}

// odd notes what no session may ever see.
func (r *Record) odd(at time.Duration, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strangely(at, format, args...)
}

// happened adds a line to what is told of the session when something is wrong.
func (r *Record) happened(at time.Duration, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(at, what)
}

func (r *Record) tell(at time.Duration, what string) {
	if len(r.trail) == maxTrail {
		r.trail = slices.Delete(r.trail, 0, 1)
	}
	r.trail = append(r.trail, clock(at)+" "+what)
}

// missing counts the numbers that were acknowledged and have not come, of those up
// to upTo (by Subject.Index).
func (r *Record) missing(upTo []uint32) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range r.Subjects {
		n += int(max(upTo[s.Index], r.last[i]) - r.last[i])
	}
	for _, s := range r.skipped {
		if to := min(s.to, upTo[r.Subjects[s.subject].Index]); to >= s.from {
			n += int(to - s.from + 1)
		}
	}
	return n
}

// clock writes a time since the beginning of the run.
func clock(at time.Duration) string {
	return fmt.Sprintf("%02d:%06.3f", int(at.Minutes()), (at % time.Minute).Seconds())
}
