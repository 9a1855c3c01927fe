package edge

import (
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// warnBefore is how long before the end of its token a session is told of it. One that
// has little left is told when half of that is over.
const warnBefore = 60

// lives is what a loop knows of its sessions' tokens beside their end, by slot. It is
// apart from conn because it is looked at once a ping at most, and as arrays because
// padding would cost as much as the second of them: five bytes a session.
type lives struct{ chunks []*lifeChunk }

type lifeChunk struct {
	issued [chunkSize]uint32 // seconds since 1970
	lead   [chunkSize]uint8  // seconds before the end when it is told; 0: it was
}

func (t *lives) chunk(slot int32) (*lifeChunk, int) {
	i := int(slot >> chunkBits)
	for i >= len(t.chunks) {
		t.chunks = append(t.chunks, new(lifeChunk))
	}
	return t.chunks[i], int(slot & (chunkSize - 1))
}

func (t *lives) issued(slot int32) time.Time {
	k, i := t.chunk(slot)
	return time.Unix(int64(k.issued[i]), 0)
}

// startLife notes whose token a session has from now on.
func (l *loop) startLife(slot int32, c *conn, id auth.Identity) {
	c.expires = l.clockOf(id.Expires)
	left := c.expires - min(l.clock(), c.expires)
	k, i := l.lives.chunk(slot)
	k.issued[i] = uint32(max(id.IssuedAt.Unix(), 0))
	k.lead[i] = uint8(min(left/2, warnBefore))
	l.claim(slot, id.Topics)
}

// tokenDue is when a session's token wants looking at, by the loop's clock: when it is
// told of the end, then the end.
func (l *loop) tokenDue(slot int32, c *conn) uint32 {
	k, i := l.lives.chunk(slot)
	return c.expires - min(uint32(k.lead[i]), c.expires)
}

// warn tells a session that its token is about to end, once. It may be gone or closing
// afterwards.
func (l *loop) warn(slot int32, c *conn) {
	k, i := l.lives.chunk(slot)
	if now := l.clock(); k.lead[i] > 0 && now >= l.tokenDue(slot, c) {
		k.lead[i] = 0
		ends := l.now.Unix() + int64(c.expires-now)
		l.send(slot, c, appendServerFrame(nil, wire.Auth{Expires: ends}))
	}
}

// Revocations is which tokens are refused before they end: auth.Revoked.
type Revocations interface {
	Holds(uid string, issued time.Time) bool
}

// revoked reports whether a token that was verified has been revoked meanwhile. Who
// has it is not yet among those that Revoke finds.
func (e *Edge) revoked(id auth.Identity) bool {
	return e.cfg.Revoked != nil && e.cfg.Revoked.Holds(id.UID, id.IssuedAt)
}

// revokedReason is what a session is closed with.
const revokedReason = "the token was revoked"

// Revoke ends the sessions of a user whose tokens were issued before a time. It does
// not wait for that. Config.Revoked must say so already: it is what stops those that
// are being set up.
func (e *Edge) Revoke(uid string, before time.Time) {
	for _, l := range e.loops {
		l.do(func() {
			for _, slot := range l.deliver.sessionsOf(uid) {
				if l.lives.issued(slot).UnixMilli() < before.UnixMilli() {
					l.closeWith(slot, l.conns.at(slot), wire.CloseToken, revokedReason)
				}
			}
		})
	}
}
