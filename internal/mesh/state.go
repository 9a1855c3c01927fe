package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// anyAge accepts a state however long ago it was read.
var anyAge time.Time

// states remembers what the log says about itself, so that many who ask at once
// cost one request.
type states struct {
	of    *partition
	mu    sync.Mutex
	state wire.LogState
	asked time.Time // when the request that brought it was sent
	busy  chan struct{}

	short  atomic.Int64 // since when the log lacks what was read of it, Unix nanoseconds; 0: it does not
	copies atomic.Int32 // of the partition that answer reads; 0 until known

	removed atomic.Int64 // messages that are missing between its first and its last
}

// get returns a state that was asked for after since.
func (s *states) get(ctx context.Context, m *Mesh, since time.Time) (wire.LogState, error) {
	for {
		s.mu.Lock()
		if !s.asked.IsZero() && !s.asked.Before(since) {
			defer s.mu.Unlock()
			return s.state, nil
		}
		if wait := s.busy; wait != nil {
			s.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return wire.LogState{}, unavailable(ctx.Err())
			}
		}
		done := make(chan struct{})
		s.busy = done
		s.mu.Unlock()

		asked := time.Now()
		state, err := m.readState(ctx, s.of)
		s.mu.Lock()
		s.busy = nil
		if err == nil {
			if state.Life == s.state.Life && state.Last < s.state.Last {
				m.recent.doubt() // it has lost its end, perhaps at a server that we have no connection to
			}
			s.state, s.asked = state, asked
		}
		s.mu.Unlock()
		close(done)
		return state, err
	}
}

// reached notes that a life of the log has come as far as a position, so that a
// publisher notices when sequences begin anew.
func (s *states) reached(pos wire.Position) {
	s.mu.Lock()
	if s.state.Life == pos.Life {
		s.state.Last = max(s.state.Last, pos.Seq)
	}
	s.mu.Unlock()
}

func (s *states) forget() {
	s.mu.Lock()
	s.asked = time.Time{}
	s.mu.Unlock()
}

func (m *Mesh) readState(ctx context.Context, p *partition) (wire.LogState, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := m.read.js.Stream(ctx, p.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return wire.LogState{}, noLog(p.stream)
	}
	if err != nil {
		return wire.LogState{}, unavailable(err)
	}
	info := s.CachedInfo()
	copies := info.Config.Replicas
	if m.cfg.ReadMirror {
		copies++
	}
	p.states.copies.Store(int32(copies))
	p.states.removed.Store(int64(info.State.NumDeleted))
	if err := p.upToDate(info); err != nil {
		return wire.LogState{}, err
	}
	return m.kept(ctx, p, info)
}

// retentionLag is by how much JetStream may be late in removing what is too old.
const retentionLag = 2 * time.Second

// kept is the state without what is older than retention keeps: what retention has removed
// behind a message that waits for its time is gone nevertheless.
func (m *Mesh) kept(ctx context.Context, p *partition, info *jetstream.StreamInfo) (wire.LogState, error) {
	state := stateOf(info)
	first, _, err := m.first(ctx, p, info)
	if err != nil {
		return wire.LogState{}, err
	}
	state.First = max(state.First, first)
	return state, nil
}

// first is the sequence of the oldest message that is no older than retention keeps, and
// when it was stored: zero, if there is none. What waits for its time never expires, and
// would make the log seem to begin with it.
func (m *Mesh) first(ctx context.Context, p *partition, info *jetstream.StreamInfo) (seq uint64, at time.Time, err error) {
	s := &info.State
	since := info.TimeStamp.Add(-info.Config.MaxAge)
	switch {
	case s.Msgs == 0:
		return s.FirstSeq, time.Time{}, nil
	case info.Config.MaxAge == 0 || !s.FirstTime.Before(since.Add(-retentionLag)):
		return s.FirstSeq, s.FirstTime, nil
	}
	seq, at, err = m.oldest(ctx, p, map[string]any{"start_time": since, "next_by_subj": m.cfg.Subjects.Log(p.index)})
	if err == nil && (seq == 0 || seq > s.LastSeq) { // it came after the state
		return s.LastSeq + 1, time.Time{}, nil
	}
	return seq, at, err
}

// next is the sequence of the oldest message for some subjects, from a sequence
// on; 0 when there is none.
func (m *Mesh) next(ctx context.Context, p *partition, subjects string, from uint64) (uint64, error) {
	seq, _, err := m.oldest(ctx, p, map[string]any{"seq": max(from, 1), "next_by_subj": subjects})
	return seq, err
}

// oldest is the sequence of the oldest message that a question is about, and when it was
// stored; 0 when there is none. The leader of the log answers, which knows all of it.
func (m *Mesh) oldest(ctx context.Context, p *partition, question map[string]any) (seq uint64, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := json.Marshal(question)
	if err != nil {
		return 0, at, err
	}
	msg, err := m.read.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+p.stream, body)
	if err != nil {
		return 0, at, unavailable(err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq  uint64    `json:"seq"`
			Time time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return 0, at, fmt.Errorf("the log's answer: %w", err)
	}
	switch {
	case answer.Error == nil:
		return answer.Message.Seq, answer.Message.Time, nil
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return 0, at, nil
	default:
		return 0, at, unavailable(answer.Error)
	}
}
