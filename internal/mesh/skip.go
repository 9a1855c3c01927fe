package mesh

import (
	"errors"
	"sync/atomic"
	"time"
)

// skip counts a message that is passed over and logs it with its sequence, at
// most skipLogs a minute: who floods the log with nonsense must not flood logs.
func (m *Mesh) skip(seq uint64, subject string, err error) {
	skipped, ok := errors.AsType[*skipError](err)
	if !ok {
		return
	}
	s := &m.tail.skipped
	s.count(skipped.reason)
	if now := time.Now(); now.Sub(s.window) > time.Minute {
		s.window, s.logged = now, 0
	}
	if s.logged++; s.logged <= skipLogs {
		m.log.Warn("a message of the log is malformed and was skipped",
			"seq", seq, "subject", subject, "reason", skipped.reason, "err", err)
	}
}

const skipLogs = 100

// skips counts what was passed over, by reason.
type skips struct {
	subject, envelope, payload atomic.Uint64

	// Owned by whoever holds the tail's lock.
	window time.Time
	logged int
}

func (s *skips) count(reason string) {
	switch reason {
	case skipSubject:
		s.subject.Add(1)
	case skipEnvelope:
		s.envelope.Add(1)
	default:
		s.payload.Add(1)
	}
}
