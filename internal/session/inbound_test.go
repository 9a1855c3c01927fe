package session_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/session"
	"pgregory.net/rapid"
)

type streamCase struct {
	name   string // the section of RFC 6455, and what is sent
	stream []byte
	want   got
}

// read is what comes of a stream that breaks no rule and ends with a frame.
func read(messages ...string) got { return got{messages: messages, idle: true} }

// half is what comes of one that ends inside a frame or message.
func half(messages ...string) got { return got{messages: messages} }

func refused(code int, before ...string) got { return got{messages: before, code: code} }

var kib64 = strings.Repeat("x", 64<<10)

// cases are all streams of the table, with those that a loop makes.
func cases() []streamCase {
	all := slices.Concat(framing(), fragmentation(), control(), utf8Text())
	for _, op := range []byte{3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf} {
		all = append(all, streamCase{fmt.Sprintf("5.2 reserved opcode %x", op), frame(fin|op, ""), refused(1002)})
	}
	for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 124, 125, 126, 127, 65535, 65536} {
		payload := kib64[:n]
		all = append(all, streamCase{fmt.Sprintf("5.2 length %d", n), stream(text(payload), text("next")), read("1 "+payload, "1 next")})
	}
	for n := range 20 { // every position in the words that are unmasked at once
		payload := "abcdefghijklmnopqrst"[:n]
		all = append(all, streamCase{fmt.Sprintf("5.3 masking of %d bytes", n), frame(fin|2, payload), read("2 " + payload)})
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		body := string([]byte{byte(code >> 8), byte(code)})
		all = append(all, streamCase{fmt.Sprintf("7.4 close code %d", code), closing(code, "bye"), read("8 " + body + "bye")})
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		all = append(all, streamCase{fmt.Sprintf("7.4 close code %d", code), closing(code, ""), refused(1002)})
	}
	return all
}

func framing() []streamCase {
	return []streamCase{
		{"5.7 example: a masked text", []byte("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), read("1 Hello")},
		{"nothing", nil, read()},
		{"5.1 text that is not masked", []byte("\x81\x05Hello"), refused(1002)},
		{"5.1 empty text that is not masked", []byte("\x81\x00"), refused(1002)},
		{"5.1 not masked, after a good one", stream(text("a"), []byte("\x89\x00")), refused(1002, "1 a")},
		{"5.2 reserved bit 1", frame(fin|0x40|1, "a"), refused(1002)},
		{"5.2 reserved bit 2", frame(fin|0x20|1, "a"), refused(1002)},
		{"5.2 reserved bit 3", frame(fin|0x10|1, "a"), refused(1002)},
		{"5.2 reserved bit of a ping", frame(fin|0x40|9, ""), refused(1002)},
		{"5.2 two texts and a binary", stream(text("a"), frame(fin|2, "\xff"), text("b")), read("1 a", "2 \xff", "1 b")},
		{"5.2 16 bits for a length of 0", []byte("\x81\xfe\x00\x00"), refused(1002)},
		{"5.2 16 bits for a length of 125", []byte("\x81\xfe\x00\x7d"), refused(1002)},
		{"5.2 64 bits for a length of 0", []byte("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x00"), refused(1002)},
		{"5.2 64 bits for a length of 65535", []byte("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff"), refused(1002)},
		{"5.2 a length with its highest bit set", []byte("\x81\xff\x80\x00\x00\x00\x00\x01\x00\x00"), refused(1002)},
		{"5.2 a length of 2^63-1, announced", []byte("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), refused(1009)},
		{"5.2 a length of 65537, announced", []byte("\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01"), refused(1009)},
		{"5.2 a length of 65537", text(kib64 + "x"), refused(1009)},
		{"5.2 a binary of 65537", frame(fin|2, kib64+"x"), refused(1009)},
		{"5.2 a header of one byte", []byte("\x81"), half()},
		{"5.2 a header without its length", []byte("\x81\xff\x00\x00"), half()},
		{"5.2 a header without its mask", []byte("\x81\x85\x37\xfa"), half()},
		{"5.2 a header alone", head(fin|1, 5), half()},
		{"5.2 a frame without its last byte", text("Hello")[:10], half()},
		{"5.2 a frame, and half of another", stream(text("a"), text("Hello")[:9]), half("1 a")},
		{"5.3 a mask of zeros", []byte("\x81\x85\x00\x00\x00\x00Hello"), read("1 Hello")},
		{"5.3 a mask of its own for each frame", []byte("\x81\x82\x01\x02\x03\x04\x60\x60\x81\x82\xff\xff\xff\xff\x9e\x9d"), read("1 ab", "1 ab")},
	}
}

func fragmentation() []streamCase {
	k32 := kib64[:32<<10]
	return []streamCase{
		{"5.7 example: two fragments", stream(frame(1, "Hel"), frame(fin, "lo")), read("1 Hello")},
		{"5.4 three fragments of a binary", stream(frame(2, "a"), frame(0, "\xff"), frame(fin, "c")), read("2 a\xffc")},
		{"5.4 empty fragments", stream(frame(1, ""), frame(0, ""), frame(0, "a"), frame(fin, "")), read("1 a")},
		{"5.4 an empty message in fragments", stream(frame(1, ""), frame(fin, "")), read("1 ")},
		{"5.4 a message after a fragmented one", stream(frame(1, "a"), frame(fin, "b"), text("c")), read("1 ab", "1 c")},
		{"5.4 a ping between fragments", stream(frame(1, "a"), frame(fin|9, "p"), frame(fin, "b")), read("9 p", "1 ab")},
		{"5.4 a close between fragments", stream(frame(1, "a"), frame(fin|8, "")), half("8 ")},
		{"5.4 an unfinished message", stream(frame(1, "a"), frame(0, "b")), half()},
		{"5.4 an unfinished empty message", frame(1, ""), half()},
		{"5.4 a continuation of nothing", frame(fin, "a"), refused(1002)},
		{"5.4 a first fragment of nothing", frame(0, "a"), refused(1002)},
		{"5.4 a continuation of what is complete", stream(text("a"), frame(fin, "b")), refused(1002, "1 a")},
		{"5.4 a continuation after the last fragment", stream(frame(1, "a"), frame(fin, "b"), frame(fin, "c")), refused(1002, "1 ab")},
		{"5.4 a text inside a message", stream(frame(1, "a"), text("b")), refused(1002)},
		{"5.4 a binary inside a message", stream(frame(1, "a"), frame(2, "b")), refused(1002)},
		{"5.4 a fragmented ping", frame(9, "a"), refused(1002)},
		{"5.4 a fragmented pong", frame(10, ""), refused(1002)},
		{"5.4 a fragmented close", frame(8, ""), refused(1002)},
		{"5.4 fragments of 64 KiB together", stream(frame(1, k32), frame(fin, k32)), read("1 " + kib64)},
		{"5.4 fragments of 64 KiB and a byte", stream(frame(1, k32), frame(0, k32), frame(fin, "x")), refused(1009)},
		{"5.4 a fragment of 64 KiB and a byte", stream(frame(2, kib64), frame(0, "x")), refused(1009)},
		{"5.4 each of two messages may have 64 KiB", stream(frame(1, k32), frame(fin, k32), frame(1, k32), frame(fin, k32)), read("1 "+kib64, "1 "+kib64)},
		{"5.4 a last fragment that breaks UTF-8", stream(frame(1, "a"), frame(fin, "\xff")), refused(1007)},
	}
}

func control() []streamCase {
	long := kib64[:125]
	return []streamCase{
		{"5.5 a ping of 125 bytes", frame(fin|9, long), read("9 " + long)},
		{"5.5 a ping of 126 bytes", frame(fin|9, long+"x"), refused(1002)},
		{"5.5 a pong of 126 bytes", frame(fin|10, long+"x"), refused(1002)},
		{"5.5 a close of 126 bytes", frame(fin|8, "\x03\xe8"+long[:124]), refused(1002)},
		{"5.5 a ping of 65536 bytes, announced", head(fin|9, 65536)[:2], refused(1002)},
		{"5.5.1 a close without a body", frame(fin|8, ""), read("8 ")},
		{"5.5.1 a close of one byte", frame(fin|8, "\x03"), refused(1002)},
		{"5.5.1 the longest reason", closing(1000, long[:123]), read("8 \x03\xe8" + long[:123])},
		{"5.5.1 a reason that is not UTF-8", closing(1000, "\xff"), refused(1007)},
		{"5.5.1 a bad code and a bad reason", closing(1005, "\xff"), refused(1002)},
		{"5.5.2 an empty ping", frame(fin|9, ""), read("9 ")},
		{"5.5.2 a ping that is not UTF-8", frame(fin|9, "\xff\x00"), read("9 \xff\x00")},
		{"5.5.3 a pong nobody asked for", frame(fin|10, "p"), read("a p")},
		{"5.5 ping, text, pong, close", stream(frame(fin|9, "1"), text("2"), frame(fin|10, "3"), closing(1001, "")), read("9 1", "1 2", "a 3", "8 \x03\xe9")},
	}
}

func utf8Text() []streamCase {
	return []streamCase{
		{"8.1 all lengths of UTF-8", text("aé€🎈\U0010ffff\x00"), read("1 aé€🎈\U0010ffff\x00")},
		{"8.1 a character over two fragments", stream(frame(1, "\xf0\x9f"), frame(fin, "\x8e\x88")), read("1 🎈")},
		{"8.1 a character cut by the end", text("a\xe2\x82"), refused(1007)},
		{"8.1 a byte that is none", text("\xff"), refused(1007)},
		{"8.1 an overlong slash", text("\xc0\xaf"), refused(1007)},
		{"8.1 half a surrogate pair", text("\xed\xa0\x80"), refused(1007)},
		{"8.1 beyond U+10FFFF", text("\xf4\x90\x80\x80"), refused(1007)},
		{"8.1 a continuation byte alone", text("\x80"), refused(1007)},
		{"8.1 binary need not be UTF-8", frame(fin|2, "\xff\xfe"), read("2 \xff\xfe")},
		{"8.1 after a good message", stream(text("a"), text("\xff"), text("b")), refused(1007, "1 a")},
	}
}

// Whole, byte by byte, and split anyhow, a stream comes to the same.
func TestInbound(t *testing.T) {
	names := map[string]bool{}
	for _, c := range cases() {
		if names[c.name] {
			t.Errorf("two cases are called %q", c.name)
		}
		names[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			if g := feed(t, c.stream); !g.equal(c.want) {
				t.Fatalf("whole:\ngot  %v\nwant %v", g, c.want)
			}
			if g := feed(t, c.stream, everyByte(len(c.stream))...); !g.equal(c.want) {
				t.Fatalf("byte by byte:\ngot  %v\nwant %v", g, c.want)
			}
			rapid.Check(t, func(rt *rapid.T) {
				ends := anySplit(rt, len(c.stream))
				if g := feed(rt, c.stream, ends...); !g.equal(c.want) {
					rt.Fatalf("split at %v:\ngot  %v\nwant %v", ends, g, c.want)
				}
			})
		})
	}
}

// anySplit draws offsets at which n bytes are split.
func anySplit(t *rapid.T, n int) []int {
	ends := rapid.SliceOfN(rapid.IntRange(0, n), 0, 12).Draw(t, "ends")
	slices.Sort(ends)
	return ends
}

// An error of the handler comes back as it is, and nothing more is handled.
func TestInboundStopsAtTheHandlersError(t *testing.T) {
	enough := errors.New("enough")
	for _, split := range []int{0, 3, 10} {
		var in session.Inbound
		var seen []string
		handle := func(op session.Op, payload []byte) error {
			seen = append(seen, says(op, payload))
			if op == session.OpClose {
				return enough
			}
			return nil
		}
		data := stream(text("a"), frame(fin|8, ""), text("b"))
		err := in.Feed(data[:split], handle)
		if err == nil {
			err = in.Feed(data[split:], handle)
		}
		if !errors.Is(err, enough) || !slices.Equal(seen, []string{"1 a", "8 "}) {
			t.Errorf("split at %d: saw %q, error %v", split, seen, err)
		}
	}
}
