package session

import (
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// inflateTail stands behind a compressed message while it is read: the four bytes
// that its sender took from the end (RFC 7692, 7.2.2), and an empty last block, so
// that the reader ends there and not for want of bytes.
const inflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// maxFinals is how many blocks inside a message may say that they are the last
// (RFC 7692, 7.2.1 allows them). Each costs a new beginning, and takes two bytes.
const maxFinals = 64

// maxPacked is the most bytes of a compressed message as it came: 64 KiB of tables that
// hold nothing would take 8 ms to read.
const maxPacked = 16 << 10

// historySize is how far back a block may refer (RFC 1951, 3.2.5).
const historySize = 32 << 10

// inflater reads compressed messages, one after the other. It is large, so it is
// held for the time of one message only.
type inflater struct {
	from compressed
	read io.ReadCloser
	out  [wire.MaxClientFrame + 1]byte // the byte more tells a message that is too large
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflater)
	f.read = flate.NewReader(&f.from)
	return f
}}

// inflate undoes permessage-deflate (RFC 7692, 7.2.2). The result is the inflater's:
// it is valid until the next message. No more is ever inflated than a message may
// have. RFC 7692 has no close code for data that are no DEFLATE: 1007 is for a
// message whose data are not what its type says (RFC 6455, 7.4.1).
func (f *inflater) inflate(message []byte) ([]byte, error) {
	if len(message) > maxPacked {
		return nil, errTooBig
	}
	f.from = compressed{message: message}
	defer func() { f.from.message = nil }() // the pool holds on to nobody's bytes
	n := 0
	for range maxFinals {
		// A block may refer to what came before a last block (RFC 7692, 7.2.1).
		err := f.read.(flate.Resetter).Reset(&f.from, f.out[max(0, n-historySize):n])
		for err == nil && n < len(f.out) {
			var more int
			more, err = f.read.Read(f.out[n:])
			n += more
		}
		switch left := f.from.left(); {
		case n > wire.MaxClientFrame:
			return nil, errTooBig
		case err != io.EOF, left > 0 && left < len(inflateTail):
			return nil, &ProtocolError{wire.CloseInvalidText, "message is not DEFLATE data"}
		case left == 0, left == len(inflateTail): // the end, or a last block there
			return f.out[:n], nil
		}
	}
	return nil, &ProtocolError{wire.CloseRateLimited, "message has more than 64 last blocks"}
}

// compressed is a message with inflateTail behind it. It is an io.ByteReader, so
// that no more is taken from it than a block needs.
type compressed struct {
	message []byte
	at      int
}

func (c *compressed) left() int { return len(c.message) + len(inflateTail) - c.at }

func (c *compressed) ReadByte() (byte, error) {
	at := c.at
	c.at++
	if at < len(c.message) {
		return c.message[at], nil
	}
	if at -= len(c.message); at < len(inflateTail) {
		return inflateTail[at], nil
	}
	c.at--
	return 0, io.EOF
}

func (c *compressed) Read(b []byte) (n int, err error) {
	if c.at < len(c.message) {
		n = copy(b, c.message[c.at:])
	}
	if at := c.at + n - len(c.message); at >= 0 {
		n += copy(b[n:], inflateTail[at:])
	}
	if c.at += n; n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
