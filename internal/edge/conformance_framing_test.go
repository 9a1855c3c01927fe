package edge_test

import (
	"fmt"
	"strings"
)

const noText = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"

// framing: RFC 6455, 5.2 and 5.3.
func framing() (table []exchange) {
	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
		stars, bytes := strings.Repeat("*", n), strings.Repeat("\xfe", n)
		table = append(table,
			echoes(fmt.Sprintf("1.1.%d/text of %d", i+1, n), text(stars), "text "+stars),
			echoes(fmt.Sprintf("1.2.%d/binary of %d", i+1, n), binaryFrame(bytes), "binary "+bytes))
	}
	hello := "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" // RFC 6455, 5.7
	return append(table,
		echoes("1.3.1/the RFC's masked Hello", []byte(hello), "text Hello"),
		echoes("1.3.2/a mask of zeros", []byte("\x81\x85\x00\x00\x00\x00Hello"), "text Hello"),
		echoes("1.3.3/another mask for each frame", all([]byte(hello), text("Hello")), "text Hello", "text Hello"),
		fails("1.3.4/not masked (5.1)", []byte("\x81\x05Hello")),
		fails("1.3.5/not masked and empty (5.1)", []byte("\x81\x00")),
		fails("1.3.6/a ping not masked (5.1)", []byte("\x89\x00")),
		fails("1.3.7/not masked after a good one (5.1)", all(text("a"), []byte("\x81\x05Hello")), "text a"),
		fails("1.4.1/0 in 16 bits", []byte("\x81\xfe\x00\x00\x01\x02\x03\x04")),
		fails("1.4.2/125 in 16 bits", append([]byte("\x81\xfe\x00\x7d\x00\x00\x00\x00"), strings.Repeat("*", 125)...)),
		fails("1.4.3/126 in 64 bits", append([]byte("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x7e\x00\x00\x00\x00"), strings.Repeat("*", 126)...)),
		fails("1.4.4/65535 in 64 bits", []byte("\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00")),
		fails("1.4.5/the highest bit of 64", []byte("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")),
		exchange{"1.4.6/2^63-1 announced (10.4)", []byte("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), nil, 1009},
		exchange{"1.4.7/65537 announced (10.4)", []byte("\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00"), nil, 1009},
	)
}

// pings: RFC 6455, 5.5.2 and 5.5.3.
func pings() []exchange {
	long := strings.Repeat("\xfe", 125)
	var ten []byte
	var pongs []string
	for i := range 10 {
		payload := fmt.Sprint("payload-", i)
		ten, pongs = append(ten, ping(payload)...), append(pongs, "pong "+payload)
	}
	pong := frame(fin|10, "unsolicited pong payload")
	return []exchange{
		echoes("2.1/an empty ping", ping(""), "pong "),
		echoes("2.2/a ping with text", ping("Hello, world!"), "pong Hello, world!"),
		echoes("2.3/a ping with bytes", ping(noText), "pong "+noText),
		echoes("2.4/a ping of 125", ping(long), "pong "+long),
		fails("2.5/a ping of 126 (5.5)", ping(long+"\xfe")),
		echoes("2.7/an empty pong nobody asked for", frame(fin|10, "")),
		echoes("2.8/a pong nobody asked for", pong),
		echoes("2.9/that, and a ping", all(pong, ping("ping payload")), "pong ping payload"),
		echoes("2.10/ten pings", ten, pongs...),
		fails("2.12/a pong of 126 (5.5)", frame(fin|10, long+"\xfe")),
		fails("2.13/a ping in 64 KiB, announced (5.5)", []byte("\x89\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00")),
	}
}

// reservedBits: RFC 6455, 5.2, without an extension.
func reservedBits() []exchange {
	const hello = "Hello, world!"
	return []exchange{
		fails("3.1/text with RSV3", frame(fin|rsv3|1, hello)),
		fails("3.2/text, text with RSV2, ping", all(text(hello), frame(fin|rsv2|1, hello), ping("")), "text "+hello),
		fails("3.3/text, text with RSV2 and 3, ping", all(text(hello), frame(fin|rsv2|rsv3|1, hello), ping("")), "text "+hello),
		fails("3.4/text, text with RSV1, ping", all(text(hello), frame(fin|rsv1|1, hello), ping("")), "text "+hello),
		fails("3.5/binary with RSV1 and 3", frame(fin|rsv1|rsv3|2, noText)),
		fails("3.6/ping with RSV1 and 2", frame(fin|rsv1|rsv2|9, hello)),
		fails("3.7/close with all three", frame(fin|rsv1|rsv2|rsv3|8, "")),
		fails("3.8/a continuation with RSV1", all(frame(1, "a"), frame(fin|rsv1, "b"))),
	}
}

// opcodes: RFC 6455, 5.2, those that are reserved.
func opcodes() (table []exchange) {
	for i, first := range []byte{3, 11} {
		for j := range byte(5) {
			op := first + j
			number := fmt.Sprintf("4.%d.%d", i+1, j+1)
			table = append(table,
				fails(fmt.Sprintf("%s/opcode %d, empty", number, op), frame(fin|op, "")),
				fails(fmt.Sprintf("%s/opcode %d", number, op), frame(fin|op, "reserved opcode payload")),
				fails(fmt.Sprintf("%s/text, opcode %d, ping", number, op), all(text("a"), frame(fin|op, "b"), ping("")), "text a"),
				fails(fmt.Sprintf("%s/opcode %d in fragments", number, op), frame(op, "a")))
		}
	}
	return table
}

// fragmentation: RFC 6455, 5.4.
func fragmentation() []exchange {
	one, two := frame(1, "fragment1"), frame(fin, "fragment2")
	both := "text fragment1fragment2"
	five := func(between ...[]byte) []byte {
		return all(one, frame(0, "fragment2"), between[0], frame(0, "fragment3"), frame(0, "fragment4"), between[1], frame(fin, "fragment5"))
	}
	whole := "text fragment1fragment2fragment3fragment4fragment5"
	twice := func(b []byte) []byte { return all(b, b) }
	return []exchange{
		fails("5.1/a ping in two fragments (5.5)", all(frame(9, "fragment1"), two)),
		fails("5.2/a pong in two fragments (5.5)", all(frame(10, "fragment1"), two)),
		echoes("5.3/text in two fragments", all(one, two), both),
		echoes("5.6/fragmented text with a ping in between", all(one, ping("ping payload"), two), "pong ping payload", both),
		echoes("5.6/fragmented binary with a pong in between", all(frame(2, "\xff"), frame(fin|10, ""), frame(fin, "\xfe")), "binary \xff\xfe"),
		fails("5.9/a last continuation of nothing, text", all(frame(fin, "non-continuation payload"), text("Hello, world!"))),
		fails("5.12/a continuation of nothing, text", all(frame(0, "non-continuation payload"), text("Hello, world!"))),
		fails("5.15/fragmented text, a continuation of nothing, text", all(one, two, frame(0, "fragment3"), text("fragment4")), both),
		fails("5.16/a continuation of nothing, fragmented text, twice", twice(all(frame(0, "fragment1"), frame(1, "fragment2"), frame(fin, "fragment3")))),
		fails("5.17/a last continuation of nothing, fragmented text, twice", twice(all(frame(fin, "fragment1"), frame(1, "fragment2"), frame(fin, "fragment3")))),
		fails("5.18/text in two fragments of opcode 1", all(one, frame(fin|1, "fragment2"))),
		echoes("5.19/five fragments with pings in between", five(ping("pongme 1!"), ping("pongme 2!")), "pong pongme 1!", "pong pongme 2!", whole),
		echoes("5.20/five fragments with two pings at once", five(all(ping("1"), ping("2")), ping("3")), "pong 1", "pong 2", "pong 3", whole),
		echoes("5.21/a message behind a fragmented one", all(one, two, one, two, text("x")), both, both, "text x"),
		echoes("5.22/fragments of nothing", all(frame(2, ""), frame(0, ""), frame(fin, "")), "binary "),
		fails("5.23/binary inside a fragmented text", all(one, binaryFrame("x"))),
		fails("5.24/a close in fragments (5.5)", frame(8, "\x03\xe8")),
		{"5.25/a close inside a fragmented text (5.5.1)", all(one, closing(1001, "")), nil, 1001},
	}
}
