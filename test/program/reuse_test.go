package program_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestUpgradeOnAUsedConnection: a proxy keeps its connections, and uses each for requests
// and upgrades alike.
func TestUpgradeOnAUsedConnection(t *testing.T) {
	p := start(t, "run")
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, tt := range []struct {
		path, header string
		want         int
	}{
		{"/docs", "", 200},
		{"/api/v1/ws", "", 426},
		{"/", "", 200},
		{"/api/v1/ws/history", "", 401},
		{"/api/v1/ws?token=" + token(t, "alice"), upgrade, 101},
	} {
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", tt.path, tt.header); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); tt.want != 101 && err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != tt.want {
			t.Fatalf("%s: %d, want %d", tt.path, resp.StatusCode, tt.want)
		}
	}
	if kind, err := from.ReadByte(); err != nil || kind != 0x81 { // a whole text message: hello
		t.Errorf("the first frame begins with %#x, %v", kind, err)
	}
}
