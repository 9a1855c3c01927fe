package edge_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const upgradeHead = "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// raw opens a TCP connection to the edge.
func (m *mesh) raw() net.Conn {
	m.t.Helper()
	c, err := net.Dial("tcp", m.addr)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	return c
}

// TestRefusals: what is refused before the upgrade, and what after it, where a
// browser can see why.
func TestRefusals(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, AllowedOrigins: []string{"https://app.example.com"}})
	for _, tt := range []struct {
		name, query, header string
		status, code        int
	}{
		{name: "no token", query: "", status: 101, code: wire.CloseToken},
		{name: "bad token", query: "token=bad", status: 101, code: wire.CloseToken},
		{name: "sign-in out of reach", query: "token=down", status: 101, code: wire.CloseUnavailable},
		{name: "bad replay", query: "token=a&replay=x", status: 101, code: wire.CloseBadRequest},
		{name: "bad topics", query: "token=a&topics=a,,b", status: 101, code: wire.CloseBadRequest},
		{name: "topics not UTF-8", query: "token=a&topics=%ff", status: 101, code: wire.CloseBadRequest},
		{name: "too many topics", query: "token=a&topics=" + manyTopics(65), status: 101, code: wire.CloseBadRequest},
		{name: "bad query", query: "token=%zz", status: 101, code: wire.CloseBadRequest},
		{name: "foreign origin", query: "token=a", header: "Origin: https://evil.example\r\n", status: 403},
		{name: "null origin", query: "token=a", header: "Origin: null\r\n", status: 403},
		{name: "same origin", query: "token=a", header: "Origin: https://h\r\n", status: 101},
		{name: "allowed origin", query: "token=a", header: "Origin: https://app.example.com\r\n", status: 101},
		{name: "token as bearer", query: "", header: "Authorization: Bearer a\r\n", status: 101},
		{name: "token as subprotocol", query: "", header: "Sec-WebSocket-Protocol: vibemesh.v1, bearer.a\r\n", status: 101},
		{name: "old version", query: "token=a", header: "Sec-WebSocket-Version: 8\r\n", status: 426},
		{name: "malformed header", query: "token=a", header: "no colon here\r\n", status: 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &mesh{t: t, addr: m.addr}
			c := m.raw()
			fmt.Fprintf(c, "GET /api/v1/ws?%s HTTP/1.1\r\n%s%s\r\n", tt.query, upgradeHead, tt.header)
			br := bufio.NewReader(c)
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status != 101 {
				return
			}
			op, payload := readFrame(t, br)
			switch {
			case tt.code == 0 && (op != 1 || !bytes.Contains(payload, []byte(`"hello"`))):
				t.Fatalf("got frame %d %q, want hello", op, payload)
			case tt.code != 0 && (op != 8 || int(binary.BigEndian.Uint16(payload)) != tt.code):
				t.Fatalf("got frame %d %q, want close %d", op, payload, tt.code)
			case tt.code != 0 && len(payload) < 5:
				t.Error("the close frame does not say why")
			}
		})
	}
}

func manyTopics(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("t", i)
	}
	return strings.Join(names, ",")
}

func readFrame(t *testing.T, r io.Reader) (op byte, payload []byte) {
	t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	n := int(head[1])
	if n == 126 {
		var long [2]byte
		if _, err := io.ReadFull(r, long[:]); err != nil {
			t.Fatal(err)
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		t.Fatal(err)
	}
	return head[0] & 0xf, payload
}

func TestThreshold(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, Threshold: 2})
	m.connect(client.Options{})
	second := m.connect(client.Options{})
	_, err := client.Dial(m.ctx(), client.Options{URL: m.url, Token: "alice"})
	if ue, ok := err.(*client.UpgradeError); !ok || ue.Status != 503 || ue.RetryAfter <= 0 { //nolint:errorlint // as it is
		t.Fatalf("got %v, want 503 with Retry-After", err)
	}
	second.Close(wire.CloseNormal)
	for m.edge.Sessions() > 1 {
		time.Sleep(time.Millisecond)
	}
	m.connect(client.Options{})
}

// TestBeforeTheTail: an edge that does not know the log yet sends clients away.
func TestBeforeTheTail(t *testing.T) {
	m := startEdge(t, &fakeLog{life: 7}, edge.Config{Loops: 1})
	_, err := client.Dial(m.ctx(), client.Options{URL: m.url, Token: "alice"})
	if ue, ok := err.(*client.UpgradeError); !ok || ue.Status != 503 { //nolint:errorlint // as it is
		t.Fatalf("got %v, want 503", err)
	}
}

// masked makes a client's frame.
func masked(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, 1, 2, 3, 4)
	for i, c := range payload {
		b = append(b, c^byte(i&3+1))
	}
	return b
}

// signIn upgrades on a raw connection and reads hello.
func (m *mesh) signIn(query string) (net.Conn, *bufio.Reader) {
	m.t.Helper()
	c := m.raw()
	fmt.Fprintf(c, "GET /api/v1/ws?%s HTTP/1.1\r\n%s\r\n", query, upgradeHead)
	br := bufio.NewReader(c)
	if _, err := http.ReadResponse(br, nil); err != nil {
		m.t.Fatal(err)
	}
	if op, payload := readFrame(m.t, br); op != 1 {
		m.t.Fatalf("got frame %d %q, want hello", op, payload)
	}
	return c, br
}

// TestBrokenFrames: each violation ends the session with the RFC's code, and
// says nothing to the sessions beside it.
func TestBrokenFrames(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	beside := m.connect(client.Options{})
	huge := binary.BigEndian.AppendUint64([]byte{0x81, 0x80 | 127}, 1<<62)
	for _, tt := range []struct {
		name  string
		bytes []byte
		code  int
	}{
		{"unmasked", []byte{0x81, 1, 'x'}, wire.CloseProtocol},
		{"reserved bits", masked(0xc1, []byte("x")), wire.CloseProtocol},
		{"reserved opcode", masked(0x83, nil), wire.CloseProtocol},
		{"continuation of nothing", masked(0x80, []byte("x")), wire.CloseProtocol},
		{"announces 2^62 bytes", huge, wire.CloseTooBig},
		{"65 KiB", masked(0x81, make([]byte, 65<<10)), wire.CloseTooBig},
		{"not UTF-8", masked(0x81, []byte{0xff}), wire.CloseInvalidText},
		{"binary", masked(0x82, []byte("x")), wire.CloseBinary},
		{"too many frames", bytes.Repeat(masked(0x8a, nil), 500), wire.CloseRateLimited},
		{"close is answered", masked(0x88, []byte{0x03, 0xe8}), wire.CloseNormal},
		{"wrong close code", masked(0x88, []byte{0x03, 0xed}), wire.CloseProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &mesh{t: t, addr: m.addr}
			c, br := m.signIn("token=mallory")
			if _, err := c.Write(tt.bytes); err != nil {
				t.Fatal(err)
			}
			op, payload := readFrame(t, br)
			if op != 8 || int(binary.BigEndian.Uint16(payload)) != tt.code {
				t.Fatalf("got frame %d %q, want close %d", op, payload, tt.code)
			}
			if tt.name == "65 KiB" {
				return // unread bytes may make it a reset
			}
			if n, err := br.Read(make([]byte, 1)); err == nil {
				t.Fatalf("%d bytes after the close frame", n)
			}
		})
	}
	m.publish(wire.Broadcast(), "still here")
	beside.wants("still here")
}

// TestFramesInPieces: a message that comes byte by byte, and in fragments with a
// ping between them, is one message.
func TestFramesInPieces(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	c, br := m.signIn("token=alice")
	text := []byte(`{"type":"ping"}`)
	var all []byte
	all = append(all, masked(0x01, text[:4])...)
	all = append(all, masked(0x89, []byte("p"))...)
	all = append(all, masked(0x80, text[4:])...)
	for _, b := range all {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if op, payload := readFrame(t, br); op != 0xa || string(payload) != "p" {
		t.Fatalf("got %d %q, want the pong", op, payload)
	}
	if op, payload := readFrame(t, br); op != 1 || !bytes.Contains(payload, []byte(`"pong"`)) {
		t.Fatalf("got %d %q, want the protocol's pong", op, payload)
	}
}

func TestUnknownClientFrame(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	p := m.connect(client.Options{})
	if err := p.Send(m.ctx(), wire.ClientFrame{Type: "dance"}); err != nil {
		t.Fatal(err)
	}
	if f, ok := p.next().(wire.Error); !ok || f.Code != wire.FrameErrUnknownType {
		t.Fatalf("got %+v, want an error frame", f)
	}
	p.quiet()
}

func TestTokenLife(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	p := m.connect(client.Options{Token: "alice@2s"})
	refreshed := m.connect(client.Options{Token: "alice@2s"})
	for _, tt := range []struct{ token, want string }{{"bad", wire.FrameError}, {"alice@1h", wire.FrameHello}} {
		if err := refreshed.Send(m.ctx(), wire.ClientFrame{Type: wire.FrameAuth, Token: tt.token}); err != nil {
			t.Fatal(err)
		}
		switch f := refreshed.next().(type) {
		case wire.Error:
			if tt.want != wire.FrameError || f.Code != wire.FrameErrToken {
				t.Fatalf("got %+v, want %s", f, tt.want)
			}
		case wire.Hello:
			if tt.want != wire.FrameHello || time.Until(time.Unix(f.Expires, 0)) < 50*time.Minute || f.Session != refreshed.hello.Session || f.Session == p.hello.Session {
				t.Fatalf("got %+v, want %s", f, tt.want)
			}
		}
	}
	p.closes(wire.CloseToken)
	refreshed.quiet() // outlives its first token

	if err := refreshed.Send(m.ctx(), wire.ClientFrame{Type: wire.FrameAuth, Token: "bob"}); err != nil {
		t.Fatal(err)
	}
	refreshed.closes(wire.CloseToken) // another user's
}

func TestPingAndIdle(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, PingInterval: time.Second})
	_, br := m.signIn("token=alice") // answers nothing
	if op, _ := readFrame(t, br); op != 9 {
		t.Fatalf("got frame %d, want a ping", op)
	}
	if op, payload := readFrame(t, br); op != 8 || int(binary.BigEndian.Uint16(payload)) != wire.CloseIdle {
		t.Fatalf("got frame %d %q, want close %d", op, payload, wire.CloseIdle)
	}
}

func TestSlowHeaders(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, HeaderTimeout: time.Second})
	c := m.raw()
	fmt.Fprint(c, "GET /api/v1/ws?token=a HTTP/1.1\r\nHost:")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestTimeout {
		t.Fatalf("got %v %v, want 408", resp, err)
	}
	c = m.raw()
	fmt.Fprintf(c, "GET /api/v1/ws?token=a HTTP/1.1\r\n%sX: %s\r\n\r\n", upgradeHead, strings.Repeat("x", 17<<10))
	resp, err = http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatalf("got %v %v, want 431", resp, err)
	}
}

// TestHTTPOnTheSamePort: whatever is not an upgrade is served by net/http, bytes
// already read included, also when it comes in pieces.
func TestHTTPOnTheSamePort(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2})
	for _, tt := range []struct{ method, path, body, want string }{
		{"GET", "/", "", "GET / 0"},
		{"GET", "/api/v1/ws", "", "GET /api/v1/ws 0"}, // no upgrade
		{"GET", "/api/v1/wsx", "", "GET /api/v1/wsx 0"},
		{"POST", "/api/v1/ws/toast", strings.Repeat("b", 100<<10), fmt.Sprint("POST /api/v1/ws/toast ", 100<<10)},
	} {
		req, err := http.NewRequestWithContext(m.ctx(), tt.method, m.url+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(got) != tt.want {
			t.Errorf("%s %s: got %q %v, want %q", tt.method, tt.path, got, err, tt.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	c := m.raw()
	for _, b := range []byte("GET /api/v1/health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(c); err != nil || !strings.Contains(string(got), "GET /api/v1/health 0") {
		t.Errorf("byte by byte: %q %v", got, err)
	}
}

// TestDrain: every client is told to move within the window, who does not is
// closed with 1012, and nobody new is let in.
func TestDrain(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2, DrainTimeout: 10 * time.Second})
	var peers []*peer
	for i := range 50 {
		peers = append(peers, m.connect(client.Options{Token: fmt.Sprint("u", i)}))
	}
	done := make(chan struct{})
	go func() {
		m.edge.Drain(m.ctx())
		close(done)
	}()
	for i, p := range peers {
		f, ok := p.next().(wire.Reconnect)
		if !ok || f.AfterMS < 0 || f.AfterMS > 50 {
			t.Fatalf("got %+v, want to be asked to reconnect within 50 ms", f)
		}
		if i%2 == 0 {
			p.Close(wire.CloseNormal)
		} else {
			p.closes(wire.CloseDrain)
		}
	}
	<-done
	if n := m.edge.Sessions(); n != 0 {
		t.Errorf("%d sessions after the drain", n)
	}
	if c, err := net.Dial("tcp", m.addr); err == nil {
		c.Close()
		t.Error("who comes after the drain waits for nobody, want to be refused")
	}
}
