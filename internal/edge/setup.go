package edge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	result string // for the metrics

	gen      *generation
	identity auth.Identity
	topics   []string
	after    uint64 // out ends at this sequence of the log
}

// beginSetUp hands a complete request to the pool. What came behind it, from a
// client that did not wait for the answer, is kept until the session is there.
func (l *loop) beginSetUp(slot int32, c *conn, request, behind []byte) {
	r := refOf(slot, c)
	own := append([]byte(nil), request...) // l.buf is used again at once
	c.more = nil
	if len(behind) > 0 {
		c.more = &more{request: append([]byte(nil), behind...)}
	}
	c.state = stateSetUp
	l.edge.sessions.Add(1)
	began := time.Now()
	queued := l.edge.work.try(func(ctx context.Context) {
		ctx, cancel := context.WithDeadline(ctx, began.Add(l.edge.cfg.SetupTimeout))
		defer cancel()
		rep := l.edge.setUp(ctx, own)
		l.edge.metrics.setupSeconds.Observe(time.Since(began).Seconds())
		l.post(message{kind: msgReady, to: r, reply: rep})
	})
	if !queued {
		c.state = stateHeader // as refuse expects
		l.edge.sessions.Add(-1)
		l.refuse(slot, c, "503 Service Unavailable\r\nRetry-After: 2", "overload")
	}
}

// setUp signs a client in and decides where it is continued: parse, authenticate,
// place, greet.
func (e *Edge) setUp(ctx context.Context, request []byte) *reply {
	out, p, err := e.upgrade(request)
	if err != nil {
		return &reply{out: out, result: refusalResult(err)}
	}
	if p.wrong != "" {
		return &reply{out: appendClose(out, wire.CloseBadRequest, p.wrong), result: "bad_request"}
	}
	id, err := e.auth.Verify(ctx, p.token)
	if err != nil {
		code, result := closeForAuth(err)
		return &reply{out: appendClose(out, code, authReason(err)), result: result}
	}
	pl, err := e.place(ctx, id.UID, p)
	if err != nil {
		e.log.Warn("a session could not be placed in the log", "err", err)
		return &reply{out: appendClose(out, placeCode(err), ""), result: "unavailable"}
	}
	cursor := pl.gen.cursor(pl.start.After).String()
	hello := wire.Hello{
		Session: fmt.Sprintf("%016x", rand.Uint64()), Node: e.cfg.Node,
		Cursor: cursor, Resumed: pl.start.Resumed,
		Ping: int(e.cfg.PingInterval.Seconds()), Expires: id.Expires.Unix(),
	}
	if pl.start.Gap != "" {
		// The client's own, until it knows of the gap: who is cut off between the two
		// frames is told again.
		hello.Cursor = p.ask.Cursor
	}
	out = appendServerFrame(out, hello)
	if pl.start.Gap != "" {
		out = appendServerFrame(out, wire.Gap{Reason: pl.start.Gap, Cursor: cursor})
	}
	out = append(out, pl.frames...)
	return &reply{
		out: out, ok: true, result: "ok", gen: pl.gen, identity: id, topics: p.topics, after: pl.through,
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
	frames  []byte // what was read of the stream already
	through uint64 // frames bring it up to here
}

// placeAttempts is how often a session is placed anew when the ring turns under
// it, which takes a ring far too small for the traffic.
const placeAttempts = 10

// place decides where a session is continued.
func (e *Edge) place(ctx context.Context, uid string, p params) (pl placement, err error) {
	began := time.Now()
	for range placeAttempts {
		if pl, err = e.placeOnce(ctx, uid, p); !errors.Is(err, errMoved) {
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
func (e *Edge) placeOnce(ctx context.Context, uid string, p params) (placement, error) {
	g := e.gen.Load()
	view := g.ring.View()
	start := session.Plan(p.ask, window(g, &view), e.cfg.ReplayLimit)
	if start.Source == session.FromAhead {
		var err error
		if start, err = e.placeAhead(ctx, g, p.ask, start); err != nil {
			return placement{}, err
		}
		view = g.ring.View()
	}
	pl := placement{gen: g, start: start, through: start.After}
	if start.Newest > 0 && start.Source != session.FromHead {
		if err := e.placeBehind(ctx, &pl, &view, e.audience(g, uid, p.topics)); err != nil {
			return placement{}, err
		}
	}
	return pl, nil
}

func window(g *generation, v *ring.View) session.Window {
	return session.Window{Life: g.life, Floor: v.FloorSeq(), Head: v.HeadSeq()}
}

// placeAhead waits for the tail to reach a cursor that another edge gave. If the
// log itself does not reach it, what it named is lost (a power failure before
// the disk had it), and that is said. It is asked first, so that nobody can hold
// a worker by a cursor that never was.
func (e *Edge) placeAhead(ctx context.Context, g *generation, ask session.Ask, start session.Start) (session.Start, error) {
	state, err := e.history.State(ctx)
	if err != nil {
		return start, err
	}
	if state.Life != g.life || state.Last < start.After {
		view := g.ring.View()
		return session.Start{Source: session.FromHead, After: view.HeadSeq(), Gap: wire.GapUnknown}, nil
	}
	wait, cancel := context.WithTimeout(ctx, e.cfg.TailPatience)
	defer cancel()
	if !e.awaitTail(wait, g, start.After) {
		return start, errBehind
	}
	view := g.ring.View()
	return session.Plan(ask, window(g, &view), e.cfg.ReplayLimit), nil
}

// audience is all that one session follows.
type audience struct {
	keys []ring.Key
	list []wire.Audience
}

func (e *Edge) audience(g *generation, uid string, topics []string) audience {
	a := audience{
		keys: []ring.Key{g.ring.Key(ring.KindAll, ""), g.ring.Key(kindUser, uid)},
		list: []wire.Audience{wire.Broadcast(), wire.User(uid)},
	}
	for _, t := range topics {
		a.keys = append(a.keys, g.ring.Key(kindTopic, t))
		a.list = append(a.list, wire.Topic(t))
	}
	return a
}
