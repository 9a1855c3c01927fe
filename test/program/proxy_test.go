package program_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/proxyproto"
)

// TestBehindABalancer: the client's address is the one that the PROXY protocol names,
// for the limits and in the log, of sockets and of HTTP.
func TestBehindABalancer(t *testing.T) {
	p := start(t, "run", "WS_PROXY_PROTOCOL=true", "WS_ADDRESS_CONNECTIONS=2", "WS_LOG_LEVEL=debug")
	upgrade := "GET /api/v1/ws?token=" + token(t, "alice") + " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	ask := func(client, request string) int {
		t.Helper()
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		header := proxyproto.Append(nil, netip.MustParseAddrPort(client), netip.MustParseAddrPort("192.0.2.1:443"))
		if _, err := fmt.Fprintf(conn, "%s%s", header, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for i, want := range []int{101, 101, 429, 429} {
		if got := ask("203.0.113.7:1000", upgrade); got != want {
			t.Errorf("socket %d of an address: %d, want %d", i, got, want)
		}
	}
	if got := ask("203.0.113.8:2000", "GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n"); got != 200 {
		t.Errorf("HTTP of another address: %d", got)
	}
	eventually(t, "the addresses are in the log", func() bool {
		return p.said(`"client":"203.0.113.7:1000"`) && p.said(`"client":"203.0.113.8:2000"`) && p.said("address_count")
	})
	if p.said(token(t, "alice")[:20]) {
		t.Error("a token is in the log")
	}
}
