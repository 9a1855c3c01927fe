package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sys/unix"
)

// everybody is signed in, and the log is out of reach.
type everybody struct{}

func (everybody) Verify(context.Context, string) (auth.Identity, error) {
	return auth.Identity{UID: "u", Expires: time.Now().Add(time.Hour)}, nil
}

func (e everybody) VerifyNow(string) (auth.Identity, error) {
	return e.Verify(context.Background(), "")
}

func (everybody) Page(context.Context, wire.PageRequest) (wire.Page, error) {
	return wire.Page{}, wire.ErrUnavailable
}

func (everybody) NewestUpTo(context.Context, []wire.Audience, wire.Cursor, int) ([]wire.Entry, error) {
	return nil, wire.ErrUnavailable
}

func (everybody) State(context.Context) ([]wire.LogState, error) {
	return nil, wire.ErrUnavailable
}

// bench is a loop that the test turns by hand, with one client at the other end of
// a pair of sockets.
type bench struct {
	*loop
	peer int    // the client's socket
	got  []byte // what the client has read
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	e, err := New(Config{Loops: 1}, everybody{}, everybody{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		tb.Fatal(err)
	}
	e.Begin([]uint64{1}, wire.Vector{0})
	ctx, cancel := context.WithCancel(context.Background())
	e.work, e.reads = newPool(ctx, 1, 64), newPool(ctx, 1, 64)
	tb.Cleanup(func() {
		cancel()
		e.work.wait()
		e.reads.wait()
		e.closePollers()
	})
	return &bench{loop: e.loops[0]}
}

// connect gives the loop a client that sends a request to upgrade.
func (b *bench) connect(t *testing.T, deflate bool) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.peer, b.got = fds[1], nil
	b.post(message{kind: msgConn, conn: arrival{fd: fds[0], passed: true}})
	request := "GET /api/v1/ws?token=u&topics=a HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if deflate {
		request += "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	b.write(t, []byte(request+"\r\n"))
	for turns := 0; b.edge.Sessions() == 0; turns++ {
		if b.turns(t, 1); turns > 100 {
			t.Fatal("no session after 100 turns")
		}
	}
}

// write sends what the loop takes in; a socket that is full is emptied by turns.
func (b *bench) write(t *testing.T, data []byte) {
	for turns := 0; len(data) > 0; turns++ {
		n, err := netloop.Write(b.peer, data)
		if err != nil && !errors.Is(err, netloop.ErrAgain) {
			return // the loop has closed its end
		}
		if data = data[max(n, 0):]; len(data) > 0 {
			if b.turns(t, 1); turns > 1000 {
				t.Fatal("the loop does not read")
			}
		}
	}
}

// turns turns the loop and checks what the session keeps.
func (b *bench) turns(t *testing.T, n int) {
	for range n {
		b.poller.Wake() // so that it does not wait
		if err := b.turn(); err != nil {
			t.Fatal(err)
		}
		for slot := range b.conns.high {
			switch c := b.conns.at(slot); {
			case c.state == stateFree || c.more == nil:
			case c.more.in.Buffered() > 2*80<<10: // append makes a slice up to a quarter larger
				t.Fatalf("%d bytes of frames are kept", c.more.in.Buffered())
			case len(c.more.out) > maxOut+pageBytes+64<<10:
				t.Fatalf("%d bytes are kept for a client that does not read", len(c.more.out))
			case len(c.more.topics) > wire.MaxTopics:
				t.Fatalf("%d topics", len(c.more.topics))
			}
		}
	}
}

// read empties the client's socket.
func (b *bench) read() (ended bool) {
	var buf [16 << 10]byte
	for {
		n, err := netloop.Read(b.peer, buf[:])
		if errors.Is(err, netloop.ErrAgain) {
			return false
		}
		if err != nil || n == 0 {
			return true
		}
		b.got = append(b.got, buf[:n]...)
	}
}

// finish ends the client's side: the loop lets go of the session, whatever it was.
func (b *bench) finish(t *testing.T) {
	if err := unix.Shutdown(b.peer, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	for turns := 0; ; turns++ {
		ended := b.read()
		if b.edge.Sessions() == 0 && ended {
			break
		}
		if b.turns(t, 1); turns > 1000 {
			t.Fatalf("%d sessions 1000 turns after the client's end; the stream has ended: %t", b.edge.Sessions(), ended)
		}
	}
	netloop.CloseFD(b.peer)
	if len(b.conns.free) != int(b.conns.high) {
		t.Fatalf("%d of %d slots are free", len(b.conns.free), b.conns.high)
	}
}

// legal reports whether a close frame may have a code (RFC 6455, 7.4, and 1012 to
// 1014, which were registered later): a client's own is sent back to it.
func legal(code ws.StatusCode) bool {
	return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006) || code >= 3000 && code <= 4999
}

// checkWords checks all that a server has said after its answer to the upgrade: frames
// by the rules, and nothing behind a close frame. A frame that was cut is only allowed
// to a client that did not read.
func checkWords(t *testing.T, all []byte) {
	answer, frames, found := bytes.Cut(all, endOfHeader)
	if !found || !bytes.HasPrefix(answer, []byte("HTTP/1.1 101 ")) {
		t.Fatalf("answered with %.200q", all)
	}
	r := bytes.NewReader(frames)
	for first := true; r.Len() > 0; first = false {
		h, err := ws.ReadHeader(r)
		if errors.Is(err, io.ErrUnexpectedEOF) || err == nil && int64(r.Len()) < h.Length {
			return // it was dropped with the rest unsent
		}
		payload := make([]byte, h.Length)
		r.Read(payload) //nolint:errcheck // so many are there
		h, packed, unsetErr := wsflate.UnsetBit(h)
		if err := errors.Join(err, unsetErr, ws.CheckHeader(h, ws.StateClientSide)); err != nil || !h.Fin || h.Masked {
			t.Fatalf("frame %+v: %v", h, err)
		}
		switch {
		case h.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			if !legal(code) || !utf8.ValidString(reason) || r.Len() > 0 {
				t.Fatalf("close %d %q with %d bytes behind it", code, reason, r.Len())
			}
		case h.OpCode == ws.OpText && !packed:
			var f struct{ Type string }
			if err := json.Unmarshal(payload, &f); err != nil || f.Type == "" || first && f.Type != wire.FrameHello {
				t.Fatalf("text %q: %v", payload, err)
			}
		}
	}
}

// client makes a client's frame with a mask of zeros, so that what the fuzzer changes
// is what is read.
func client(first byte, payload string) string {
	h := ws.Header{Fin: first&0x80 != 0, Rsv: first >> 4 & 7, OpCode: ws.OpCode(first & 0xf), Masked: true, Length: int64(len(payload))}
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, h); err != nil {
		panic(err)
	}
	return b.String() + payload
}

// FuzzSession: whatever bytes a client sends to a live session, cut anywhere, it is
// live after them or was closed with a legal code, keeps no more than its bounds, and
// leaves nothing behind.
func FuzzSession(f *testing.F) {
	for i, s := range []string{
		client(0x81, `{"type":"ping"}`) + client(0x89, "p") + client(0x8a, ""),
		client(0x81, `{"type":"subscribe","topic":"b"}`) + client(0x81, `{"type":"unsubscribe","topic":"a"}`),
		client(0x81, `{"type":"auth","token":"u"}`) + client(0x88, "\x03\xe8bye") + client(0x81, "after"),
		client(0x01, `{"ty`) + client(0x89, "p") + client(0x00, `pe":"pi`) + client(0x80, `ng"}`),
		client(0x81, `{"type":"dance"}`) + client(0x82, "\xff") + client(0x81, "\xff"),
		client(0xc1, "\xaa\x56\x2a\xa9\x2c\x48\x55\xb2\x52\x2a\xc8\xcc\x4b\x57\xaa\x05\x00") + client(0xc1, "\x06"),
		client(0x88, "\x0f\xa0") + client(0xff, ""), client(0x88, "\x03\xed"), client(0x88, "x"),
		"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", "\x81\x05Hello", client(0x01, "") + client(0x01, ""),
	} {
		f.Add([]byte(s), uint64(i), i%2 == 0)
	}
	for i := range 3 { // more frames than a client may send, and more than one read takes
		f.Add(bytes.Repeat([]byte(client(0x89, "ping")), 30<<i), uint64(i), false)
	}
	b := newBench(f)
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, deflate bool) {
		random := rand.New(rand.NewPCG(seed, 1))
		b.connect(t, deflate)
		reads := random.IntN(4) > 0 // some clients do not
		for rest := data; len(rest) > 0; {
			n := min(1+random.IntN(1+len(rest)), len(rest))
			b.write(t, rest[:n])
			rest = rest[n:]
			b.turns(t, random.IntN(3))
			if reads {
				b.read()
			}
		}
		b.turns(t, 2)
		b.finish(t)
		checkWords(t, b.got)
	})
}

// TestSessionsThatDoNotRead: one that sends as much as it may and reads nothing holds
// no more than its bounds, and then ends.
func TestSessionsThatDoNotRead(t *testing.T) {
	b := newBench(t)
	for _, deflate := range []bool{false, true} {
		b.connect(t, deflate)
		frame := []byte(client(0x81, `{"type":"subscribe","topic":"`+string(bytes.Repeat([]byte("x"), 100))+`"}`))
		for range 2000 {
			b.write(t, frame)
		}
		b.turns(t, 10)
		b.finish(t)
		checkWords(t, b.got)
	}
}

// TestNothingFollowsAClose: also where the close frame waits for room in the socket,
// and the client has sent more behind its own (RFC 6455, 5.5.1).
func TestNothingFollowsAClose(t *testing.T) {
	b := newBench(t)
	b.edge.Echo()
	b.connect(t, false)
	message := []byte(client(0x82, string(bytes.Repeat([]byte("x"), 16<<10))))
	full := func() bool {
		for slot := range b.conns.high {
			if c := b.conns.at(slot); c.state == stateLagging && len(c.more.out) > 0 {
				return true
			}
		}
		return false
	}
	for sent := 0; !full(); sent++ {
		b.write(t, message)
		if b.turns(t, 1); sent > 1000 {
			t.Fatal("the client's socket never fills")
		}
	}
	b.write(t, []byte(client(0x88, "\x03\xe8")+client(0x89, "ping")+client(0x82, "x")))
	b.turns(t, 2)
	for turns := 0; !b.read(); turns++ { // until the server has ended its side
		if b.turns(t, 1); turns > 1000 {
			t.Fatal("the server does not end its side")
		}
	}
	b.finish(t)
	checkWords(t, b.got)
	if end := []byte("\x88\x05\x03\xe8bye"); !bytes.HasSuffix(b.got, end) {
		t.Errorf("the last bytes are %q, want the close frame %q", b.got[len(b.got)-len(end):], end)
	}
}
