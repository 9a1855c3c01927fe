package edge

import (
	"sync"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/session"
)

var packers = sync.Pool{New: func() any { return new(packer) }}

// Echo has an edge send each text and binary message back, compressed where that was
// agreed on, and count no frames against its clients: what conformance tests of RFC
// 6455 talk to. Pings, pongs and closes are handled as ever. Call it before Serve.
func (e *Edge) Echo() {
	e.echo = func(l *loop, r ref, c *conn, op session.Op, payload []byte) bool {
		c.tokens = tokenBurst
		if op != session.OpText && op != session.OpBinary {
			return false
		}
		frame := append(appendHeader(nil, ws.OpCode(op), len(payload)), payload...)
		if c.deflate && op == session.OpText {
			p := packers.Get().(*packer)
			if packed := p.append(nil, frame); len(packed) > 0 {
				frame = packed
			}
			packers.Put(p)
		}
		l.send(r.slot(), c, frame)
		return true
	}
}

// MaxMarking is how many read frames of one session may wait.
const MaxMarking = maxMarking
