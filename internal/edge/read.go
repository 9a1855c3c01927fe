package edge

import (
	"context"
	"errors"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// ReadStates keeps what people have read. Errors wrap wire.ErrUnavailable when the log
// is out of reach.
type ReadStates interface {
	// ReadState may lack what was done a moment ago.
	ReadState(ctx context.Context, uid string) (wire.ReadState, error)
	// Mark adds a change. Its error wraps wire.ErrForeignEvent when change.Through is not
	// of this log.
	Mark(ctx context.Context, uid string, change wire.Change) (wire.ReadState, error)
	// Unread counts the events up to a place that a person has, by a state of theirs, not
	// read.
	Unread(ctx context.Context, uid string, state wire.ReadState, upTo wire.Cursor) (int, error)
}

// appendReadFrame appends the frame that says what a person has read, to be sent to
// each of their devices.
func appendReadFrame(dst []byte, e *wire.Entry, cursor wire.Cursor) []byte {
	view := e.Read.View()
	view.Cursor = cursor.String()
	return appendServerFrame(dst, view)
}

// unreadPatience bounds the wait for the count that hello carries.
const unreadPatience = 3 * time.Second

// unread is what a client that asks for it needs to show how many events are unread: how
// many there are up to where its session begins, and which of those that follow are
// read, on another device.
type unread struct {
	count int
	read  wire.Read
}

// unread is nil when nobody asks, and when it cannot be told: a session without it is
// better than none.
func (e *Edge) unread(ctx context.Context, uid string, p params, pl placement) *unread {
	if !e.counts(p) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, unreadPatience)
	defer cancel()
	state, err := e.cfg.Reads.ReadState(ctx, uid)
	if err == nil {
		cursor := pl.gen.cursor(pl.start.After)
		u := unread{read: state.View()}
		u.read.Cursor = cursor.String()
		if u.count, err = e.cfg.Reads.Unread(ctx, uid, state, cursor); err == nil {
			return &u
		}
	}
	e.log.Warn("what is unread cannot be counted", "err", err)
	return nil
}

// counts reports whether hello has to carry a count, which takes a look into the log.
func (e *Edge) counts(p params) bool { return p.unread && e.cfg.Reads != nil }

// maxMarking is how many read frames of one session may wait.
const maxMarking = 16

// markRead takes a read frame. Those of one session are stored one after another, as
// the person did it.
func (l *loop) markRead(r ref, c *conn, f *wire.ClientFrame) {
	if l.edge.cfg.Reads == nil {
		l.answer(r, c, wire.Error{Code: wire.FrameErrUnsupported, Message: "this server does not handle " + f.Type})
		return
	}
	waiting := l.marking[r]
	if len(waiting) == maxMarking {
		l.answer(r, c, wire.Error{Code: wire.FrameErrUnavailable, Message: "too many read frames at once: try again"})
		return
	}
	change := wire.Change{At: f.At, Read: eventIDs(f.Read), Unread: eventIDs(f.Unread)}
	if ids := eventIDs([]string{f.UpTo}); len(ids) > 0 {
		change.Through = &ids[0]
	}
	if f.All {
		change.UpTo = l.deliver.gen.cursor(l.position(c))
	}
	l.marking[r] = append(waiting, marking{c.user, change})
	if len(waiting) == 0 {
		l.mark(r)
	}
}

// marking is a change that waits to be stored.
type marking struct {
	user   string
	change wire.Change
}

// mark has the pool store the first of a session's changes. The session may end
// meanwhile: what the person did is stored all the same.
func (l *loop) mark(r ref) {
	e, m := l.edge, l.marking[r][0]
	queued := e.work.try(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, e.cfg.SetupTimeout)
		defer cancel()
		_, err := e.cfg.Reads.Mark(ctx, m.user, m.change)
		if err != nil && !errors.Is(err, wire.ErrForeignEvent) {
			e.log.Warn("what was read could not be stored", "err", err)
		}
		l.post(message{kind: msgMarked, to: r, err: err})
	})
	if !queued {
		l.marked(r, wire.ErrUnavailable)
	}
}

// marked goes on to a session's next change.
func (l *loop) marked(r ref, err error) {
	if c := l.conns.get(r); c != nil && err != nil && c.state != stateClosing {
		answer := wire.Error{Code: wire.FrameErrUnavailable, Message: "what was read could not be stored: try again"}
		if errors.Is(err, wire.ErrForeignEvent) {
			answer = wire.Error{Code: wire.FrameErrMalformed, Message: "up_to is not an event of this log"}
		}
		l.answer(r, c, answer)
	}
	if l.marking[r] = l.marking[r][1:]; len(l.marking[r]) > 0 {
		l.mark(r)
	} else {
		delete(l.marking, r)
	}
}

// eventIDs reads ids that wire.ParseClientFrame has let pass.
func eventIDs(texts []string) (ids []wire.EventID) {
	for _, text := range texts {
		if id, err := wire.ParseEventID(text); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}
