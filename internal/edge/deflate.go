package edge

import (
	"bytes"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// permessage-deflate (RFC 7692) is agreed on without context takeover in either
// direction: no session keeps a window, and a message is compressed once for all
// that take it so, by the tail. What a session is sent of its own, and what is read
// of the stream, goes as it is, as the extension allows for each message.

// Messages are compressed from these payload sizes on, in bytes. One to a single user
// saves the bytes of one delivery only, so it has to be large.
const (
	packBroadcast = 256
	packUser      = 2048
)

// negotiate answers a client's offer of an extension (RFC 7692, 5). What is not
// accepted is left out of the answer, which declines it.
func negotiate(offer httphead.Option, deflate *bool) (httphead.Option, error) {
	var asked wsflate.Parameters
	if *deflate || string(offer.Name) != wsflate.ExtensionName || asked.Parse(offer) != nil {
		return httphead.Option{}, nil
	}
	if asked.ServerMaxWindowBits.Defined() && asked.ServerMaxWindowBits < 15 {
		return httphead.Option{}, nil // the messages are packed for everybody, with the whole window
	}
	*deflate = true
	agreed := wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}
	if asked.ServerMaxWindowBits.Defined() {
		agreed.ServerMaxWindowBits = asked.ServerMaxWindowBits // RFC 7692, 7.1.2.1: who accepts it says so
	}
	return agreed.Option(), nil
}

// packs reports whether an entry is worth compressing.
func packs(e *wire.Entry) bool {
	if e.Audience.Kind == wire.KindUser {
		return len(e.Payload) >= packUser
	}
	return len(e.Payload) >= packBroadcast
}

// packer compresses frames, for one goroutine. It has 600 KB once it was used.
type packer struct {
	deflate *flate.Writer
	out     bytes.Buffer
}

// append appends the compressed form of a finished text frame (RFC 7692, 7.2.1);
// nothing if that is not smaller. The fastest level takes 10 µs for 500 bytes of a
// toast and leaves 330; the best takes four times as long, for 10 bytes less.
func (p *packer) append(dst, frame []byte) []byte {
	text := frame[headerSize(frame):]
	p.out.Reset()
	if p.deflate == nil {
		var err error
		if p.deflate, err = flate.NewWriter(&p.out, flate.BestSpeed); err != nil {
			return dst // the level is none; it is one
		}
	}
	p.deflate.Reset(&p.out) // no context is taken over
	if _, err := p.deflate.Write(text); err != nil {
		return dst
	}
	if p.deflate.Flush() != nil {
		return dst
	}
	const tail = 4 // 00 00 ff ff of the empty block at the end is left out
	body := p.out.Bytes()[:p.out.Len()-tail]
	if len(body) >= len(text) {
		return dst
	}
	start := len(dst)
	dst = appendHeader(dst, ws.OpText, len(body))
	dst[start] |= 0x40 // RSV1: compressed
	return append(dst, body...)
}

// headerSize is the length of a server frame's header (RFC 6455, 5.2).
func headerSize(frame []byte) int {
	switch frame[1] {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// frame is an entry in the form that a session takes.
func (d *deliverer) frame(c *conn, pos uint64) []byte {
	it := d.view.At(pos)
	if c.deflate && len(it.Packed) > 0 {
		return it.Packed
	}
	return it.Frame
}
