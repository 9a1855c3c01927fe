package session_test

import (
	"bytes"
	"compress/flate"
	"io"

	"github.com/gobwas/ws/wsflate"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func decompressor(r io.Reader) wsflate.Decompressor { return flate.NewReader(r) }

// maxFinals and tail are the reader's own limit and end, told again.
const (
	maxFinals = 64
	tail      = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"
)

// inflateByGobwas inflates a message with wsflate and the standard library, or
// says with which close code it is refused.
//
// wsflate ends with the first block that says it is the last, whatever follows;
// RFC 7692, 7.2.1 lets other blocks follow it. What follows is read by the
// standard library, with what came before as its dictionary.
func inflateByGobwas(message []byte) (out []byte, code int) {
	if len(message) > 16<<10 { // our limit
		return nil, 1009
	}
	for range maxFinals {
		// Only a reader that gives single bytes is left where the last block ends, and
		// wsflate's puts a zero between the message and its tail: it is not asked for them.
		all := bytes.NewReader(append(bytes.Clone(message), tail...))
		var part []byte
		var err error
		if len(out) == 0 {
			r := wsflate.NewReader(struct{ io.Reader }{bytes.NewReader(message)}, decompressor)
			part, err = io.ReadAll(io.LimitReader(r, wire.MaxClientFrame+1))
		}
		exact, exactErr := io.ReadAll(io.LimitReader(flate.NewReaderDict(all, out), int64(wire.MaxClientFrame+1-len(out))))
		if len(out) == 0 && (!bytes.Equal(part, exact) || (err == nil) != (exactErr == nil)) {
			panic("wsflate and the standard library do not agree")
		}
		out = append(out, exact...)
		switch left := all.Len(); {
		case len(out) > wire.MaxClientFrame:
			return nil, 1009
		case exactErr != nil, left > 0 && left < len(tail):
			return nil, 1007
		case left == 0, left == len(tail):
			return out, 0
		default:
			message = message[len(message)+len(tail)-left:]
		}
	}
	return nil, 4003
}
