// Package session is what one client's session knows, without any I/O: reading
// the frames it sends (RFC 6455) and deciding where it is continued in the log.
package session

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Op is a WebSocket opcode (RFC 6455, 5.2).
type Op byte

// The opcodes of RFC 6455.
const (
	OpContinuation Op = 0x0
	OpText         Op = 0x1
	OpBinary       Op = 0x2
	OpClose        Op = 0x8
	OpPing         Op = 0x9
	OpPong         Op = 0xA
)

// ProtocolError ends a connection: the close code to end it with, and why.
type ProtocolError struct {
	Code   int
	Reason string
}

func (e *ProtocolError) Error() string { return e.Reason }

func broken(reason string) error { return &ProtocolError{wire.CloseProtocol, reason} }

var errTooBig error = &ProtocolError{wire.CloseTooBig, "message is larger than 64 KiB"}

// The bits of a frame's first byte (RFC 6455, 5.2).
const (
	bitFin        = 0x80
	bitCompressed = 0x40 // RSV1, as RFC 7692, 6 uses it
	bitsReserved  = 0x70
)

// header is a frame header that has passed every check of a server.
type header struct {
	op      Op
	fin     bool
	length  int
	mask    [4]byte
	size    int // of the header itself
	control bool
	packed  bool // it begins a compressed message
}

// parseHeader reads a frame header from the front of data; deflate says whether
// messages may be compressed. ok is false while more bytes are needed. The length
// is checked before anyone allocates for it.
func parseHeader(data []byte, deflate bool) (h header, ok bool, err error) {
	if len(data) < 2 {
		return h, false, nil
	}
	h.op, h.fin = Op(data[0]&0x0f), data[0]&bitFin != 0
	h.control = h.op&0x8 != 0
	reserved := data[0] & bitsReserved
	if deflate && (h.op == OpText || h.op == OpBinary) { // RFC 7692, 6: the first frame tells
		h.packed = reserved&bitCompressed != 0
		reserved &^= bitCompressed
	}
	length := uint64(data[1] & 0x7f)
	switch {
	case reserved != 0: // RFC 6455, 5.2: reserved bits without an extension
		return h, false, broken("reserved bits are set")
	case h.op > OpBinary && h.op < OpClose || h.op > OpPong: // RFC 6455, 5.2
		return h, false, broken("reserved opcode")
	case data[1]&0x80 == 0: // RFC 6455, 5.1: a client masks every frame
		return h, false, broken("frame is not masked")
	case h.control && length > 125: // RFC 6455, 5.5
		return h, false, broken("control frame is longer than 125 bytes")
	case h.control && !h.fin: // RFC 6455, 5.4
		return h, false, broken("control frame is fragmented")
	}
	h.size = 2
	switch length {
	case 126:
		if len(data) < 4 {
			return h, false, nil
		}
		length, h.size = uint64(binary.BigEndian.Uint16(data[2:])), 4
		if length < 126 { // RFC 6455, 5.2: the minimal number of bytes
			return h, false, broken("length is not in its shortest form")
		}
	case 127:
		if len(data) < 10 {
			return h, false, nil
		}
		length, h.size = binary.BigEndian.Uint64(data[2:]), 10
		if length>>63 != 0 || length <= 0xffff { // RFC 6455, 5.2
			return h, false, broken("length is not in its shortest form")
		}
	}
	if length > wire.MaxClientFrame {
		return h, false, errTooBig
	}
	h.length = int(length)
	if len(data) < h.size+4 {
		return h, false, nil
	}
	copy(h.mask[:], data[h.size:])
	h.size += 4
	return h, true, nil
}

// Inbound assembles what a client sends into messages. The zero value is ready.
// What it keeps is bounded: one frame and one message, each of 64 KiB at most, as
// it came. That is also the most that a compressed message may have once inflated.
type Inbound struct {
	rest      []byte // the beginning of a frame whose end has not come
	message   []byte // the fragments so far of a message
	fragments uint16 // how many they are
	op        Op     // of that message; 0 when none is under way
	packed    bool   // that message is compressed

	// Deflate: permessage-deflate was agreed on (RFC 7692), without a context that a
	// client keeps from one message to the next (client_no_context_takeover).
	Deflate bool
}

// maxFragments is how many fragments a message may have. Their bytes are bounded
// anyway, but empty ones could come for ever, and are no message that is counted.
const maxFragments = 4096

// Idle reports that nothing is half read, so the state may be thrown away.
func (in *Inbound) Idle() bool { return len(in.rest) == 0 && in.op == 0 }

// Buffered is how many bytes the state holds on to.
func (in *Inbound) Buffered() int { return cap(in.rest) + cap(in.message) }

// Feed takes the bytes that came and calls handle for each complete text or
// binary message and each control frame, in order. payload is valid only during
// the call; data is unmasked in place. It stops at the first error, which is a
// *ProtocolError or handle's own.
func (in *Inbound) Feed(data []byte, handle func(op Op, payload []byte) error) error {
	if len(in.rest) > 0 {
		need, err := in.missing()
		// Take only what the frame still needs, so that rest stays bounded, and
		// look at it each time, so that an error never waits for more bytes.
		for err == nil && need > 0 && len(data) > 0 {
			n := min(need, len(data))
			in.rest, data = append(in.rest, data[:n]...), data[n:]
			need, err = in.missing()
		}
		if err != nil || need > 0 {
			return err
		}
		frame := in.rest
		in.rest = nil
		if _, err := in.frames(frame, handle); err != nil {
			return err
		}
	}
	used, err := in.frames(data, handle)
	if err == nil && used < len(data) {
		in.rest = append([]byte(nil), data[used:]...)
	}
	return err
}

// missing is how many bytes rest needs to complete its header or, then, frame.
func (in *Inbound) missing() (int, error) {
	h, ok, err := parseHeader(in.rest, in.Deflate)
	if err != nil {
		return 0, err
	}
	if ok {
		return h.size + h.length - len(in.rest), nil
	}
	if len(in.rest) < 2 {
		return 2 - len(in.rest), nil
	}
	size := 6
	switch in.rest[1] & 0x7f {
	case 126:
		size = 8
	case 127:
		size = 14
	}
	return size - len(in.rest), nil
}

// frames works off the whole frames at the front of data.
func (in *Inbound) frames(data []byte, handle func(op Op, payload []byte) error) (used int, err error) {
	for {
		h, ok, err := parseHeader(data[used:], in.Deflate)
		if err != nil {
			return used, err
		}
		if !ok || len(data)-used < h.size+h.length {
			return used, nil
		}
		payload := data[used+h.size:][:h.length]
		unmask(payload, h.mask)
		used += h.size + h.length
		if err := in.frame(h, payload, handle); err != nil {
			return used, err
		}
	}
}

func (in *Inbound) frame(h header, payload []byte, handle func(op Op, payload []byte) error) error {
	switch {
	case h.op == OpClose:
		if err := checkClose(payload); err != nil {
			return err
		}
		return handle(h.op, payload)
	case h.control:
		return handle(h.op, payload)
	case h.op == OpContinuation && in.op == 0: // RFC 6455, 5.4
		return broken("continuation of nothing")
	case h.op != OpContinuation && in.op != 0: // RFC 6455, 5.4
		return broken("a new message inside a fragmented one")
	case h.op != OpContinuation && h.fin:
		return deliver(h.op, h.packed, payload, handle)
	}
	if len(in.message)+len(payload) > wire.MaxClientFrame {
		return errTooBig
	}
	if in.fragments++; in.fragments > maxFragments {
		return &ProtocolError{wire.CloseRateLimited, "message has more than 4096 fragments"}
	}
	if in.op == 0 {
		in.op, in.packed = h.op, h.packed
	}
	in.message = append(in.message, payload...)
	if !h.fin {
		return nil
	}
	op, packed, message := in.op, in.packed, in.message
	in.op, in.packed, in.message, in.fragments = 0, false, nil, 0
	return deliver(op, packed, message, handle)
}

func deliver(op Op, packed bool, message []byte, handle func(op Op, payload []byte) error) error {
	if packed {
		f := inflaters.Get().(*inflater)
		defer inflaters.Put(f) // handle is done with the message then
		var err error
		if message, err = f.inflate(message); err != nil {
			return err
		}
	}
	if op == OpText && !utf8.Valid(message) { // RFC 6455, 8.1
		return &ProtocolError{wire.CloseInvalidText, "text is not UTF-8"}
	}
	return handle(op, message)
}

// checkClose checks the body of a close frame (RFC 6455, 5.5.1 and 7.4).
func checkClose(body []byte) error {
	switch len(body) {
	case 0:
		return nil
	case 1:
		return broken("close code of one byte")
	}
	switch code := binary.BigEndian.Uint16(body); {
	case code < 1000, code == 1004, code == 1005, code == 1006, code >= 1015 && code < 3000, code >= 5000:
		return broken("close code that may not be sent")
	}
	if !utf8.Valid(body[2:]) {
		return &ProtocolError{wire.CloseInvalidText, "close reason is not UTF-8"}
	}
	return nil
}

// unmask undoes a client's masking in place (RFC 6455, 5.3), eight bytes a step.
func unmask(b []byte, mask [4]byte) {
	m := uint64(binary.NativeEndian.Uint32(mask[:]))
	m |= m << 32
	for len(b) >= 8 {
		binary.NativeEndian.PutUint64(b, binary.NativeEndian.Uint64(b)^m)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}
