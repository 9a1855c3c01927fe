package edge

import (
	"bytes"
	"io"
	"log/slog"
	"testing"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/wire"
)

var requestSeeds = []string{
	"GET /api/v1/ws?token=a&cursor=b&topics=a,b&replay=3 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://h\r\n" +
		"Sec-WebSocket-Protocol: vibemesh.v1, bearer.x\r\nAuthorization: Bearer y\r\n\r\n",
	"GET /api/v1/ws HTTP/1.1\r\nHost: h\r\n\r\n",
	"GET /api/v1/ws? HTTP/1.0\r\nupgrade:x\r\n\r\n",
	"GET /api/v1/wsx HTTP/1.1\r\n\r\n",
	"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET /api/v1/ws?%zz HTTP/1.1\r\nUpgrade\r\n: \r\nHost\r\n\r\n",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

// FuzzVerdict: bytes that come later never change a verdict, and no request is
// partial once its header has ended.
func FuzzVerdict(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s), 10)
	}
	f.Fuzz(func(t *testing.T, request []byte, cut int) {
		whole := verdict(request, 0, "/api/v1/ws")
		if cut >= 0 && cut < len(request) {
			part := verdict(request[:cut], 0, "/api/v1/ws")
			if part != requestPartial && part != whole {
				t.Fatalf("%q is %v, but %v after %d bytes", request, whole, part, cut)
			}
			if again := verdict(request, cut, "/api/v1/ws"); part == requestPartial && again != whole {
				t.Fatalf("%q is %v, but %v with %d bytes seen before", request, whole, again, cut)
			}
		}
		if whole == requestPartial && bytes.Contains(request, endOfHeader) {
			t.Fatalf("%q is partial although its header has ended", request)
		}
	})
}

// FuzzUpgrade: whatever is asked, the answer is one HTTP response, and what is
// accepted is an upgrade with parameters inside their limits.
func FuzzUpgrade(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s))
	}
	e, err := New(Config{Loops: 1}, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		f.Fatal(err)
	}
	e.Begin([]uint64{1}, wire.Vector{0})
	f.Cleanup(e.closePollers)
	f.Fuzz(func(t *testing.T, request []byte) {
		if verdict(request, 0, "/api/v1/ws") != requestUpgrade {
			return
		}
		answer, p, err := e.upgrade(request)
		if err != nil {
			if len(answer) > 0 && (!bytes.HasPrefix(answer, []byte("HTTP/1.1 ")) || bytes.HasPrefix(answer, []byte("HTTP/1.1 101"))) {
				t.Fatalf("refused with %q (%v)", answer, err)
			}
			return
		}
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) || !bytes.HasSuffix(answer, endOfHeader) {
			t.Fatalf("accepted with %q", answer)
		}
		if p.wrong == "" && (len(p.topics) > wire.MaxTopics || p.ask.Replay < 0 || p.ask.Replay > maxReplay) {
			t.Fatalf("accepted %+v", p)
		}
	})
}

// TestAppendFrames: the hand-made headers are those that gobwas/ws reads.
func TestAppendFrames(t *testing.T) {
	read := func(frame []byte) (ws.Header, []byte) {
		t.Helper()
		r := bytes.NewReader(frame)
		h, err := ws.ReadHeader(r)
		if err != nil || ws.CheckHeader(h, ws.StateClientSide) != nil || h.Masked || int64(r.Len()) != h.Length {
			t.Fatalf("%+v %v, with %d bytes behind it", h, err, r.Len())
		}
		return h, frame[len(frame)-r.Len():]
	}
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 100_000} {
		text := bytes.Repeat([]byte("x"), n)
		frame := appendText([]byte("before"), func(dst []byte) []byte { return append(dst, text...) })
		if h, payload := read(frame[len("before"):]); h.OpCode != ws.OpText || !h.Fin || !bytes.Equal(payload, text) {
			t.Errorf("%d bytes: %+v", n, h)
		}
	}
	_, payload := read(appendClose(nil, wire.CloseToken, string(bytes.Repeat([]byte("y"), 200))))
	if len(payload) != 125 { // RFC 6455, 5.5
		t.Errorf("a long reason makes a close frame of %d bytes", len(payload))
	}
}
