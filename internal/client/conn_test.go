package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnectRequest(t *testing.T) {
	for _, tc := range []struct {
		name  string
		path  string
		opts  Options
		uri   string
		auth  string
		proto string
	}{
		{"bare", "", Options{}, "/api/v1/ws", "", ""},
		{"header", "/", Options{Token: "a.b."}, "/api/v1/ws", "Bearer a.b.", ""},
		{"query", "", Options{Token: "a.b.", TokenIn: TokenQuery}, "/api/v1/ws?token=a.b.", "", ""},
		{"subprotocol", "", Options{Token: "a.b.", TokenIn: TokenSubprotocol}, "/api/v1/ws", "", "vibemesh.v1, bearer.a.b."},
		{"below a path", "/mesh/", Options{}, "/mesh/api/v1/ws", "", ""},
		{"the path itself", "/api/v1/ws", Options{}, "/api/v1/ws", "", ""},
		{"cursor wins over replay", "", Options{Cursor: "c", Replay: 5}, "/api/v1/ws?cursor=c", "", ""},
		{"unread", "", Options{Unread: true}, "/api/v1/ws?unread=1", "", ""},
		{"replay and topics", "", Options{Replay: 5, Topics: []string{"a", "b&c"}}, "/api/v1/ws?replay=5&topics=a%2Cb%26c", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := make(chan *http.Request, 1)
			tc.opts.URL = serve(t, func(p *peer) { got <- p.req }) + tc.path
			tc.opts.Header = http.Header{"Origin": {"https://example.org"}}
			conn, err := Dial(deadline(t), tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(wire.CloseNormal)
			req := <-got
			want := []string{tc.uri, tc.auth, tc.proto, "https://example.org"}
			have := []string{
				req.RequestURI, req.Header.Get("Authorization"),
				req.Header.Get("Sec-Websocket-Protocol"), req.Header.Get("Origin"),
			}
			if d := cmp.Diff(want, have); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDialRefusesBadOptions(t *testing.T) {
	for _, tc := range []struct {
		opts Options
		want string
	}{
		{Options{URL: "127.0.0.1:8080"}, "looks like http://127.0.0.1:8080"},
		{Options{URL: ""}, "looks like"},
		{Options{URL: "ftp://example.org"}, "none of http, https, ws, wss"},
		{Options{URL: "http://127.0.0.1:1", Token: "a\r\nX-Evil: 1"}, "token contains"},
	} {
		if _, err := Dial(deadline(t), tc.opts); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.opts, err, tc.want)
		}
	}
}

func TestRefusedUpgrade(t *testing.T) {
	l := listen(t)
	defer l.Close()
	go func() {
		if nc, err := l.Accept(); err == nil {
			refuse(nc, "HTTP/1.1 503 Service Unavailable\nRetry-After: 7\nContent-Length: 15\n\n{\"status\": 503}")
		}
	}()
	_, err := Dial(deadline(t), Options{URL: "ws://" + l.Addr().String()})
	want := &UpgradeError{Status: 503, RetryAfter: 7 * time.Second, Body: []byte(`{"status": 503}`)}
	var got *UpgradeError
	if !errors.As(err, &got) || !cmp.Equal(got, want) {
		t.Errorf("got %#v, want %#v", err, want)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "-3": 0, "99999999999999999999": 0, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute,
		now.Add(-time.Hour).Format(http.TimeFormat):  0,
	} {
		if got := parseRetryAfter(v, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}

func TestNextReadsFramesHoweverTheyArrive(t *testing.T) {
	url := serve(t, func(p *peer) {
		hello := ws.MustCompileFrame(ws.NewTextFrame([]byte(`{"type":"hello","cursor":"c0"}`)))
		for _, b := range hello { // byte by byte
			p.raw([]byte{b})
		}
		p.frame(ws.NewPingFrame([]byte("are you there")))
		if f := p.read(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
			t.Errorf("the answer to a ping was %v %q", f.Header.OpCode, f.Payload)
		}
		// Fragments with a ping between them (RFC 6455, 5.4).
		p.frame(ws.NewFrame(ws.OpText, false, []byte(`{"type":"pong",`)))
		p.frame(ws.NewPingFrame(nil))
		p.frame(ws.NewFrame(ws.OpContinuation, true, []byte(`"cursor":"c1"}`)))
		p.read()
		p.close(4001, "too slow")
	})
	conn, err := Dial(deadline(t), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []wire.ServerFrame{
		wire.Hello{Type: "hello", Cursor: "c0"},
		wire.Pong{Type: "pong", Cursor: "c1"},
	} {
		got, err := conn.Next(deadline(t))
		if err != nil || !cmp.Equal(got, want) {
			t.Fatalf("got %#v, %v; want %#v", got, err, want)
		}
	}
	want := &CloseError{Code: 4001, Reason: "too slow", Retry: wire.RetryBackoff}
	for range 2 { // the second repeats it
		_, err = conn.Next(deadline(t))
		var got *CloseError
		if !errors.As(err, &got) || !cmp.Equal(got, want) {
			t.Fatalf("got %#v, want %#v", err, want)
		}
	}
}

// TestBrokenServers has each way in which a server can break the protocol: what
// Next says, and the close code that the server is told (0: none).
func TestBrokenServers(t *testing.T) {
	header := func(h ws.Header) []byte {
		var b strings.Builder
		if err := ws.WriteHeader(&b, h); err != nil {
			t.Fatal(err)
		}
		return []byte(b.String())
	}
	for _, tc := range []struct {
		name string
		raw  []byte
		want error
		text string
		code ws.StatusCode
	}{
		{"huge length", header(ws.Header{Fin: true, OpCode: ws.OpText, Length: 1 << 40}), ErrTooBig, "", 1009},
		{"just too big", header(ws.Header{Fin: true, OpCode: ws.OpText, Length: MaxServerFrame + 1}), ErrTooBig, "", 1009},
		{"masked", ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("{}")))), nil, "broke the WebSocket protocol", 1002},
		{"reserved bit", header(ws.Header{Fin: true, Rsv: 4, OpCode: ws.OpText}), nil, "broke the WebSocket protocol", 1002},
		{"stray continuation", header(ws.Header{Fin: true, OpCode: ws.OpContinuation}), nil, "broke the WebSocket protocol", 1002},
		{"long ping", header(ws.Header{Fin: true, OpCode: ws.OpPing, Length: 126}), nil, "broke the WebSocket protocol", 1002},
		{"close of one byte", []byte{0x88, 1, 3}, nil, "broke the WebSocket protocol", 1002},
		{"binary", ws.MustCompileFrame(ws.NewBinaryFrame([]byte("x"))), ErrBinary, "", 1003},
		{"not UTF-8", ws.MustCompileFrame(ws.NewTextFrame([]byte("{\"type\":\"\xff\"}"))), wire.ErrFrame, "", 1007},
		{"not JSON", ws.MustCompileFrame(ws.NewTextFrame([]byte("hi"))), wire.ErrFrame, "", 1002},
		{"cut off", []byte{0x81, 5, 'a'}, io.ErrUnexpectedEOF, "without a close frame", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url := serve(t, func(p *peer) {
				p.raw(tc.raw)
				if tc.code == 0 {
					return
				}
				f := p.read()
				if code, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || code != tc.code {
					t.Errorf("the server was told %v %d, want close %d", f.Header.OpCode, code, tc.code)
				}
			})
			conn, err := Dial(deadline(t), Options{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			_, err = conn.Next(deadline(t))
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v %q", err, tc.want, tc.text)
			}
		})
	}
}

func TestCloseCodes(t *testing.T) {
	for code, want := range map[int]wire.Retry{
		wire.CloseNormal: wire.RetryNever, wire.CloseGoingAway: wire.RetryBackoff, wire.CloseDrain: wire.RetryBackoff,
		1013: wire.RetryBackoff, wire.CloseBehind: wire.RetryBackoff, wire.CloseToken: wire.RetryChanged,
	} {
		url := serve(t, func(p *peer) {
			p.frame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), "")))
			if echo, _ := ws.ParseCloseFrameData(p.read().Payload); int(echo) != code {
				t.Errorf("close %d was answered with %d", code, echo)
			}
		})
		conn, err := Dial(deadline(t), Options{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Next(deadline(t))
		var closed *CloseError
		if !errors.As(err, &closed) || closed.Code != code || closed.Retry != want {
			t.Errorf("close %d: %#v", code, err)
		}
		if text := wire.CloseText(code); !strings.Contains(err.Error(), text) {
			t.Errorf("close %d: %q does not say %q", code, err, text)
		}
	}
}

func TestLargestFrameIsTaken(t *testing.T) {
	frame := `{"type":"pong","cursor":"` + strings.Repeat("x", MaxServerFrame-27) + `"}`
	url := serve(t, func(p *peer) { p.text(frame); p.untilGone() })
	conn, err := Dial(deadline(t), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(wire.CloseNormal)
	if len(frame) != MaxServerFrame {
		t.Fatalf("the test's frame has %d bytes", len(frame))
	}
	if _, err := conn.Next(deadline(t)); err != nil {
		t.Error(err)
	}
}

func TestSendAndClose(t *testing.T) {
	got := make(chan string, 1)
	url := serve(t, func(p *peer) {
		got <- string(p.read().Payload)
		p.untilGone()
	})
	conn, err := Dial(deadline(t), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Send(deadline(t), wire.ClientFrame{Type: wire.FrameSubscribe, Topic: "a"}); err != nil {
		t.Fatal(err)
	}
	if g := <-got; g != `{"type":"subscribe","topic":"a"}` {
		t.Errorf("the server read %s", g)
	}
	big := wire.ClientFrame{Type: wire.FrameAuth, Token: strings.Repeat("x", wire.MaxClientFrame)}
	if err := conn.Send(deadline(t), big); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a frame beyond the edge's limit: %v", err)
	}
	if err := conn.Close(wire.CloseNormal); err != nil {
		t.Fatal(err)
	}
	if err := conn.Send(deadline(t), wire.ClientFrame{Type: wire.FramePing}); !errors.Is(err, ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
	if _, err := conn.Next(deadline(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

func TestContextEndsNext(t *testing.T) {
	url := serve(t, func(p *peer) { p.hello("c"); p.untilGone() })
	conn, err := Dial(deadline(t), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Next(deadline(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(deadline(t), 20*time.Millisecond)
	defer cancel()
	if _, err := conn.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
