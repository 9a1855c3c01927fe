//go:build linux

package main

import (
	"bytes"
	"compress/flate"
	"io"
)

// deflateOffer asks for permessage-deflate without memory between messages, as a
// client with thousands of sockets must. RFC 7692, 7.1.1.
const deflateOffer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"

// deflateMark is in the answer of a server that agrees.
var deflateMark = []byte("permessage-deflate")

// rsv1 marks the first frame of a compressed message. RFC 7692, 6.
const rsv1 = 0x40

// inflater gives compressed messages back. A broadcast has the same bytes for all
// sockets and is inflated once, so that the client does not become the slowest part.
type inflater struct {
	in     bytes.Reader
	stream io.ReadCloser
	known  map[string][]byte // texts of the last messages, by how they came
}

// knownMessages is how many messages are remembered, and then forgotten together.
const knownMessages = 512

// deflateTail is what a sender leaves off, and a last empty block, so that the
// stream ends. RFC 7692, 7.2.2.
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// inflate gives the text of a compressed message; false if it is none, or longer
// than maxFrame.
func (f *inflater) inflate(message []byte) ([]byte, bool) {
	if text, ok := f.known[string(message)]; ok {
		return text, true
	}
	f.in.Reset(append(bytes.Clone(message), deflateTail...))
	if f.stream == nil {
		f.stream = flate.NewReader(&f.in)
	} else if err := f.stream.(flate.Resetter).Reset(&f.in, nil); err != nil {
		return nil, false
	}
	text, err := io.ReadAll(io.LimitReader(f.stream, maxFrame+1))
	if err != nil || len(text) > maxFrame {
		return nil, false
	}
	if f.known == nil || len(f.known) == knownMessages {
		f.known = make(map[string][]byte, knownMessages)
	}
	f.known[string(message)] = text
	return text, true
}

// nextMessage is nextFrame for a socket that may have agreed to compression.
func (w *worker) nextMessage(s *sock, b []byte) (op byte, payload []byte, n int) {
	if !s.deflate || len(b) < 1 || b[0] != 0x80|rsv1|opText {
		return nextFrame(b)
	}
	if payload, n = frameBody(b); n <= 0 {
		return 0, nil, n
	}
	text, ok := w.inflater.inflate(payload)
	if !ok {
		return 0, nil, -1
	}
	return opText, text, n
}
