package edge

import (
	"bytes"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// A log of several partitions comes to each edge in an order of its own: the order
// within a partition is the log's, that between them is not. A client that comes from
// another edge may so have seen entries that are later in this ring than some it has
// not. Up to the position mixed, after which all is new to it, it is sent only what it
// has not seen, in frames whose cursors say that it has seen the rest.

// unmix puts a stretch of what a session has not seen into its out.
func (l *loop) unmix(c *conn) {
	d, m := &l.deliver, c.more
	var ok bool
	d.items, ok = d.view.Collect(d.items[:0], d.keysOf(c), m.pos, m.mixed, writeBatch)
	if !ok {
		c.state, m.mixed = stateReplay, 0
		l.edge.metrics.behind("ring")
		return
	}
	sent, whole := d.items[:0], len(d.items) < writeBatch
	var place wire.Vector
	for _, pos := range d.items {
		it := d.view.At(pos)
		m.pos = pos
		if it.Seq <= m.at[it.Part] {
			continue
		}
		place = d.view.SeqsAt(place[:0], pos)
		m.at = m.at.Raised(place)
		m.out = append(m.out, withCursor(it.Frame, d.gen.cursor(m.at))...)
		sent = append(sent, pos)
		if len(m.out) > topUpBytes && pos < d.items[len(d.items)-1] {
			whole = false
			break
		}
	}
	if whole {
		m.pos, m.mixed = m.mixed, 0
	}
	// Also past what it has seen and what is not for it: who joins a topic now is told
	// that place, and gets what comes after pos.
	m.at = m.at.Raised(d.view.SeqsAt(place[:0], m.pos))
	d.count(sent)
}

// withCursor is a frame of the edge's own making with another cursor. The first
// cursor in its text is the frame's: type and id, before it, hold no quotes.
func withCursor(frame []byte, cursor wire.Cursor) []byte {
	text := frame[len(frame)-textLen(frame):]
	key := []byte(`"cursor":"`)
	at := bytes.Index(text, key) + len(key)
	end := at + bytes.IndexByte(text[at:], '"')
	out := append([]byte(nil), text[:at]...)
	out = cursor.AppendText(out)
	out = append(out, text[end:]...)
	return append(appendHeader(nil, ws.OpText, len(out)), out...)
}

// textLen is the length of the text in a server's frame: see appendHeader.
func textLen(frame []byte) int {
	switch n := frame[1] & 0x7f; n {
	case 126:
		return len(frame) - 4
	case 127:
		return len(frame) - 10
	default:
		return int(n)
	}
}
