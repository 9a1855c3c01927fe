package edge_test

import (
	"fmt"
	"strings"
	"testing"
)

// closeHandling: RFC 6455, 5.5.1, 7.1 and 7.4.
func closeHandling() (table []exchange) {
	const hello = "Hello World!"
	bye := closing(1000, "")
	stars := strings.Repeat("*", 124)
	ends := func(name string, code int, send []byte, want ...string) {
		table = append(table, exchange{name, send, want, code})
	}
	ends("7.1.1/text, close", 1000, all(text(hello), bye), "text "+hello)
	ends("7.1.2/two closes", 1000, all(bye, frame(fin|8, "")))
	ends("7.1.3/close, ping", 1000, all(bye, ping("")))
	ends("7.1.4/close, text", 1000, all(bye, text(hello)))
	ends("7.1.5/a fragment, close, a fragment", 1000, all(frame(1, "fragment1"), bye, frame(fin, "fragment2")))
	ends("7.1.6/64 KiB, text, close, ping", 1000, all(text(stars[:100]+strings.Repeat("*", 64<<10-100)), text(hello), bye, ping("")),
		"text "+strings.Repeat("*", 64<<10), "text "+hello)
	ends("7.1.7/close, what breaks every rule", 1000, append(bye, "\xff\xff\xff\xff\xff\xff\xff\xff"...))
	ends("7.1.8/what breaks a rule, close", 1002, all(frame(fin|rsv2|1, ""), bye))
	ends("7.3.1/no body", 1000, frame(fin|8, ""))
	ends("7.3.2/a body of one byte", 1002, frame(fin|8, "a"))
	ends("7.3.3/a code", 1000, bye)
	ends("7.3.4/a code and a reason", 1000, closing(1000, hello))
	ends("7.3.5/a reason of 123", 1000, closing(1000, stars[:123]))
	ends("7.3.6/a reason of 124", 1002, closing(1000, stars))
	ends("7.5.1/a reason that is not UTF-8", 1007, closing(1000, badKosme))
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999, 1012, 1013, 1014} {
		ends(fmt.Sprintf("7.7.%d/%d", i+1, code), code, closing(code, ""))
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 1, 1015} {
		ends(fmt.Sprintf("7.9.%d/%d", i+1, code), 1002, closing(code, ""))
		ends(fmt.Sprintf("7.9.%d/%d with a reason", i+1, code), 1002, closing(code, "because"))
	}
	ends("7.13.1/5000, which the RFC says nothing of", 1002, closing(5000, ""))
	ends("7.13.2/65535", 1002, closing(65535, ""))
	return table
}

// limits: RFC 6455, 10.4, and Autobahn's sections 9 and 10 within it.
func limits() (table []exchange) {
	const most = 64 << 10
	stars, bytes := strings.Repeat("*", most+1), strings.Repeat("\xfe", most+1)
	for i, size := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 32 << 10, 64 << 10} {
		table = append(table,
			echoes(fmt.Sprintf("9.3.%d/64 KiB of text in fragments of %d", i+1, size), fragments(1, stars[:most], size), "text "+stars[:most]),
			echoes(fmt.Sprintf("9.4.%d/64 KiB of bytes in fragments of %d", i+1, size), fragments(2, bytes[:most], size), "binary "+bytes[:most]),
			exchange{fmt.Sprintf("9.3.%d/a byte more of text", i+1), fragments(1, stars, size), nil, 1009},
			exchange{fmt.Sprintf("9.4.%d/a byte more of bytes", i+1), fragments(2, bytes, size), nil, 1009})
	}
	for i, size := range []int{0, 16, 64, 256, 1 << 10, 4 << 10} {
		var send []byte
		var want []string
		for range 1000 {
			send, want = append(send, text(stars[:size])...), append(want, "text "+stars[:size])
		}
		table = append(table, echoes(fmt.Sprintf("9.7.%d/1000 texts of %d", i+1, size), send, want...))
	}
	return append(table,
		exchange{"9.1.2/256 KiB of text", text(strings.Repeat("*", 256<<10)), nil, 1009},
		exchange{"9.2.6/16 MiB of bytes", binaryFrame(strings.Repeat("\xfe", 16<<20)), nil, 1009},
		exchange{"9.3.9/4 MiB of text in fragments of 64", fragments(1, strings.Repeat("*", 4<<20), 64), nil, 1009},
		echoes("10.1.1/64 KiB of text in fragments of 1300", fragments(1, stars[:most], 1300), "text "+stars[:most]),
	)
}

// TestConformanceInChops: Autobahn 9.5 and 9.6, one frame in writes of a few bytes.
func TestConformanceInChops(t *testing.T) {
	m := newEcho(t)
	stars := strings.Repeat("*", 64<<10)
	for i, chop := range []int{64, 128, 256, 512, 1 << 10, 2 << 10} {
		t.Run(fmt.Sprintf("9.5.%d/chops of %d", i+1, chop), func(t *testing.T) {
			e := echoes("", all(text(stars), binaryFrame(stars)), "text "+stars, "binary "+stars)
			if err := e.hold(m.talk(t, ""), chop); err != nil {
				t.Error(err)
			}
		})
	}
}
