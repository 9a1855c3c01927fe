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

// waitingRun is how many messages that wait for their time, one behind the other, are seen
// to be there where retention has removed all others.
const waitingRun = 8

// kept is the state without what retention has removed behind a message that waits for its
// time, which never expires: the log would seem to begin with it.
func (m *Mesh) kept(ctx context.Context, p *partition, info *jetstream.StreamInfo) (wire.LogState, error) {
	state := stateOf(info)
	if info.State.NumDeleted == 0 { // all that came behind the first is there
		return state, nil
	}
	first, err := m.first(ctx, p, info)
	if err != nil {
		return wire.LogState{}, err
	}
	for range waitingRun {
		if first.seq <= state.First+1 {
			break
		}
		before, err := m.oldest(ctx, p, map[string]any{"seq": first.seq - 1})
		if err != nil {
			return wire.LogState{}, err
		}
		if _, err := m.cfg.Subjects.Parse(p.index, before.subject); !errors.Is(err, wire.ErrSchedule) {
			break
		}
		first.seq-- // nobody has lost it, however old it is
	}
	state.First = max(state.First, first.seq)
	return state, nil
}

// spot is where a message of the log is; the zero value: nowhere.
type spot struct {
	seq     uint64
	subject string
	at      time.Time
}

// first is the place of the oldest message that is no older than retention keeps; without
// one, the sequence of the next.
func (m *Mesh) first(ctx context.Context, p *partition, info *jetstream.StreamInfo) (spot, error) {
	s := &info.State
	since := info.TimeStamp.Add(-info.Config.MaxAge)
	switch {
	case s.Msgs == 0:
		return spot{seq: s.LastSeq + 1}, nil
	case info.Config.MaxAge == 0 || !s.FirstTime.Before(since):
		return spot{seq: s.FirstSeq, at: s.FirstTime}, nil
	}
	found, err := m.oldest(ctx, p, map[string]any{"start_time": since, "next_by_subj": m.cfg.Subjects.Log(p.index)})
	if err == nil && (found.seq == 0 || found.seq > s.LastSeq) { // it came after the state
		return spot{seq: s.LastSeq + 1}, nil
	}
	return found, err
}

// next is the sequence of the oldest message for some subjects, from a sequence
// on; 0 when there is none.
func (m *Mesh) next(ctx context.Context, p *partition, subjects string, from uint64) (uint64, error) {
	found, err := m.oldest(ctx, p, map[string]any{"seq": max(from, 1), "next_by_subj": subjects})
	return found.seq, err
}

// oldest is the place of the oldest message that a question is about; nowhere when there is
// none. The leader of the log answers, which knows all of it.
func (m *Mesh) oldest(ctx context.Context, p *partition, question map[string]any) (spot, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body, err := json.Marshal(question)
	if err != nil {
		return spot{}, err
	}
	msg, err := m.read.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+p.stream, body)
	if err != nil {
		return spot{}, unavailable(err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq     uint64    `json:"seq"`
			Subject string    `json:"subject"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return spot{}, fmt.Errorf("the log's answer: %w", err)
	}
	switch found := answer.Message; {
	case answer.Error == nil:
		return spot{found.Seq, found.Subject, found.Time}, nil
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return spot{}, nil
	default:
		return spot{}, unavailable(answer.Error)
	}
}
