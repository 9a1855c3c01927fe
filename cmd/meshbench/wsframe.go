//go:build linux

package main

import "encoding/binary"

// Opcodes of RFC 6455, 5.2.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// The key is constant, and so is the answer: what is measured is not SHA-1 of
// the client. A server must still compute it.
const (
	wsKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	wsAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // RFC 6455, 1.3
)

// maxFrame bounds a server's frame; beyond it the stream counts as broken.
const maxFrame = 128 << 10

// nextFrame splits the first frame off what was read of a server. n is 0 when
// the frame is not complete yet, and -1 when this is not a stream of unmasked,
// unfragmented frames.
func nextFrame(b []byte) (op byte, payload []byte, n int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	if b[0]&0xf0 != 0x80 {
		return 0, nil, -1
	}
	payload, n = frameBody(b)
	return b[0] & 15, payload, n
}

// frameBody splits the first frame off whatever its first byte says. n is 0 when it
// is not complete yet, and -1 when it is masked or too long.
func frameBody(b []byte) (payload []byte, n int) {
	if len(b) < 2 {
		return nil, 0
	}
	if b[1]&0x80 != 0 {
		return nil, -1
	}
	size, head := int(b[1]), 2
	switch size {
	case 126:
		if head = 4; len(b) < head {
			return nil, 0
		}
		size = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if head = 10; len(b) < head {
			return nil, 0
		}
		long := binary.BigEndian.Uint64(b[2:])
		if long > maxFrame {
			return nil, -1
		}
		size = int(long)
	}
	if size > maxFrame {
		return nil, -1
	}
	if len(b) < head+size {
		return nil, 0
	}
	return b[head : head+size], head + size
}

// appendTextFrame appends a server's text frame.
func appendTextFrame(dst, payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|opText, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|opText, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|opText, 127), uint64(n))
	}
	return append(dst, payload...)
}

// appendMasked appends a client's frame of at most 125 bytes, masked with zeros,
// which RFC 6455 does not forbid and which changes nothing.
func appendMasked(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, 0x80|op, 0x80|byte(len(payload)), 0, 0, 0, 0)
	return append(dst, payload...)
}
