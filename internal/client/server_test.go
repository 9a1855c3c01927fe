package client

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// peer is the server's end of one scripted session.
type peer struct {
	t   *testing.T
	nc  net.Conn
	req *http.Request
}

func (p *peer) raw(b []byte) {
	if _, err := p.nc.Write(b); err != nil {
		p.t.Logf("peer: write: %v", err) // the client may have left already
	}
}

func (p *peer) frame(f ws.Frame) { p.raw(ws.MustCompileFrame(f)) }
func (p *peer) text(s string)    { p.frame(ws.NewTextFrame([]byte(s))) }
func (p *peer) send(f wire.ServerFrame) {
	p.text(string(wire.AppendFrame(nil, f)))
}

func (p *peer) hello(cursor string) {
	p.send(wire.Hello{Type: wire.FrameHello, Session: "s", Node: "n", Cursor: cursor})
}

func (p *peer) event(n string) {
	p.text(`{"type":"toast","id":"0-1-` + n + `","cursor":"c` + n + `","ts":1,"to":"user","payload":{"title":"` + n + `"}}`)
}

func (p *peer) close(code int, reason string) {
	p.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), reason)))
	_, _ = wsutil.ReadClientMessage(p.nc, nil) // the client's answer, or its end
}

// read gives the next frame of the client, unmasked.
func (p *peer) read() ws.Frame {
	h, err := ws.ReadHeader(p.nc)
	if err != nil || h.Length > MaxServerFrame {
		p.t.Errorf("peer: read: %v", err)
		return ws.Frame{}
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	if _, err := io.ReadFull(p.nc, f.Payload); err != nil {
		p.t.Errorf("peer: read: %v", err)
	}
	if !h.Masked {
		p.t.Error("a frame of a client must be masked")
	}
	return ws.UnmaskFrameInPlace(f)
}

// untilGone waits for the client to leave.
func (p *peer) untilGone() { _, _ = io.Copy(io.Discard, p.nc) }

// answer takes one connection: the upgrade, then the script.
func answer(t *testing.T, nc net.Conn, script func(*peer)) {
	defer nc.Close()
	var head strings.Builder
	if _, err := ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{io.TeeReader(nc, &head), nc}); err != nil {
		t.Errorf("peer: upgrade: %v", err)
		return
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head.String())))
	if err != nil {
		t.Errorf("peer: request: %v", err)
		return
	}
	script(&peer{t: t, nc: nc, req: req})
}

// refuse answers one upgrade with an HTTP answer, given as it goes on the wire.
func refuse(nc net.Conn, response string) {
	defer nc.Close()
	if _, err := http.ReadRequest(bufio.NewReader(nc)); err == nil {
		_, _ = io.WriteString(nc, strings.ReplaceAll(response, "\n", "\r\n"))
	}
}

// serve runs one script a connection on a loopback port and gives the base URL.
func serve(t *testing.T, scripts ...func(*peer)) string {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, script := range scripts {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			answer(t, nc, script)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
