package edge_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/socialvibes/vibemesh/internal/edge"
)

// inflated undoes permessage-deflate (RFC 7692, 7.2.2).
func inflated(message []byte) ([]byte, error) {
	tail := []byte("\x00\x00\xff\xff\x01\x00\x00\xff\xff")
	return io.ReadAll(flate.NewReader(bytes.NewReader(append(message, tail...))))
}

// packer compresses for all cases, one after the other: a compressor is large.
var packer = sync.OnceValue(func() *flate.Writer {
	w, err := flate.NewWriter(nil, flate.DefaultCompression)
	if err != nil {
		panic(err)
	}
	return w
})

// deflated compresses a message (RFC 7692, 7.2.1).
func deflated(message string) string {
	var b bytes.Buffer
	w := packer()
	w.Reset(&b)
	_, err := io.WriteString(w, message)
	if err = errors.Join(err, w.Flush()); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// jsonText is size bytes of what Autobahn's section 12 sends: JSON that repeats itself,
// and differs.
func jsonText(size, number int) string {
	var b []byte
	for i := 0; len(b) < size; i++ {
		b = fmt.Appendf(b, `{"id":%d,"type":"toast","title":"number %x"}`, number<<16+i, i*i)
	}
	return string(b[:size])
}

const offerDeflate = "permessage-deflate; client_max_window_bits" // as browsers do

// deflateMessages: Autobahn's section 12, messages of many sizes, some in fragments.
func deflateMessages() (table []exchange) {
	for i, size := range []struct{ bytes, count, fragment int }{
		{16, 1000, 0},
		{64, 1000, 0},
		{256, 1000, 0},
		{1 << 10, 1000, 0},
		{4 << 10, 200, 0},
		{8 << 10, 100, 0},
		{16 << 10, 50, 0},
		{32 << 10, 25, 0},
		{64 << 10, 10, 0},
		{8 << 10, 100, 256},
		{16 << 10, 50, 256},
		{32 << 10, 25, 256},
		{64 << 10, 10, 256},
		{64 << 10, 10, 1 << 10},
		{64 << 10, 10, 4 << 10},
	} {
		var send []byte
		var want []string
		for n := range size.count {
			message := jsonText(size.bytes, n)
			packed := deflated(message)
			cut := size.fragment
			if cut == 0 {
				cut = len(packed)
			}
			send, want = append(send, fragments(rsv1|1, packed, cut)...), append(want, "text "+message)
		}
		table = append(table, echoes(fmt.Sprintf("12.1.%d/%d of %d in fragments of %d", i+1, size.count, size.bytes, size.fragment), send, want...))
	}
	return append(table,
		exchange{"12.1.10/128 KiB", frame(fin|rsv1|1, deflated(jsonText(128<<10, 1))), nil, 1009},
		exchange{"12.1.15/128 KiB in fragments of 256", fragments(rsv1|1, deflated(jsonText(128<<10, 1)), 256), nil, 1009},
		echoes("12.2/binary", frame(fin|rsv1|2, deflated(noText)), "binary "+noText),
		echoes("12.3/in turn with what is not compressed", all(text("a"), frame(fin|rsv1|1, deflated("b")), text("c")), "text a", "text b", "text c"),
	)
}

// deflateRules: RFC 7692, 6 and 7.2.
func deflateRules() []exchange {
	const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00" // 7.2.3.1
	zip := func(s string) []byte { return frame(fin|rsv1|1, s) }
	return []exchange{
		echoes("7.2.3.1/a compressed Hello", zip(hello), "text Hello"),
		echoes("7.2.3.1/in two fragments", all(frame(rsv1|1, hello[:3]), frame(fin, hello[3:])), "text Hello"),
		echoes("7.2.3.1/a ping in between", all(frame(rsv1|1, hello[:3]), ping("p"), frame(fin, hello[3:])), "pong p", "text Hello"),
		echoes("7.2.3.3/a block without compression", zip("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), "text Hello"),
		echoes("7.2.3.4/a block that is the last", zip("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "text Hello"),
		echoes("7.2.3.5/two blocks", zip("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "text Hello"),
		echoes("7.2.3.6/nothing, compressed", zip("\x00"), "text "),
		{"7.2.3.2/a context that was not to be kept", all(zip(hello), zip("\xf2\x00\x11\x00\x00")), []string{"text Hello"}, 1007},
		{"7.2.2/what is no DEFLATE", zip("\x06"), nil, 1007},
		{"7.2.2/text that is not UTF-8 (6455, 8.1)", zip(deflated(badKosme)), nil, 1007},
		{"7.2.2/32 MiB in 32 KiB (6455, 10.4)", zip(deflated(strings.Repeat("*", 32<<20))), nil, 1009},
		fails("6/a continuation with RSV1", all(frame(rsv1|1, hello[:3]), frame(fin|rsv1, hello[3:]))),
		fails("6/a ping with RSV1", frame(fin|rsv1|9, "")),
		fails("6/a close with RSV1", frame(fin|rsv1|8, "")),
		fails("6/RSV1 and RSV2", frame(fin|rsv1|rsv2|1, hello)),
		fails("6/RSV3", frame(fin|rsv3|1, "a")),
	}
}

// TestConformanceDeflate also runs what is not compressed where it may be.
func TestConformanceDeflate(t *testing.T) {
	m := newEcho(t)
	for _, table := range [][]exchange{
		deflateMessages(), deflateRules(), framing(), pings(), opcodes(), fragmentation(), utf8Handling(), closeHandling(),
	} {
		m.run(t, offerDeflate, table)
	}
}

// TestConformanceNegotiation: RFC 7692, 5 and 7.1 (Autobahn's section 13). Agreed on or
// declined, the session is there; what is agreed on is as the server answers.
func TestConformanceNegotiation(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	const agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, tt := range []struct{ name, offer, want string }{
		{"13.1/nothing else", "permessage-deflate", agreed},
		{"13.2/server_no_context_takeover", "permessage-deflate; server_no_context_takeover", agreed},
		{"13.2/client_no_context_takeover", "permessage-deflate; client_no_context_takeover", agreed},
		{"13.2/both", "permessage-deflate; client_no_context_takeover; server_no_context_takeover", agreed},
		{"13.3/client_max_window_bits", "permessage-deflate; client_max_window_bits", agreed},
		{"13.3/client_max_window_bits with a value", "permessage-deflate; client_max_window_bits=9", agreed},
		{"13.3/in quotes", `permessage-deflate; client_max_window_bits="9"`, agreed},
		{"13.4/a smaller window than ours", "permessage-deflate; server_max_window_bits=9", ""},
		{"13.4/that, and then without", "permessage-deflate; server_max_window_bits=9, permessage-deflate", agreed},
		{"13.5/our window", "permessage-deflate; server_max_window_bits=15", agreed + "; server_max_window_bits=15"},
		{"13.6/twice", "permessage-deflate, permessage-deflate", agreed},
		{"13.6/another extension before", "x-unknown, permessage-deflate", agreed},
		{"13.7/a parameter that nobody knows", "permessage-deflate; x-unknown", ""},
		{"13.7/a value where none may be", "permessage-deflate; server_no_context_takeover=1", ""},
		{"13.7/a parameter twice", "permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""},
		{"13.7/a window of 7 bits", "permessage-deflate; server_max_window_bits=7", ""},
		{"13.7/a window of 16 bits", "permessage-deflate; client_max_window_bits=16", ""},
		{"13.7/no number", "permessage-deflate; client_max_window_bits=many", ""},
		{"13.7/the server's window without a value", "permessage-deflate; server_max_window_bits", ""},
		{"13.8/another extension only", "x-webkit-deflate-frame", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := (&mesh{t: t, addr: m.addr}).raw()
			fmt.Fprintf(c, "GET /api/v1/ws?token=a HTTP/1.1\r\n%sSec-WebSocket-Extensions: %s\r\n\r\n", upgradeHead, tt.offer)
			br := bufio.NewReader(c)
			resp, err := http.ReadResponse(br, nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%+v %v, want the upgrade", resp, err)
			}
			got := resp.Header.Values("Sec-WebSocket-Extensions")
			if joined := strings.ReplaceAll(strings.Join(got, ","), ";s", "; s"); strings.ReplaceAll(joined, ";c", "; c") != tt.want {
				t.Errorf("agreed on %q, want %q", got, tt.want)
			}
			if op, payload := readFrame(t, br); op != 1 || !bytes.Contains(payload, []byte(`"hello"`)) {
				t.Errorf("got frame %d %q, want hello", op, payload)
			}
		})
	}
}
