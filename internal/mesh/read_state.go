package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func readAudience(uid string) wire.Audience { return wire.Audience{Kind: wire.KindRead, ID: uid} }

// ReadState is what a person has read, as far as the replica of the log that answers
// has it: it may lack the last moment.
func (m *Mesh) ReadState(ctx context.Context, uid string) (wire.ReadState, error) {
	s, _, err := m.newestRead(ctx, uid, false)
	return s, err
}

// markAttempts is how often a change is tried while other devices of the same person
// change the state, too.
const markAttempts = 32

// Mark adds a change to what a person has read and returns all that they have read
// then. A change that the state already holds is not stored again. Its error wraps
// wire.ErrForeignEvent when change.Through is no event of this log, and
// wire.ErrUnavailable when the log is out of reach; the change is then stored or not,
// and may be made again.
func (m *Mesh) Mark(ctx context.Context, uid string, change wire.Change) (wire.ReadState, error) {
	if !m.pub.nc.IsConnected() {
		return wire.ReadState{}, fmt.Errorf("%w: NATS is not connected", wire.ErrUnavailable)
	}
	places, err := m.placesOf(ctx, &change)
	if err != nil {
		return wire.ReadState{}, err
	}
	now := time.Now().UnixMilli()
	// Who does it now does it after all that was done, whatever the clocks of the edges
	// say. Nobody does anything in the future.
	live := change.At <= 0 || change.At > now
	if live {
		change.At = now
	}
	var conflict error
	for attempt := range markAttempts {
		// The first attempt believes a replica, which costs the leader nothing.
		stored, seq, err := m.newestRead(ctx, uid, attempt > 0)
		if err != nil {
			return wire.ReadState{}, err
		}
		state := stored.Merge(stateOfChange(change, places))
		if live && attempt == 0 && !state.Equal(stored) {
			change.At = max(now, stored.LastChange()+1)
			state = stored.Merge(stateOfChange(change, places))
		}
		if state.Equal(stored) {
			return state, nil
		}
		if conflict = m.storeRead(ctx, uid, state, seq); conflict == nil {
			return state, nil
		}
		if !isConflict(conflict) {
			return wire.ReadState{}, message.Explain(conflict)
		}
		select {
		case <-time.After(rand.N(min(2*time.Millisecond<<attempt, 200*time.Millisecond))):
		case <-ctx.Done():
			return wire.ReadState{}, unavailable(ctx.Err())
		}
	}
	return wire.ReadState{}, unavailable(conflict)
}

// placesOf finds the places in the log that a change names.
func (m *Mesh) placesOf(ctx context.Context, change *wire.Change) (places []wire.Cursor, err error) {
	if change.Through != nil {
		place, err := m.locate(ctx, *change.Through)
		if err != nil {
			return nil, err
		}
		places = append(places, place)
	}
	if change.All {
		place, err := m.head(ctx)
		if err != nil {
			return nil, err
		}
		places = append(places, place)
	}
	return places, nil
}

func stateOfChange(change wire.Change, places []wire.Cursor) wire.ReadState {
	s := change.State()
	for _, place := range places {
		mark := wire.Change{UpTo: place, At: change.At}
		s = s.Merge(mark.State())
	}
	return s
}

// storeRead makes a state the newest of a person, if the newest is still the one at a
// sequence; 0: if there is none.
func (m *Mesh) storeRead(ctx context.Context, uid string, state wire.ReadState, after uint64) error {
	subject, err := m.cfg.Subjects.Of(readAudience(uid))
	if err != nil {
		return err
	}
	msg := nats.NewMsg(subject)
	if msg.Data, err = json.Marshal(state); err != nil {
		return err
	}
	_, err = m.pub.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(after))
	return err
}

// isConflict reports that another one has stored a newer state.
func isConflict(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// newestRead reads the newest state of a person and its sequence: the zero state and 0
// when there is none. The leader of the log knows it; a replica may be behind.
func (m *Mesh) newestRead(ctx context.Context, uid string, leader bool) (state wire.ReadState, seq uint64, err error) {
	subject, err := m.cfg.Subjects.Stored(readAudience(uid))
	if err != nil {
		return state, 0, err
	}
	var data []byte
	p := m.of(readAudience(uid))
	if leader {
		data, seq, err = m.newestOfLeader(ctx, p.stream, subject)
	} else {
		var newest stored
		newest, _, err = m.reader.one(ctx, p, request{LastBy: subject})
		data, seq = newest.data, newest.seq
	}
	if err != nil || seq == 0 {
		return state, 0, err
	}
	if state, err = wire.ParseReadState(data); err != nil {
		state, err = m.readBefore(ctx, p, subject, seq)
	}
	return state, seq, err
}

// readBefore is the state of a person before a message that is none: nonsense on their
// subject must cost nobody what they have read. The next state that is stored takes its
// place.
func (m *Mesh) readBefore(ctx context.Context, p *partition, subject string, seq uint64) (state wire.ReadState, err error) {
	for at := uint64(1); at < seq; {
		msgs, pending, err := m.reader.batch(ctx, p, request{Seq: at, NextBy: subject, Batch: maxBatch, MaxBytes: stretchBytes})
		if err != nil {
			return state, err
		}
		for _, s := range msgs {
			if before, err := wire.ParseReadState(s.data); err == nil && s.seq < seq {
				state = state.Merge(before)
			}
		}
		if pending == 0 || len(msgs) == 0 {
			break
		}
		at = msgs[len(msgs)-1].seq + 1
	}
	return state, nil
}

func (m *Mesh) newestOfLeader(ctx context.Context, stream, subject string) ([]byte, uint64, error) {
	msg, err := m.ask(ctx, "$JS.API.STREAM.MSG.GET."+stream, subject)
	if err != nil {
		return nil, 0, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq  uint64 `json:"seq"`
			Data []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return nil, 0, fmt.Errorf("the log's answer: %w", err)
	}
	switch {
	case answer.Error == nil:
		return answer.Message.Data, answer.Message.Seq, nil
	case answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, 0, nil
	default:
		return nil, 0, unavailable(answer.Error)
	}
}

// ask asks the log for the newest message of a subject.
func (m *Mesh) ask(ctx context.Context, api, subject string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"last_by_subj": subject})
	if err != nil {
		return nil, err
	}
	msg, err := m.read.nc.RequestWithContext(ctx, api, body)
	if errors.Is(err, nats.ErrNoResponders) {
		return nil, fmt.Errorf("%w: no stream keeps %s; run `vibemesh provision`", wire.ErrUnavailable, subject)
	}
	return msg, unavailable(err)
}

// readKey has a replay bring the newest read state alone. No publisher's key is like it.
const readKey = "\x00read"

// readEntry makes an entry of a stored read state. Its error is a *skipError.
func readEntry(partition int, aud wire.Audience, data []byte, pos wire.Position, at time.Time) (wire.Entry, error) {
	state, err := wire.ParseReadState(data)
	if err != nil {
		return wire.Entry{}, &skipError{skipEnvelope, err}
	}
	return wire.Entry{Partition: partition, Position: pos, Time: at, Audience: aud, Read: &state, Collapse: readKey}, nil
}
