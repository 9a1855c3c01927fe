package session_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/klauspost/compress/flate"
	"github.com/socialvibes/vibemesh/internal/session"
	"pgregory.net/rapid"
)

const packed = 0x40 // RSV1 of a frame's first byte

// deflated compresses a message as RFC 7692, 7.2.1 says.
func deflated(message string, level int) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err == nil {
		_, err = w.Write([]byte(message))
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// finished is a message whose last block says so (RFC 7692, 7.2.3.4), without the
// empty block that must follow it.
func finished(message string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	if err == nil {
		_, err = w.Write([]byte(message))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.String()
}

// noise is text that no compression makes smaller than three quarters.
func noise(size int) string {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, size)
	for i := range b {
		b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"[random.IntN(64)]
	}
	return string(b)
}

// bomb is 16 MiB of one letter, which are 16 KiB.
var bomb = sync.OnceValue(func() string { return deflated(strings.Repeat("x", 16<<20), 9) })

// deflateCases are streams of a connection on which permessage-deflate was agreed.
func deflateCases() []streamCase {
	zip := func(s string) []byte { return frame(fin|packed|1, s) }
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692, 7.2.3.1
	final := strings.Repeat("\x03\x00", 64)
	past := "\x04\x04\x82\x00" // a block with nothing to refer back to
	return []streamCase{
		{"7692 7.2.3.1 a message of one block", zip(hello), read("1 Hello")},
		{"7692 7.2.3.1 in two fragments", stream(frame(packed|1, hello[:3]), frame(fin, hello[3:])), read("1 Hello")},
		{"7692 7.2.3.2 a context kept from the last message", stream(zip(hello), zip("\xf2\x00\x11\x00\x00")), refused(1007, "1 Hello")},
		{"7692 7.2.3.3 a block without compression", zip("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), read("1 Hello")},
		{"7692 7.2.3.4 a block that is the last", zip("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), read("1 Hello")},
		{"7692 7.2.3.4 with nothing behind it", zip("\xf3\x48\xcd\xc9\xc9\x07\x00"), read("1 Hello")},
		{"7692 7.2.3.5 two blocks", zip("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), read("1 Hello")},
		{"7692 7.2.3.6 an empty message", zip("\x00"), read("1 ")},
		{"7692 7.2.3.6 an empty fragment of it", stream(frame(packed|1, "\x00"), frame(fin, "")), read("1 ")},
		{"7692 7.2.1 two blocks that are the last", zip(finished("Hel") + finished("lo") + "\x00"), read("1 Hello")},
		{"7692 7.2.1 64 of them", zip(final), read("1 ")},
		{"7692 7.2.1 65 of them", zip(final + "\x03\x00"), refused(4003)},
		{"7692 6 a binary", frame(fin|packed|2, hello), read("2 Hello")},
		{"7692 6 one that is not compressed", text("Hello"), read("1 Hello")},
		{"7692 6 in turn", stream(text("a"), zip(hello), text("b"), zip(hello)), read("1 a", "1 Hello", "1 b", "1 Hello")},
		{"7692 6 controls between the fragments", stream(frame(packed|1, hello[:1]), frame(fin|9, "p"), frame(0, ""), frame(fin, hello[1:])), read("9 p", "1 Hello")},
		{"7692 6 the bit on a continuation", stream(frame(packed|1, hello[:3]), frame(fin|packed, hello[3:])), refused(1002)},
		{"7692 6 the bit on a continuation only", stream(frame(1, "a"), frame(fin|packed, "b")), refused(1002)},
		{"7692 6 the bit on a ping", frame(fin|packed|9, ""), refused(1002)},
		{"7692 6 the bit on a pong", frame(fin|packed|10, ""), refused(1002)},
		{"7692 6 the bit on a close", frame(fin|packed|8, ""), refused(1002)},
		{"7692 6 the bit on a reserved opcode", frame(fin|packed|3, ""), refused(1002)},
		{"7692 6 the bit and another", frame(fin|packed|0x20|1, hello), refused(1002)},
		{"7692 6 the next message is not compressed", stream(frame(packed|1, hello[:3]), frame(fin, hello[3:]), frame(1, "a"), frame(fin, "b")), read("1 Hello", "1 ab")},
		{"7692 6 an unfinished message", frame(packed|1, hello), half()},
		{"5.2 reserved bit 2 beside deflate", frame(fin|0x20|1, "a"), refused(1002)},
		{"5.2 reserved bit 3 beside deflate", frame(fin|0x10|1, "a"), refused(1002)},
		{"7.4.1 no bytes", zip(""), refused(1007)},
		{"7.4.1 a reserved kind of block", zip("\x06"), refused(1007)},
		{"7.4.1 lengths that differ", zip("\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00"), refused(1007)},
		{"7.4.1 a distance past the beginning", zip(past), refused(1007)},
		{"7.4.1 a block without its end", zip(deflated(noise(1000), 9)[:500]), refused(1007)},
		{"7.4.1 bytes behind the last block", zip(finished("Hello") + "Hello"), refused(1007)},
		{"7.4.1 after a good message", stream(zip(hello), zip("\x06"), zip(hello)), refused(1007, "1 Hello")},
		{"8.1 UTF-8 once inflated", zip(deflated("a🎈\U0010ffff", 9)), read("1 a🎈\U0010ffff")},
		{"8.1 none once inflated", zip(deflated("a\xff", 9)), refused(1007)},
		{"8.1 a character cut by the end", zip(deflated("a\xe2\x82", 9)), refused(1007)},
		{"8.1 a binary need not be UTF-8", frame(fin|packed|2, deflated("\xff", 9)), read("2 \xff")},
		{"64 KiB once inflated", zip(deflated(kib64, 9)), read("1 " + kib64)},
		{"16 KiB of noise", zip(deflated(noise(16<<10), 9)), read("1 " + noise(16<<10))},
		{"64 KiB of noise, more than 16 KiB as it came", zip(deflated(noise(64<<10), 9)), refused(1009)},
		{"64 KiB twice", stream(zip(deflated(kib64, 9)), zip(deflated(kib64, 1))), read("1 "+kib64, "1 "+kib64)},
		{"64 KiB and a byte once inflated", zip(deflated(kib64+"x", 9)), refused(1009)},
		{"64 KiB, and then no DEFLATE", zip(deflated(kib64+"x", 9) + "\x06"), refused(1009)},
		{"16 MiB once inflated", zip(bomb()), refused(1009)},
		{"64 KiB in blocks without compression, more as it came", zip(deflated(kib64, 0)), refused(1009)},
	}
}

// withDeflate is how a connection begins on which permessage-deflate was agreed.
var withDeflate = session.Inbound{Deflate: true}

func TestInboundInflates(t *testing.T) {
	for _, c := range deflateCases() {
		t.Run(c.name, func(t *testing.T) {
			if g := feedTo(t, withDeflate, c.stream); !g.equal(c.want) {
				t.Fatalf("whole:\ngot  %v\nwant %v", g, c.want)
			}
			if len(c.stream) < 100_000 {
				if g := feedTo(t, withDeflate, c.stream, everyByte(len(c.stream))...); !g.equal(c.want) {
					t.Fatalf("byte by byte:\ngot  %v\nwant %v", g, c.want)
				}
			}
			rapid.Check(t, func(rt *rapid.T) {
				ends := anySplit(rt, len(c.stream))
				if g := feedTo(rt, withDeflate, c.stream, ends...); !g.equal(c.want) {
					rt.Fatalf("split at %v:\ngot  %v\nwant %v", ends, g, c.want)
				}
			})
		})
	}
}

// Where deflate was agreed on, whatever is not compressed is read as elsewhere.
func TestInboundWithDeflateReadsThePlain(t *testing.T) {
	for _, c := range cases() {
		if strings.HasPrefix(c.name, "5.2 reserved bit 1") {
			continue // means something now
		}
		if g := feedTo(t, withDeflate, c.stream); !g.equal(c.want) {
			t.Errorf("%s:\ngot  %v\nwant %v", c.name, g, c.want)
		}
	}
}

// A message compressed in whatever way, as blocks of any kind, is what it was.
func TestInboundInflatesAnyBlocks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var message, blocks string
		for range rapid.IntRange(0, 8).Draw(rt, "parts") {
			part := rapid.StringN(0, 40, -1).Draw(rt, "part")
			part = strings.Repeat(part, rapid.IntRange(0, 60).Draw(rt, "times"))
			if len(message)+len(part) > 60<<10 {
				break
			}
			if message += part; rapid.Bool().Draw(rt, "last") {
				blocks += finished(part)
			} else {
				blocks += deflated(part, rapid.IntRange(-2, 9).Draw(rt, "level")) + "\x00\x00\xff\xff"
			}
		}
		blocks += "\x00"
		if len(blocks) > 64<<10 {
			rt.Skip("longer than a message may be")
		}
		data := frame(packed|1, blocks[:len(blocks)/2])
		data = append(data, frame(fin, blocks[len(blocks)/2:])...)
		if g, want := feedTo(rt, withDeflate, data, anySplit(rt, len(data))...), read("1 "+message); !g.equal(want) {
			rt.Fatalf("got  %v\nwant %v", g, want)
		}
	})
}

// A block may refer to what came before one that said it was the last: the window
// is the message's.
func TestInboundInflatesAcrossALastBlock(t *testing.T) {
	var b bytes.Buffer
	w, err := flate.NewWriterDict(&b, 9, []byte("Hello, Hello"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("Hello, Hello")); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	second := strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
	if g, alone := feedTo(t, withDeflate, frame(fin|packed|1, second)), refused(1007); !g.equal(alone) {
		t.Fatalf("alone: got %v, want %v", g, alone)
	}
	g := feedTo(t, withDeflate, frame(fin|packed|1, finished("Hello, Hello")+second))
	if want := read("1 Hello, HelloHello, Hello"); !g.equal(want) {
		t.Errorf("got %v, want %v", g, want)
	}
}

// What is inflated is kept by nobody: a session holds what came, and what one
// message costs is given back to all.
func TestInflatingKeepsNothing(t *testing.T) {
	if size := unsafe.Sizeof(session.Inbound{}); size > 56 {
		t.Errorf("an Inbound has %d bytes, as it had without deflate: 56", size)
	}
	for name, data := range map[string][]byte{
		"64 KiB": frame(fin|packed|1, deflated(kib64, 9)),
		"bomb":   frame(fin|packed|1, bomb()),
	} {
		buf := make([]byte, len(data))
		in := session.Inbound{Deflate: true}
		n := testing.AllocsPerRun(50, func() {
			copy(buf, data)
			var broken *session.ProtocolError
			if err := in.Feed(buf, ignore); err != nil && (!errors.As(err, &broken) || broken.Code != 1009) {
				t.Error(err)
			}
		})
		if n > 6 || in.Buffered() != 0 {
			t.Errorf("%s: %v allocations, %d bytes kept", name, n, in.Buffered())
		}
	}
}

// manyTables is as many blocks as fit in 16 KiB that say nothing and each bring
// Huffman codes of their own (RFC 1951, 3.2.7), in 90 bits.
func manyTables() string {
	var b []byte
	bits := 0
	put := func(value, n int) {
		for i := range n {
			if bits%8 == 0 {
				b = append(b, 0)
			}
			b[bits/8] |= byte(value>>i&1) << (bits % 8)
			bits++
		}
	}
	for bits < 16<<13-100 {
		put(0b100, 3)    // not the last, dynamic codes
		put(0, 5)        // 257 literals
		put(0, 5)        // 1 distance
		put(14, 4)       // 18 lengths of codes follow
		put(0, 6)        // 16, 17
		put(1, 3)        // 18: many zeros, code 1
		put(0, 14*3)     // 0, and 8 to 14
		put(1, 3)        // a length of 1: code 0
		put(1|127<<1, 8) // 138 zeros
		put(1|107<<1, 8) // 118 zeros
		put(0, 1)        // a length of 1: the end of the block
		put(0, 1)        // a length of 1: the distance
		put(0, 1)        // the end of the block
	}
	put(0, 3)
	return string(b)
}

// What a message can cost, at most: an event loop does nothing else meanwhile.
func BenchmarkInflate(b *testing.B) {
	for name, blocks := range map[string]string{
		"ping": deflated(`{"type":"ping"}`, 9), "64KiB": deflated(kib64, 9), "noise": deflated(noise(16<<10), 9),
		"tables": manyTables(), "empty": strings.Repeat("\x00\x00\x00\xff\xff", 3_200) + "\x00",
	} {
		data := frame(fin|packed|2, blocks)
		b.Run(name, func(b *testing.B) {
			buf := bytes.Clone(data)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			in := session.Inbound{Deflate: true}
			for b.Loop() {
				copy(buf, data) // Feed unmasks in place
				if err := in.Feed(buf, ignore); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
