package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/edge"
)

// TestConformanceUpgrade: the opening handshake, RFC 6455, 4.2.1 and 4.2.2, with the
// clauses' numbers. Requests that do not ask for an upgrade are net/http's, and get
// what the handler behind the edge answers: 426 in the program, 200 here.
func TestConformanceUpgrade(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 1})
	const (
		get  = "GET /api/v1/ws?token=a HTTP/1.1\r\n"
		host = "Host: h\r\n"
		up   = "Upgrade: websocket\r\n"
		conn = "Connection: Upgrade\r\n"
		ver  = "Sec-WebSocket-Version: 13\r\n"
		key  = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	)
	lines := func(parts ...string) string { return strings.Join(parts, "") }
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"4.2.1.1/as it should be", lines(get, host, up, conn, ver, key), 101},
		{"4.2.1.1/HTTP 1.0", lines("GET /api/v1/ws?token=a HTTP/1.0\r\n", host, up, conn, ver, key), 505},
		{"4.2.1.1/HTTP 0.9", lines("GET /api/v1/ws?token=a HTTP/0.9\r\n", host, up, conn, ver, key), 505},
		{"4.2.1.1/no version of HTTP", lines("GET /api/v1/ws?token=a\r\n", host, up, conn, ver, key), 400},
		{"4.2.1.1/POST", lines("POST /api/v1/ws?token=a HTTP/1.1\r\nContent-Length: 0\r\n", host, up, conn, ver, key), 426},
		{"4.2.1.1/HEAD", lines("HEAD /api/v1/ws?token=a HTTP/1.1\r\n", host, up, conn, ver, key), 426},
		{"4.2.1.1/get in small letters", lines("get /api/v1/ws?token=a HTTP/1.1\r\n", host, up, conn, ver, key), 426},
		{"4.2.1.1/the whole URI", lines("GET http://h/api/v1/ws?token=a HTTP/1.1\r\n", host, up, conn, ver, key), 101},
		{"4.2.1.2/no host", lines(get, up, conn, ver, key), 400},
		{"4.2.1.2/two hosts", lines(get, host, host, up, conn, ver, key), 400},
		{"4.2.1.3/no upgrade", lines(get, host, conn, ver, key), 200},
		{"4.2.1.3/to something else", lines(get, host, "Upgrade: h2c\r\n", conn, ver, key), 400},
		{"4.2.1.3/in other letters", lines(get, host, "uPGRADE: WebSocket\r\n", conn, ver, key), 101},
		{"4.2.1.3/a list with it, which we do not take", lines(get, host, "Upgrade: h2c, websocket\r\n", conn, ver, key), 400},
		{"4.2.1.4/no connection", lines(get, host, up, ver, key), 400},
		{"4.2.1.4/another one", lines(get, host, up, "Connection: keep-alive\r\n", ver, key), 400},
		{"4.2.1.4/in other letters", lines(get, host, up, "CONNECTION: upgrade\r\n", ver, key), 101},
		{"4.2.1.4/several tokens", lines(get, host, up, "Connection: keep-alive, Upgrade\r\n", ver, key), 101},
		{"4.2.1.4/several tokens without blanks", lines(get, host, up, "Connection: keep-alive,upgrade\r\n", ver, key), 101},
		{"4.2.1.4/a token that has it in it", lines(get, host, up, "Connection: upgraded\r\n", ver, key), 400},
		{"4.2.1.5/no key", lines(get, host, up, conn, ver), 400},
		{"4.2.1.5/an empty key", lines(get, host, up, conn, ver, "Sec-WebSocket-Key: \r\n"), 400},
		{"4.2.1.5/a key of 15 bytes", lines(get, host, up, conn, ver, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n"), 400},
		{"4.2.1.5/a key of 17 bytes", lines(get, host, up, conn, ver, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n"), 400},
		{"4.2.1.5/a key that is not base64", lines(get, host, up, conn, ver, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n"), 400},
		{"4.2.1.5/two keys", lines(get, host, up, conn, ver, key, key), 400},
		{"4.2.1.6/no version", lines(get, host, up, conn, key), 400},
		{"4.2.1.6/version 8", lines(get, host, up, conn, "Sec-WebSocket-Version: 8\r\n", key), 426},
		{"4.2.1.6/version 14", lines(get, host, up, conn, "Sec-WebSocket-Version: 14\r\n", key), 426},
		{"4.2.1.6/version 013", lines(get, host, up, conn, "Sec-WebSocket-Version: 013\r\n", key), 426},
		{"4.2.1.6/a list of versions", lines(get, host, up, conn, "Sec-WebSocket-Version: 13, 8\r\n", key), 426},
		{"4.2.1.8/a protocol that is not ours", lines(get, host, up, conn, ver, key, "Sec-WebSocket-Protocol: chat\r\n"), 101},
		{"4.2.1.8/ours among others", lines(get, host, up, conn, ver, key, "Sec-WebSocket-Protocol: chat, vibemesh.v1\r\n"), 101},
		{"4.2.1.9/an extension that nobody knows", lines(get, host, up, conn, ver, key, "Sec-WebSocket-Extensions: x-unknown; a=1\r\n"), 101},
		{"4.2.1.10/other headers", lines(get, host, up, conn, ver, key, "Cookie: a=b\r\nX-Any: thing\r\n"), 101},
		{"9110, 5.5/blanks about values", lines(get, "Host:h\r\n", "Upgrade: \t websocket \t\r\n", conn, ver, key), 101},
		{"9112, 5.1/a blank before the colon", lines(get, host, "Upgrade : websocket\r\n", up, conn, ver, key), 400},
		{"9112, 5.2/a folded line", lines(get, host, up, conn, ver, key, "X-Any: a\r\n b\r\n"), 400},
		{"9112, 5/a line without a colon", lines(get, host, up, conn, ver, key, "what\r\n"), 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := (&mesh{t: t, addr: m.addr}).raw()
			if _, err := io.WriteString(c, tt.request+"\r\n"); err != nil {
				t.Fatal(err)
			}
			method, _, _ := strings.Cut(tt.request, " ")
			resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Errorf("status %s, want %d", resp.Status, tt.status)
			}
			if resp.StatusCode == http.StatusUpgradeRequired && !slices.Equal(resp.Header["Sec-Websocket-Version"], []string{"13"}) {
				t.Errorf("426 with the header %v, want Sec-WebSocket-Version: 13 (RFC 6455, 4.4)", resp.Header)
			}
			if resp.StatusCode == http.StatusSwitchingProtocols {
				checkAnswer(t, resp, tt.request)
			}
		})
	}
	m.gone(5 * time.Second)
}

// checkAnswer checks the server's side of the handshake (RFC 6455, 4.2.2.5).
func checkAnswer(t *testing.T, resp *http.Response, request string) {
	t.Helper()
	for header, want := range map[string]string{
		"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", // RFC 6455, 1.3
	} {
		if got := resp.Header.Values(header); len(got) != 1 || !strings.EqualFold(got[0], want) || header[0] == 'S' && got[0] != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	wantProtocol := ""
	if strings.Contains(request, "vibemesh.v1") {
		wantProtocol = "vibemesh.v1"
	}
	if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != wantProtocol {
		t.Errorf("protocol %q, want %q (4.2.2.5: one of those that were offered, or none)", got, wantProtocol)
	}
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("extensions %q, want none", got)
	}
	if resp.Proto != "HTTP/1.1" {
		t.Errorf("%s, want HTTP/1.1", resp.Proto)
	}
}

// TestUpgradeInPieces: a request that comes byte by byte, with a frame behind it.
func TestUpgradeInPieces(t *testing.T) {
	m := newEcho(t)
	c := (&mesh{t: t, addr: m.addr}).raw()
	request := all([]byte(fmt.Sprintf("GET /api/v1/ws?token=a HTTP/1.1\r\n%s\r\n", upgradeHead)), text("Hello"))
	d := &dialogue{t: t, conn: c, read: bufio.NewReader(c)}
	sent := d.send(request, 1)
	if resp, err := http.ReadResponse(d.read, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v %v, want the upgrade", resp, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if hello, err := d.message(); err != nil || !strings.Contains(hello, `"hello"`) {
		t.Fatalf("got %q %v, want hello", hello, err)
	}
	if err := (exchange{"", nil, []string{"text Hello"}, 0}).hold(d, 1); err != nil {
		t.Error(err)
	}
}
