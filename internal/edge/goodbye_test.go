package edge_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestGoodbyeIsAnswered: an edge that has said goodbye leaves its side open until the
// client has answered (RFC 6455, 5.5.1 and 7.1.1). Many a balancer takes the end of one
// side for the end of both, and a browser whose answer is met by a reset says 1006: who
// was disconnected by an operator would be back at once.
func TestGoodbyeIsAnswered(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2})
	refused := func(behind []byte) func(t *testing.T) (net.Conn, *bufio.Reader) {
		return func(t *testing.T) (net.Conn, *bufio.Reader) {
			c := (&mesh{t: t, addr: m.addr}).raw()
			c.Write(append(fmt.Appendf(nil, "GET /api/v1/ws HTTP/1.1\r\n%s\r\n", upgradeHead), behind...)) // without a token
			br := bufio.NewReader(c)
			if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%+v %v, want the upgrade", resp, err)
			}
			return c, br
		}
	}
	disconnected := func(before []byte) func(t *testing.T) (net.Conn, *bufio.Reader) {
		return func(t *testing.T) (net.Conn, *bufio.Reader) {
			c, br := (&mesh{t: t, addr: m.addr}).signIn("token=ada")
			c.Write(before)
			if n, err := m.edge.Disconnect(m.ctx(), "ada", "house rules"); n != 1 || err != nil {
				t.Fatalf("disconnected %d, %v", n, err)
			}
			return c, br
		}
	}
	ping, answer := masked(0x89, []byte("x")), masked(0x88, []byte{0x11, 0x33})
	for name, tt := range map[string]struct {
		begin func(t *testing.T) (net.Conn, *bufio.Reader)
		code  int
		first []byte // what was on its way, before the answer
	}{
		"disconnected":               {disconnected(nil), wire.CloseDisconnected, nil},
		"with frames on their way":   {disconnected(nil), wire.CloseDisconnected, append(masked(0x81, []byte(`{"type":"ping"}`)), ping...)},
		"in the middle of a frame":   {disconnected(ping[:3]), wire.CloseDisconnected, ping[3:]},
		"in the middle of a message": {disconnected(masked(0x01, []byte("begun"))), wire.CloseDisconnected, masked(0x80, []byte("done"))},
		"refused":                    {refused(nil), wire.CloseToken, nil},
		"refused, with half a frame": {refused(ping[:3]), wire.CloseToken, ping[3:]},
	} {
		t.Run(name, func(t *testing.T) {
			c, br := tt.begin(t)
			code := 0
			for code == 0 { // pongs may come before
				if op, payload := readFrame(t, br); op == 8 {
					code = int(payload[0])<<8 | int(payload[1])
				}
			}
			if code != tt.code {
				t.Errorf("closed with %d, want %d", code, tt.code)
			}
			c.Write(tt.first)
			c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if b, err := br.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got %#x, %v before the answer, want an open connection", b, err)
			}
			c.Write(answer)
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
				t.Errorf("got %q, %v after the answer, want the end", rest, err)
			}
			c.Close()
		})
	}
	m.gone(time.Second)
}
