package edge

import (
	"encoding/binary"
	"strings"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// maxHeader is the longest header of a server's frame, which is not masked.
const maxHeader = 10

// appendText appends a text frame whose payload fill appends. The payload is
// written first, behind room for the longest header, and moved if it is shorter:
// the length is not known before.
func appendText(dst []byte, fill func(dst []byte) []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, maxHeader)...)
	dst = fill(dst)
	payload := dst[start+maxHeader:]
	header := appendHeader(dst[start:start], ws.OpText, len(payload))
	n := copy(dst[start+len(header):], payload)
	return dst[:start+len(header)+n]
}

// appendHeader appends the header of an unfragmented, unmasked frame (RFC 6455,
// 5.2). gobwas/ws writes one to an io.Writer only.
func appendHeader(dst []byte, op ws.OpCode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length < 126:
		return append(dst, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
	}
}

// appendEntryFrame appends the frame of an entry of the log: an event, or what a person
// has read.
func appendEntryFrame(dst []byte, e *wire.Entry, cursor wire.Cursor) []byte {
	if e.Read != nil {
		return appendReadFrame(dst, e, cursor)
	}
	return appendEventFrame(dst, e, cursor)
}

func appendEventFrame(dst []byte, e *wire.Entry, cursor wire.Cursor) []byte {
	return appendText(dst, func(dst []byte) []byte { return wire.AppendEvent(dst, e, cursor) })
}

func appendServerFrame(dst []byte, f wire.ServerFrame) []byte {
	return appendText(dst, func(dst []byte) []byte { return wire.AppendFrame(dst, f) })
}

// appendClose appends a close frame (RFC 6455, 5.5.1), its reason cut to fit.
func appendClose(dst []byte, code int, reason string) []byte {
	if reason == "" {
		reason = wire.CloseText(code)
	}
	const most = 123 // a control frame's payload, less the code
	if len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") // no half of a character
	}
	body := ws.NewCloseFrameBody(ws.StatusCode(code), reason)
	return append(appendHeader(dst, ws.OpClose, len(body)), body...)
}
