package edge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/limit"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/proxyproto"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// proxied is the header of a balancer that speaks for a client.
func proxied(client string) []byte {
	return proxyproto.Append(nil, netip.MustParseAddrPort(client), netip.MustParseAddrPort("192.0.2.1:443"))
}

// answerTo sends bytes on a connection of their own and reads the status and the
// rest of the answer; 0 if the connection ends without one.
func (m *mesh) answerTo(parts ...[]byte) (status int, resp *http.Response, rest *bufio.Reader) {
	m.t.Helper()
	c := m.raw()
	for _, part := range parts {
		if _, err := c.Write(part); err != nil {
			m.t.Fatal(err)
		}
	}
	rest = bufio.NewReader(c)
	resp, err := http.ReadResponse(rest, nil)
	if err != nil {
		return 0, nil, rest
	}
	return resp.StatusCode, resp, rest
}

func upgradeOf(token string) []byte {
	return fmt.Appendf(nil, "GET /api/v1/ws?token=%s HTTP/1.1\r\n%s\r\n", token, upgradeHead)
}

func TestProxyProtocol(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1, ProxyProtocol: true, Limits: limit.Config{PerAddress: 1}})
	get := []byte("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	header := proxied("203.0.113.7:1234")

	t.Run("byte by byte", func(t *testing.T) {
		m := &mesh{t: t, addr: m.addr}
		var parts [][]byte
		for _, b := range append(proxied("203.0.113.6:1"), get...) {
			parts = append(parts, []byte{b})
		}
		if status, _, _ := m.answerTo(parts...); status != 200 {
			t.Errorf("status %d, want net/http's 200", status)
		}
	})
	t.Run("a session, and its address is the client's", func(t *testing.T) {
		m := &mesh{t: t, addr: m.addr}
		status, _, br := m.answerTo(header, upgradeOf("alice"))
		if status != 101 {
			t.Fatalf("status %d", status)
		}
		if op, payload := readFrame(t, br); op != 1 || !strings.Contains(string(payload), `"hello"`) {
			t.Errorf("got %d %s, want hello", op, payload)
		}
		status, resp, _ := m.answerTo(proxied("203.0.113.7:99"), upgradeOf("alice"))
		if status != 429 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("a second of the same address: %d, want 429 with Retry-After", status)
		}
		if status, _, _ := m.answerTo(proxied("203.0.113.8:99"), upgradeOf("alice")); status != 101 {
			t.Errorf("one of another address: %d, want 101", status)
		}
	})
	t.Run("the balancer's own, whatever the limits", func(t *testing.T) {
		m := newMesh(t, edge.Config{Loops: 1, ProxyProtocol: true, Limits: limit.Config{Rate: .001, Burst: 1}})
		local := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"), get...)
		for range 3 {
			if status, _, _ := m.answerTo(local); status != 200 {
				t.Errorf("status %d, want 200", status)
			}
		}
	})
	for name, bytes := range map[string][]byte{
		"without a header": get, "version 1": append([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"), get...),
		"a header that ends": header[:20],
	} {
		t.Run(name, func(t *testing.T) {
			m := &mesh{t: t, addr: m.addr}
			c := m.raw()
			if _, err := c.Write(bytes); err != nil {
				t.Fatal(err)
			}
			if name == "a header that ends" {
				c.(interface{ CloseWrite() error }).CloseWrite()
			}
			if b, err := io.ReadAll(c); len(b) > 0 {
				t.Errorf("got %q, %v, want nothing but the end", b, err)
			}
		})
	}
}

// TestConnectionRate: beyond the burst 429; who is let in is served.
func TestConnectionRate(t *testing.T) {
	m := newMesh(t, edge.Config{Limits: limit.Config{Rate: .001, Burst: 3}})
	for i := range 6 {
		status, resp, _ := m.answerTo(upgradeOf("alice"))
		if want := 101; i < 3 && status != want {
			t.Errorf("connection %d: %d, want %d", i, status, want)
		}
		if i >= 3 && (status != 429 || resp.Header.Get("Retry-After") == "") {
			t.Errorf("connection %d: %d, want 429 with Retry-After", i, status)
		}
	}
}

// knock is a Terminator whose handshake is one byte.
type knock struct{ done atomic.Int32 }

func (k *knock) Terminate(ctx context.Context, fd int) (int, error) {
	var b [1]byte
	for ctx.Err() == nil {
		n, err := netloop.Read(fd, b[:])
		if errors.Is(err, netloop.ErrAgain) {
			continue
		}
		if n == 1 && b[0] == 'K' {
			k.done.Add(1)
			return fd, nil
		}
		break
	}
	netloop.CloseFD(fd)
	return -1, errors.New("no knock")
}

func TestTLSGate(t *testing.T) {
	k := new(knock)
	m := newMesh(t, edge.Config{ProxyProtocol: true, TLS: k})
	if status, _, _ := m.answerTo(proxied("203.0.113.7:1"), []byte("K"), []byte("GET /x HTTP/1.1\r\nHost: h\r\n\r\n")); status != 200 {
		t.Errorf("HTTP behind it: %d", status)
	}
	status, _, br := m.answerTo(append(append(proxied("203.0.113.7:1"), 'K'), upgradeOf("alice")...))
	if status != 101 {
		t.Fatalf("an upgrade behind it: %d", status)
	}
	readFrame(t, br) // hello
	m.publish(wire.Broadcast(), "one")
	if _, payload := readFrame(t, br); !strings.Contains(string(payload), "one") {
		t.Errorf("got %s", payload)
	}
	if status, _, _ := m.answerTo(proxied("203.0.113.7:1"), upgradeOf("alice")); status != 0 {
		t.Errorf("without a handshake: %d, want the end", status)
	}
	if n := k.done.Load(); n != 2 {
		t.Errorf("%d handshakes, want 2", n)
	}
}

// TestDeflateDelivery: those who ask for it get large broadcasts compressed, the
// same text as all others, live, on resume and when the write was cut in two.
func TestDeflateDelivery(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	plain := m.connect(client.Options{})
	offer := strings.Replace(string(upgradeOf("alice")), "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n", 1)
	packed := m.packedPeer(offer)
	m.publish(wire.Broadcast(), "small")
	m.publish(wire.Broadcast(), "large "+strings.Repeat("all the same ", 400))
	m.publish(wire.User("alice"), "mine "+strings.Repeat("all the same ", 50))
	for i, wantPacked := range []bool{false, true, false} {
		text, isPacked, size := packed.next(t)
		if e := plain.next().(wire.Event); !strings.Contains(text, `"id":"`+e.ID+`"`) {
			t.Errorf("message %d: %.80s, want %s", i, text, e.ID)
		}
		if isPacked != wantPacked || isPacked && size > len(text)/4 {
			t.Errorf("message %d: compressed %v to %d of %d bytes, want %v", i, isPacked, size, len(text), wantPacked)
		}
	}
	// Resumed from the ring, which keeps them compressed.
	again := m.packedPeer(strings.Replace(offer, "?token", "?cursor="+plain.hello.Cursor+"&token", 1))
	for i, wantPacked := range []bool{false, true, false} {
		if text, isPacked, _ := again.next(t); isPacked != wantPacked || !strings.Contains(text, `"toast"`) {
			t.Errorf("resumed message %d: compressed %v, %.80s", i, isPacked, text)
		}
	}
}

// packedPeer is a client that reads compressed messages.
type packedPeer struct{ read *bufio.Reader }

func (m *mesh) packedPeer(request string) *packedPeer {
	m.t.Helper()
	status, resp, br := m.answerTo([]byte(request))
	const want = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	if got := strings.ReplaceAll(resp.Header.Get("Sec-WebSocket-Extensions"), ";", "; "); status != 101 || got != want {
		m.t.Fatalf("status %d, extensions %q, want %q", status, got, want)
	}
	p := &packedPeer{br}
	if text, _, _ := p.next(m.t); !strings.Contains(text, `"hello"`) {
		m.t.Fatalf("got %s, want hello", text)
	}
	return p
}

// next reads a text message: what it says, and its size as it came.
func (p *packedPeer) next(t *testing.T) (text string, packed bool, size int) {
	t.Helper()
	first, err := p.read.Peek(1)
	if err != nil {
		t.Fatal(err)
	}
	packed = first[0] == 0xc1
	op, payload := readFrame(t, p.read)
	if op != 1 {
		t.Fatalf("got frame %d %q", op, payload)
	}
	size = len(payload)
	if packed {
		if payload, err = inflated(payload); err != nil {
			t.Fatal(err)
		}
	}
	return string(payload), packed, size
}
