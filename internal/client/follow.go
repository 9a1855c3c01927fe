package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Bounds of the wait before Follow comes back. The wait is drawn evenly from
// nothing to a limit, which is MinBackoff at first and doubles with each attempt
// up to MaxBackoff. A session that held for MaxBackoff starts over.
const (
	MinBackoff = time.Second
	MaxBackoff = 30 * time.Second
)

// MaxServerWait bounds a wait that the server asks for, so that a broken header
// cannot park a client for ever.
const MaxServerWait = 5 * time.Minute

// TokenSource gives the token for the next session. It is asked before every one;
// an error of it ends Follow.
type TokenSource func(ctx context.Context) (string, error)

// StaticToken is a source that has only one token.
func StaticToken(token string) TokenSource {
	return func(context.Context) (string, error) { return token, nil }
}

// CursorOf is the position a frame carries, empty when it has none. Whoever
// stores it, after handling the frame, can continue from there.
func CursorOf(f wire.ServerFrame) string {
	switch f := f.(type) {
	case wire.Event:
		return f.Cursor
	case wire.Hello:
		return f.Cursor
	case wire.Gap:
		return f.Cursor
	case wire.Read:
		return f.Cursor
	case wire.Subscribed:
		return f.Cursor
	case wire.Pong:
		return f.Cursor
	}
	return ""
}

// Follow hands every frame to handle, session after session, until ctx ends,
// handle or the token source fails, or coming back cannot help; its error, never nil, says
// which. Options.Token is not used. handle is called by one goroutine, and the
// next frame waits for it; an event whose id was among the last few thousand is
// dropped before it.
func Follow(ctx context.Context, opts Options, token TokenSource, handle func(wire.ServerFrame) error) error {
	f := follower{opts: opts, token: token, handle: handle}
	for {
		began := time.Now()
		err := f.session(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(began) >= MaxBackoff {
			f.attempt = 0
		}
		wait, stop := f.after(err)
		if stop != nil {
			return stop
		}
		if opts.OnRetry != nil {
			opts.OnRetry(err, wait)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// follower is what outlives a session.
type follower struct {
	opts    Options // its Cursor moves on
	token   TokenSource
	handle  func(wire.ServerFrame) error
	seen    recent
	attempt int       // since the last session that held
	moveAt  time.Time // when a reconnect frame wants us elsewhere; zero: it does not
	refused string    // the token that the last session ended over with 4401
}

// fatalError ends Follow with what it wraps.
type fatalError struct{ error }

// errMove is how a session ends whose edge has asked us to leave.
var errMove = errors.New("the server asked us to reconnect")

// errSameToken says what to do about a 4401 that the token source cannot mend.
var errSameToken = errors.New("another token is needed: sign in again")

// session is one connection, from the token to its end.
func (f *follower) session(ctx context.Context) error {
	f.moveAt = time.Time{}
	token, err := f.token(ctx)
	if err != nil {
		return fatalError{fmt.Errorf("client: getting a token: %w", err)}
	}
	if f.refused != "" && token == f.refused {
		refused := &CloseError{Code: wire.CloseToken, Retry: wire.RetryChanged}
		return fatalError{fmt.Errorf("%w; %w", refused, errSameToken)}
	}
	f.refused = ""
	opts := f.opts
	opts.Token = token
	conn, err := Dial(ctx, opts)
	if err != nil {
		return err
	}
	defer conn.Close(wire.CloseNormal)
	err = f.read(ctx, conn)
	var closed *CloseError
	if errors.As(err, &closed) && closed.Code == wire.CloseToken {
		f.refused = token
	}
	return err
}

// read handles frames until the session ends or has to move.
func (f *follower) read(ctx context.Context, conn *Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for {
		frame, err := conn.Next(ctx)
		if err != nil {
			return err
		}
		if e, ok := frame.(wire.Event); !ok || !f.seen.add(e.ID) {
			if err := f.handle(frame); err != nil {
				return fatalError{err}
			}
		}
		if c := CursorOf(frame); c != "" {
			f.opts.Cursor = c
		}
		if r, ok := frame.(wire.Reconnect); ok && f.moveAt.IsZero() {
			// The edge serves us until it stops; we leave when our turn comes.
			wait := serverWait(r.AfterMS, time.Millisecond)
			f.moveAt = time.Now().Add(wait)
			timer := time.AfterFunc(wait, func() { cancel(errMove) })
			defer timer.Stop()
		}
	}
}

// after decides what follows the end of a session: a wait, or the error that
// ends Follow.
func (f *follower) after(err error) (wait time.Duration, stop error) {
	var (
		fatal   fatalError
		closed  *CloseError
		refused *UpgradeError
	)
	switch {
	case errors.As(err, &fatal):
		return 0, fatal.error
	case errors.As(err, &closed) && final(closed):
		return 0, err
	case !f.moveAt.IsZero():
		wait = max(0, time.Until(f.moveAt))
		if f.attempt > 0 { // sent on again and again: not without pause
			wait += f.backoff()
		}
		f.attempt++
		return wait, nil
	case errors.As(err, &refused):
		if !refused.retryable() {
			return 0, err
		}
		// Jitter on top: everybody who was refused was told the same.
		return min(refused.RetryAfter, MaxServerWait) + f.backoff(), nil
	}
	return f.backoff(), nil
}

// final reports whether a close code rules out coming back as we are. After 4401
// the token source may have something new to offer.
func final(e *CloseError) bool {
	return e.Retry == wire.RetryNever || e.Retry == wire.RetryChanged && e.Code != wire.CloseToken
}

func (f *follower) backoff() time.Duration {
	limit := MaxBackoff
	if f.attempt < 16 { // beyond, the shift would overflow
		limit = min(MaxBackoff, MinBackoff<<f.attempt)
	}
	f.attempt++
	return rand.N(limit)
}

// serverWait turns a number the server sent into a wait within bounds.
func serverWait(n int64, unit time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	if n > int64(MaxServerWait/unit) {
		return MaxServerWait
	}
	return time.Duration(n) * unit
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
