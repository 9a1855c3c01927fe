package session_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/socialvibes/vibemesh/internal/session"
	"pgregory.net/rapid"
)

// got is what a stream of bytes came to.
type got struct {
	messages []string // "op payload", each
	code     int      // of the *session.ProtocolError; 0: none
	idle     bool     // nothing is half read; false after an error
}

func (g got) String() string {
	var b strings.Builder
	for _, m := range g.messages {
		fmt.Fprintf(&b, "%.60q ", m)
	}
	fmt.Fprintf(&b, "code %d idle %t", g.code, g.idle)
	return b.String()
}

func (g got) equal(other got) bool {
	return strings.Join(g.messages, "\x00") == strings.Join(other.messages, "\x00") &&
		len(g.messages) == len(other.messages) && g.code == other.code && g.idle == other.idle
}

func says(op session.Op, payload []byte) string { return fmt.Sprintf("%x %s", byte(op), payload) }

// maxBuffered is the most a session may hold: a frame and a message of 64 KiB,
// each in a slice that append has made up to a quarter larger than it need be.
const maxBuffered = 2 * 80 << 10

// feed gives a stream to a reader in chunks that end at the given offsets, and
// checks after each what it keeps in memory. Like a connection, it stops at the
// first error.
func feed(t rapid.TB, stream []byte, ends ...int) got {
	t.Helper()
	return feedTo(t, session.Inbound{}, stream, ends...)
}

// feedTo is feed, to a reader that begins as in.
func feedTo(t rapid.TB, in session.Inbound, stream []byte, ends ...int) got {
	t.Helper()
	var g got
	at := 0
	for _, end := range append(ends, len(stream)) {
		chunk := bytes.Clone(stream[at:end])
		at = end
		err := in.Feed(chunk, func(op session.Op, payload []byte) error {
			g.messages = append(g.messages, says(op, payload))
			return nil
		})
		if kept := in.Buffered(); kept > maxBuffered || kept > 2*at+64 {
			t.Fatalf("%d bytes are kept after %d were sent", kept, at)
		}
		if err != nil {
			var broken *session.ProtocolError
			if !errors.As(err, &broken) || broken.Reason == "" || broken.Error() != broken.Reason {
				t.Fatalf("error %v is no *ProtocolError with a reason", err)
			}
			g.code = broken.Code
			return g
		}
	}
	g.idle = in.Idle()
	return g
}

// everyByte is the offsets that split n bytes one by one.
func everyByte(n int) []int {
	var ends []int
	for i := 1; i < n; i++ {
		ends = append(ends, i)
	}
	return ends
}

// mask is the masking key of all hand-made frames.
var mask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

const fin = 0x80

// head is a masked frame's header, announcing a length in its shortest form.
func head(first byte, length uint64) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), length)
	}
	return append(b, mask[:]...)
}

// frame is a masked frame.
func frame(first byte, payload string) []byte {
	b := head(first, uint64(len(payload)))
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func text(payload string) []byte { return frame(fin|1, payload) }

func stream(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

func closing(code int, reason string) []byte {
	return frame(fin|8, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}
