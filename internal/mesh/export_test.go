package mesh

import (
	"context"
	"time"
)

// MakeRememberedOld lets what is remembered have been read some time ago.
func (m *Mesh) MakeRememberedOld(by time.Duration) {
	v := *m.recent.view.Load()
	v.began = v.began.Add(-by)
	m.recent.view.Store(&v)
}

// Remembered is how many messages are remembered.
func (m *Mesh) Remembered() int {
	if v := m.recent.view.Load(); v != nil {
		return len(v.msgs)
	}
	return 0
}

// RecentMsgs is how many are remembered at most.
const RecentMsgs = recentMsgs

// RememberedBytes is about how much memory their texts take.
func (m *Mesh) RememberedBytes() (n int) {
	v := m.recent.view.Load()
	for i := range v.msgs {
		s := &v.msgs[i]
		n += len(s.data) + len(s.subject)
		for name, values := range s.header {
			n += len(name)
			for _, value := range values {
				n += len(value)
			}
		}
	}
	return n
}

// Ask is one round of Run, Later lets a LogSize be some time older, and AskEvery is Run's loop.
func (s *LogSize) Ask(ctx context.Context) { s.ask(ctx) }

func (s *LogSize) Later(by time.Duration) { s.now = func() time.Time { return time.Now().Add(by) } }

var AskEvery = askEvery

// Flush waits until NATS has worked off what was asked of it, such as subscriptions.
func (s *Signals) Flush() error { return s.nc.FlushTimeout(30 * time.Second) }

// Connected reports whether the connection of the signals has a server.
func (s *Signals) Connected() bool { return s.nc.IsConnected() }
