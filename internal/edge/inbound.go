package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	readsPerTurn = 4  // of one connection, 64 KiB each
	tokenBurst   = 60 // frames a client may send at once
	tokenRefill  = 4  // frames a second after that
)

// errDone stops reading: the connection is being closed or gone.
var errDone = errors.New("edge: no more of this connection")

// readable reads what a client sent.
func (l *loop) readable(slot int32, c *conn) {
	switch c.state {
	case stateHeader:
		l.readRequest(slot, c)
	case stateSetUp:
		// Nothing may come before the upgrade is answered; what does, an end of the
		// stream included, is read after it: see ready.
	case stateClosing, stateRefused:
		l.readClosing(slot, c)
	default:
		l.readFrames(slot, c)
	}
}

func (l *loop) readFrames(slot int32, c *conn) {
	r := refOf(slot, c)
	for range readsPerTurn {
		n, err := netloop.Read(int(c.fd), l.buf[:])
		if errors.Is(err, netloop.ErrAgain) {
			return
		}
		if err != nil || n == 0 {
			l.drop(slot, c)
			return
		}
		l.hear(c)
		if err := l.feed(r, c, l.buf[:n]); err != nil {
			if l.conns.get(r) != nil { // closing: no event comes for what is there already
				l.readClosing(slot, c)
			}
			return
		}
		if n < len(l.buf) && !c.ended {
			// The socket is empty; what comes now is another event.
			return
		}
	}
	l.later(slot, c)
}

// hear notes a sign of life and refills the client's allowance of frames.
func (l *loop) hear(c *conn) {
	now := l.clock()
	if passed := now - c.heard; passed > 0 {
		c.tokens = uint8(min(uint32(c.tokens)+min(passed, tokenBurst)*tokenRefill, tokenBurst))
	}
	c.heard, c.pinged = now, false
}

func (l *loop) feed(r ref, c *conn, data []byte) error {
	var in session.Inbound
	if c.more != nil {
		in = c.more.in
		c.more.in = session.Inbound{}
	}
	in.Deflate = c.deflate
	err := in.Feed(data, func(op session.Op, payload []byte) error {
		if err := l.message(r, c, op, payload); err != nil {
			return err
		}
		if l.conns.get(r) == nil || c.state == stateClosing {
			return errDone
		}
		return nil
	})
	if broken, ok := errors.AsType[*session.ProtocolError](err); ok {
		l.closeWith(r.slot(), c, broken.Code, broken.Reason)
	}
	switch {
	case err != nil && l.conns.get(r) != nil: // it has said goodbye, or cannot be read on
		l.answered(r.slot(), c)
	case err != nil:
	case !in.Idle():
		c.needMore().in = in
	default:
		c.settle()
	}
	return err
}

// message handles one message or control frame of a client.
func (l *loop) message(r ref, c *conn, op session.Op, payload []byte) error {
	if echo := l.edge.echo; echo != nil && echo(l, r, c, op, payload) {
		return nil
	}
	if c.tokens == 0 {
		l.closeWith(r.slot(), c, wire.CloseRateLimited, "")
		return errDone
	}
	c.tokens--
	l.counters.received.Add(1)
	switch op {
	case session.OpPing: // RFC 6455, 5.5.2
		l.send(r.slot(), c, append(appendHeader(nil, ws.OpPong, len(payload)), payload...))
	case session.OpPong:
	case session.OpClose:
		l.closeBack(r.slot(), c, payload)
	case session.OpBinary:
		l.closeWith(r.slot(), c, wire.CloseBinary, "")
	default:
		l.clientFrame(r, c, payload)
	}
	return nil
}

func (l *loop) clientFrame(r ref, c *conn, text []byte) {
	f, err := wire.ParseClientFrame(text)
	if refused, ok := errors.AsType[*wire.RefusedFrameError](err); ok {
		l.answer(r, c, wire.Error{Code: refused.Code, Message: refused.Message})
		return
	}
	switch f.Type {
	case wire.FramePing:
		l.answer(r, c, wire.Pong{Cursor: l.cursorOf(c)})
	case wire.FrameSubscribe:
		l.subscribe(r, c, f.Topic)
	case wire.FrameUnsubscribe:
		l.unsubscribe(r, c, f.Topic)
	case wire.FrameAuth:
		l.refreshToken(r, f.Token)
	case wire.FrameRead:
		l.markRead(r, c, &f)
	case wire.FrameSignal:
		l.clientSignal(r, c, &f)
	default:
		l.answer(r, c, wire.Error{Code: wire.FrameErrUnsupported, Message: "this server does not handle " + f.Type})
	}
}

func (l *loop) answer(r ref, c *conn, f wire.ServerFrame) {
	l.send(r.slot(), c, appendServerFrame(nil, f))
}

func (l *loop) cursorOf(c *conn) string {
	return l.deliver.gen.cursor(l.position(c)).String()
}

// admit makes a session a member of a topic, from now on.
func (l *loop) admit(r ref, c *conn, name string) {
	if c.more != nil && len(c.more.topics) >= wire.MaxTopics && !c.more.holds(name) {
		l.answer(r, c, wire.Error{Code: wire.FrameErrTooManyTopics, Message: "a session holds at most 64 topics"})
		return
	}
	// The session must be at the loop's head, so that "from now on" is one place.
	if c.state == stateLive {
		l.deliver.advance(r.slot(), c)
	}
	if l.conns.get(r) == nil || c.state == stateClosing {
		return
	}
	l.deliver.join(r.slot(), c, name)
	c.more.stale = c.more.fetch
	l.answer(r, c, l.subscribed(c))
}

func (l *loop) unsubscribe(r ref, c *conn, name string) {
	delete(l.joins.asked, asked{r, name})
	if c.more != nil {
		for i := range c.more.topics {
			if c.more.topics[i].topic.name == name {
				l.deliver.leave(c, i)
				break
			}
		}
	}
	l.answer(r, c, l.subscribed(c))
	if l.conns.get(r) != nil {
		c.settle()
	}
}

func (l *loop) subscribed(c *conn) wire.Subscribed {
	f := wire.Subscribed{Topics: []string{}, Cursor: l.cursorOf(c)}
	if c.more != nil {
		for _, m := range c.more.topics {
			f.Topics = append(f.Topics, m.topic.name)
		}
	}
	return f
}

// refreshToken verifies another token for a live session.
func (l *loop) refreshToken(r ref, token string) {
	e := l.edge
	queued := e.work.try(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, e.cfg.SetupTimeout)
		defer cancel()
		id, err := e.auth.Verify(ctx, token)
		rep := &reply{identity: id, ok: err == nil}
		if err != nil {
			rep.result = authReason(err)
		}
		l.post(message{kind: msgToken, to: r, reply: rep})
	})
	if c := l.conns.get(r); !queued && c != nil {
		l.answer(r, c, wire.Error{Code: wire.FrameErrToken, Message: "too busy to check a token: try again"})
	}
}

func (l *loop) tokenReady(r ref, rep *reply) {
	c := l.session(r)
	if c == nil {
		return
	}
	switch {
	case rep.ok && l.edge.revoked(rep.identity):
		l.answer(r, c, wire.Error{Code: wire.FrameErrToken, Message: revokedReason})
	case !rep.ok:
		l.answer(r, c, wire.Error{Code: wire.FrameErrToken, Message: rep.result})
	case rep.identity.UID != c.user:
		l.closeWith(r.slot(), c, wire.CloseToken, "the token is another user's")
	default:
		l.startLife(r.slot(), c, rep.identity)
		l.answer(r, c, wire.Hello{
			Session: l.sessionID(r), Node: l.edge.cfg.Node, Cursor: l.cursorOf(c), Resumed: true,
			Ping: int(l.edge.cfg.PingInterval / time.Second), Expires: rep.identity.Expires.Unix(),
		})
		if c := l.session(r); c != nil {
			l.narrow(r, c)
		}
		if c := l.conns.get(r); c != nil {
			l.schedule(r, c)
		}
	}
}

// closeBack answers a client's close frame with the same code (RFC 6455, 5.5.1).
func (l *loop) closeBack(slot int32, c *conn, body []byte) {
	code := wire.CloseNormal
	if len(body) >= 2 {
		code = int(binary.BigEndian.Uint16(body))
	}
	l.closeWith(slot, c, code, "bye")
}
