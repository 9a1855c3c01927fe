package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Session is one client, from its first message to its last, over as many
// connections as it takes.
type Session struct {
	fleet  *Fleet
	token  string
	topics []string
	record *Record
	rnd    *rand.Rand
	habit  habit

	connected atomic.Bool

	// Owned by the goroutine of run.
	cursor  string        // of the last frame handled
	kept    string        // what the client has stored of it, and gives back
	unkept  int           // frames handled since
	sent    []uint64      // by partition: the cursor covers up to here
	heard   time.Duration // when the last message came
	ping    time.Duration // what the edge promised
	attempt int
}

// habit is how a session behaves.
type habit struct {
	keepEvery int           // the cursor is stored at every so many frames
	wander    time.Duration // how long it stays with one edge, at most; 0: as long as it can
	slow      time.Duration // how long it pauses at times before it reads on; 0: never
}

// Bounds of the wait before a session comes back, drawn evenly from nothing to a
// limit that doubles. They are below an app's, for more reconnects in less time.
const (
	minBackoff = 500 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Why a session leaves by itself.
var (
	errAsked  = errors.New("the edge asked it to reconnect")
	errWander = errors.New("it went elsewhere")
)

// run is the life of the client, until ctx ends or it is turned away for good.
func (s *Session) run(ctx context.Context) {
	for ctx.Err() == nil {
		edge := s.rnd.IntN(len(s.fleet.edges))
		began := time.Now()
		why := s.connection(ctx, edge)
		if s.connected.Swap(false) {
			s.fleet.connected.Add(-1)
			if !errors.Is(why, errWander) {
				s.fleet.disconnects.Add(1)
			}
		}
		if ctx.Err() != nil {
			return
		}
		s.record.happened(s.fleet.now(), fmt.Sprintf("%s: %v", s.fleet.edges[edge].Name, why))
		var closed *closing
		if errors.As(why, &closed) && closed.forGood() {
			s.record.odd(s.fleet.now(), "%s: %v", s.fleet.edges[edge].Name, closed)
			return
		}
		if time.Since(began) > maxBackoff {
			s.attempt = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.wait(why)):
		}
	}
}

// wait says how long to stay away after a connection has ended.
func (s *Session) wait(why error) time.Duration {
	var refused *refusal
	switch {
	case errors.Is(why, errAsked), errors.Is(why, errWander):
		return 0
	case errors.As(why, &refused):
		// A jitter on top: everybody who was refused was told the same.
		return min(refused.retryAfter, maxBackoff) + s.backoff()
	}
	return s.backoff()
}

func (s *Session) backoff() time.Duration {
	limit := min(maxBackoff, minBackoff<<min(s.attempt, 10))
	s.attempt++
	return time.Duration(s.rnd.Int64N(int64(limit)))
}

// connection is one stay with an edge. It returns why it ended.
func (s *Session) connection(ctx context.Context, edge int) error {
	sock, err := dial(ctx, s.fleet.edges[edge].Addr, s.token, s.kept, s.topics)
	if err != nil {
		return err
	}
	defer sock.conn.Close()
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	defer context.AfterFunc(ctx, func() { sock.conn.Close() })()
	if s.habit.wander > 0 {
		defer time.AfterFunc(time.Duration(s.rnd.Int64N(int64(s.habit.wander))), func() { leave(errWander) }).Stop()
	}
	s.resume()
	for {
		text, err := sock.next(2*s.ping + 5*time.Second)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		after, err := s.handle(text)
		if err != nil {
			s.record.odd(s.fleet.now(), "%s sent %.200q: %v", s.fleet.edges[edge].Name, text, err)
		}
		if after >= 0 {
			defer time.AfterFunc(after, func() { leave(errAsked) }).Stop()
		}
		if s.habit.slow > 0 && !s.fleet.hurry.Load() && s.rnd.IntN(20) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(s.rnd.Int64N(int64(s.habit.slow)))):
			}
		}
	}
}

// resume takes the position of the cursor that was given to the edge.
func (s *Session) resume() {
	s.cursor, s.sent = s.kept, s.sent[:0]
	cursor, err := wire.ParseCursor(s.kept)
	if err != nil {
		return // the first connection: there is none
	}
	for _, p := range cursor {
		s.sent = append(s.sent, p.Seq)
	}
}

// frame is any frame that an edge sends, as far as the client looks at it.
type frame struct {
	Type    string
	ID      string
	Cursor  string
	To      string
	Reason  string
	Ping    int
	AfterMS int64 `json:"after_ms"`
	Payload struct{ Title, Description string }
}

// handle takes one frame in. after, unless negative, is when the edge wants the
// session to leave. The error is of a frame that no edge may send.
func (s *Session) handle(text []byte) (after time.Duration, err error) {
	now := s.fleet.now()
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return -1, err
	}
	after = -1
	switch f.Type {
	case wire.FrameHello:
		s.ping = time.Duration(f.Ping) * time.Second
		if !s.connected.Swap(true) {
			s.fleet.connected.Add(1)
		}
		if s.kept == "" { // a client that loses its first cursor begins anew
			s.kept, s.heard = f.Cursor, now
		}
	case wire.FrameGap:
		s.fleet.gaps.Add(1)
		s.record.gapSaid(f.Reason, now)
	case wire.FrameReconnect:
		after = time.Duration(f.AfterMS) * time.Millisecond
	case wire.FrameSubscribed, wire.FramePong, wire.FrameRead:
	case wire.TypeToast:
		err = s.event(&f, now)
	default:
		err = errors.New("not a frame that this client expects")
	}
	s.keep(f.Cursor)
	return after, err
}

// keep moves the cursor on, and stores it when it is time to.
func (s *Session) keep(cursor string) {
	if cursor == "" {
		return
	}
	s.cursor = cursor
	if s.unkept++; s.unkept >= s.habit.keepEvery {
		s.kept, s.unkept = cursor, 0
	}
}

// event takes a message in.
func (s *Session) event(f *frame, now time.Duration) error {
	id, err := wire.ParseEventID(f.ID)
	if err != nil {
		return err
	}
	subject, number, err := s.fleet.parse(f)
	if err != nil {
		return err
	}
	for len(s.sent) <= id.Partition {
		s.sent = append(s.sent, 0)
	}
	a := arrival{subject: subject, number: number, seq: id.Seq, covered: id.Seq <= s.sent[id.Partition], at: now}
	s.sent[id.Partition] = max(s.sent[id.Partition], id.Seq)
	if cursor, err := wire.ParseCursor(f.Cursor); err != nil || len(cursor) <= id.Partition || cursor[id.Partition].Seq < id.Seq {
		return fmt.Errorf("its cursor does not cover it: %v", cursor)
	}
	switch fresh := s.record.receive(a); {
	case fresh:
		s.fleet.delivered.Add(1)
		if acknowledged, ok := subject.When(number); ok {
			s.fleet.silent(now - max(s.heard, acknowledged))
		}
	case a.covered:
		s.fleet.before.Add(1)
	default:
		s.fleet.after.Add(1)
	}
	s.heard = now
	return nil
}
