package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/ring"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// reply is what set-up, or a new token, comes to.
type reply struct {
	out    []byte // to be written: the answer to the upgrade and the first frames
	ok     bool   // the session goes live; otherwise the connection ends after out
	code   int    // not ok: of the close frame behind out; 0 when the upgrade was refused, and there are no frames
	reason string // of the close frame
	result string // for the metrics

	gen      *generation
	identity auth.Identity
	topics   []string
	signals  bool        // it wants signals
	after    wire.Vector // out ends at this place of the log
	deflate  bool
}

// beginSetUp answers a complete request: at once if nothing that it takes can
// block (the keys to verify the token with are there, and the ring holds what was
// missed), otherwise by the pool. At once spares a handshake the way to another
// goroutine and back, about 15 µs of CPU; turn sees to it that a storm of them keeps
// nobody waiting. What came behind the request, from a client that
// did not wait for the answer, is kept until the session is there.
func (l *loop) beginSetUp(slot int32, c *conn, request, behind []byte) {
	e, r, began := l.edge, refOf(slot, c), time.Now()
	c.more.request = append([]byte(nil), behind...)
	c.state = stateSetUp
	l.setUps++
	e.sessions.Add(1)
	up, rep := e.open(request)
	up.session = l.sessionID(r)
	if rep == nil {
		rep = e.setUpAtOnce(up)
	}
	if rep != nil {
		e.metrics.setupSeconds.Observe(time.Since(began).Seconds())
		l.ready(r, rep)
		return
	}
	queued := e.trySetUp(&up.params, func(ctx context.Context) {
		ctx, cancel := context.WithDeadline(ctx, began.Add(e.cfg.SetupTimeout))
		defer cancel()
		rep := e.setUp(ctx, up)
		e.metrics.setupSeconds.Observe(time.Since(began).Seconds())
		l.post(message{kind: msgReady, to: r, reply: rep})
	})
	if !queued {
		c.state = stateHeader // as refuse expects
		e.sessions.Add(-1)
		l.refuse(slot, c, "503 Service Unavailable\r\nRetry-After: 2", "overload")
	}
}

// opening is an upgrade that was accepted.
type opening struct {
	answer  []byte // to the request; nothing may be sent before it
	params  params
	session string
	refused []wire.Error // topics that it asked for and does not get
}

// sessionID names a session to its client. It is made of what names the connection
// here, so that nobody has to remember it.
func (l *loop) sessionID(r ref) string {
	return fmt.Sprintf("%08x%02x%016x", l.edge.instance, l.id, uint64(r))
}

// open parses a request: it is an upgrade, or there is a reply that refuses it.
func (e *Edge) open(request []byte) (opening, *reply) {
	answer, p, err := e.upgrade(request)
	switch {
	case err != nil:
		return opening{}, &reply{out: answer, result: refusalResult(err)}
	case p.wrong != "":
		return opening{}, &reply{out: answer, code: wire.CloseBadRequest, reason: p.wrong, result: "bad_request"}
	}
	return opening{answer: answer, params: p}, nil
}

// setUp signs a client in and decides where it is continued: authenticate, place,
// greet.
func (e *Edge) setUp(ctx context.Context, up opening) *reply {
	id, err := e.auth.Verify(ctx, up.params.token)
	if err != nil {
		return refuseToken(up, err)
	}
	up, _ = e.admitTopics(ctx, true, id, up)
	pl, err := e.place(ctx, e.history, id.UID, up.params)
	if err != nil {
		e.log.Warn("a session could not be placed in the log", "err", err)
		return &reply{out: up.answer, code: placeCode(err), result: "unavailable"}
	}
	pl.unread = e.unread(ctx, id.UID, up.params, pl)
	return e.greet(up, id, pl)
}

// setUpAtOnce is setUp without waiting for anything; nil if that cannot be.
func (e *Edge) setUpAtOnce(up opening) *reply {
	if e.counts(up.params) {
		return nil
	}
	id, err := e.auth.VerifyNow(up.params.token)
	switch {
	case errors.Is(err, auth.ErrWait):
		return nil
	case err != nil:
		return refuseToken(up, err)
	}
	up, ok := e.admitTopics(context.Background(), false, id, up)
	if !ok {
		return nil
	}
	pl, err := e.place(context.Background(), nil, id.UID, up.params)
	if err != nil {
		return nil
	}
	return e.greet(up, id, pl)
}

// greet makes the first frames of a session: hello, a gap if there is one, what the
// person has read if that was asked for, and what was read of the stream already.
func (e *Edge) greet(up opening, id auth.Identity, pl placement) *reply {
	out, cursor := up.answer, pl.gen.cursor(pl.start.After).String()
	hello := wire.Hello{
		Session: up.session, Node: e.cfg.Node,
		Cursor: cursor, Resumed: pl.start.Resumed,
		Ping: int(e.cfg.PingInterval.Seconds()), Expires: id.Expires.Unix(),
	}
	if pl.unread != nil {
		hello.Unread = &pl.unread.count
	}
	if pl.start.Gap != "" {
		// The client's own, until it knows of the gap: who is cut off between the two
		// frames is told again.
		hello.Cursor = up.params.ask.Cursor
	}
	out = appendServerFrame(out, hello)
	if pl.start.Gap != "" {
		out = appendServerFrame(out, wire.Gap{Reason: pl.start.Gap, Cursor: cursor})
	}
	if pl.unread != nil {
		out = appendServerFrame(out, pl.unread.read)
	}
	out = appendRefused(out, up, cursor)
	return &reply{
		out: append(out, pl.frames...), ok: true, result: "ok",
		gen: pl.gen, identity: id, topics: up.params.topics, signals: up.params.signals, after: pl.through, deflate: up.params.deflate,
	}
}

func refusalResult(err error) string {
	rejected, ok := errors.AsType[*ws.ConnectionRejectedError](err)
	switch {
	case !ok:
		return "malformed"
	case rejected.StatusCode() == 403:
		return "origin"
	case rejected.StatusCode() == 503:
		return "busy"
	default:
		return "malformed"
	}
}

func refuseToken(up opening, err error) *reply {
	code, result := closeForAuth(err)
	return &reply{out: up.answer, code: code, reason: authReason(err), result: result}
}

// closeForAuth: a token that is wrong wants another one, a check that could not
// be made wants patience.
func closeForAuth(err error) (code int, result string) {
	if errors.Is(err, auth.ErrToken) {
		return wire.CloseToken, "token"
	}
	return wire.CloseUnavailable, "auth_unavailable"
}

func authReason(err error) string {
	if errors.Is(err, auth.ErrToken) {
		return err.Error() // says what is wrong, never the token
	}
	return "the token cannot be checked now"
}

// errBehind: this edge is too far behind the log to serve this client.
var errBehind = errors.New("the edge is behind the client's cursor")

func placeCode(err error) int {
	if errors.Is(err, errBehind) {
		return wire.CloseBehind
	}
	return wire.CloseUnavailable
}

// placement is a session's place in the log.
type placement struct {
	gen     *generation
	start   session.Start
	frames  []byte      // what was read of the stream already
	through wire.Vector // frames bring it up to here
	unread  *unread     // nil: not asked for
}

// placeAttempts is how often a session is placed anew when the ring turns under
// it, which takes a ring far too small for the traffic.
const placeAttempts = 10

// errNeedsLog: a session cannot be placed by the ring alone.
var errNeedsLog = errors.New("the log has to be asked")

// place decides where a session is continued. Without a history it does not wait:
// it fails with errNeedsLog where it would have to.
func (e *Edge) place(ctx context.Context, h History, uid string, p params) (pl placement, err error) {
	began := time.Now()
	for range placeAttempts {
		if pl, err = e.placeOnce(ctx, h, uid, p); !errors.Is(err, errMoved) {
			break
		}
	}
	if err == nil && (pl.start.Resumed || pl.start.Gap != "") {
		e.metrics.resumed(pl.start, time.Since(began))
	}
	return pl, err
}

// placeOnce makes a plan on the ring; only what the ring does not hold is asked
// of the stream.
func (e *Edge) placeOnce(ctx context.Context, h History, uid string, p params) (placement, error) {
	g := e.gen.Load()
	view := g.ring.View()
	start := session.Plan(p.ask, window(g, &view), e.cfg.ReplayLimit)
	if start.Source == session.FromAhead {
		var err error
		if start, err = e.placeAhead(ctx, h, g, p.ask, start); err != nil {
			return placement{}, err
		}
		view = g.ring.View()
	}
	pl := placement{gen: g, start: start, through: start.After}
	if start.Newest > 0 && start.Source != session.FromHead {
		if err := e.placeBehind(ctx, h, &pl, &view, e.audience(g, uid, p.topics)); err != nil {
			return placement{}, err
		}
	}
	return pl, nil
}

func window(g *generation, v *ring.View) session.Window {
	return session.Window{Lives: g.lives, Floor: v.FloorSeqs(), Head: v.HeadSeqs()}
}

// doubt asks a replicated log a second time, after a while: who answered may have been
// cut off from the others, or be slow, and then says that it has lost what they have.
// Only so many may wait for this; others are asked to come back.
func (e *Edge) doubt(ctx context.Context, h History, g *generation, place wire.Vector) ([]wire.LogState, error) {
	select {
	case e.doubts <- struct{}{}:
		defer func() { <-e.doubts }()
	default:
		return nil, errBehind
	}
	wait, cancel := context.WithTimeout(ctx, e.cfg.TailPatience)
	defer cancel()
	e.awaitTail(wait, g, place)
	return h.State(ctx)
}

// placeAhead waits for the tail to reach a cursor that another edge gave. If the
// log itself does not reach it, what it named is lost (a power failure before
// the disk had it), and that is said. It is asked first, so that nobody can hold
// a worker by a cursor that never was.
func (e *Edge) placeAhead(ctx context.Context, h History, g *generation, ask session.Ask, start session.Start) (session.Start, error) {
	if h == nil {
		return start, errNeedsLog
	}
	state, err := h.State(ctx)
	if err != nil {
		return start, err
	}
	if !g.isOf(state) || !wire.Heads(state).Covers(start.After) {
		if g.isOf(state) && slices.ContainsFunc(state, func(s wire.LogState) bool { return s.Replicated }) {
			if state, err = e.doubt(ctx, h, g, start.After); err != nil {
				return start, err
			}
		}
		if !g.isOf(state) || !wire.Heads(state).Covers(start.After) {
			view := g.ring.View()
			return session.Start{Source: session.FromHead, After: view.HeadSeqs(), Gap: wire.GapUnknown}, nil
		}
	}
	wait, cancel := context.WithTimeout(ctx, e.cfg.TailPatience)
	defer cancel()
	if !e.awaitTail(wait, g, start.After) {
		return start, errBehind
	}
	view := g.ring.View()
	return session.Plan(ask, window(g, &view), e.cfg.ReplayLimit), nil
}

// everything is what a person follows without topics.
func everything(uid string) []wire.Audience {
	return []wire.Audience{wire.Broadcast(), wire.User(uid), {Kind: wire.KindRead, ID: uid}}
}

// audience is all that one session follows.
type audience struct {
	keys []ring.Key
	list []wire.Audience
}

func (e *Edge) audience(g *generation, uid string, topics []string) audience {
	a := audience{
		keys: []ring.Key{g.ring.Key(ring.KindAll, ""), g.ring.Key(kindUser, uid)},
		list: everything(uid),
	}
	for _, t := range topics {
		a.keys = append(a.keys, g.ring.Key(kindTopic, t))
		a.list = append(a.list, wire.Topic(t))
	}
	return a
}
