package edge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sys/unix"
)

// hooked is an Authenticator that is told of each token it verifies.
type hooked struct{ now func() }

func (h *hooked) Verify(context.Context, string) (auth.Identity, error) {
	return auth.Identity{UID: "u", Expires: time.Now().Add(time.Hour)}, nil
}

func (h *hooked) VerifyNow(string) (auth.Identity, error) {
	if h.now != nil {
		h.now()
	}
	return h.Verify(context.Background(), "")
}

const plainUpgrade = "GET /api/v1/ws?token=u HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func hookedBench(t *testing.T, h *hooked) *bench {
	e, err := New(Config{Loops: 1}, h, everybody{}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	e.Begin([]uint64{1}, wire.Vector{0})
	ctx, cancel := context.WithCancel(context.Background())
	e.work, e.reads = newPool(ctx, 1, 64), newPool(ctx, 1, 64)
	b := &bench{loop: e.loops[0]}
	t.Cleanup(func() {
		cancel()
		e.work.wait()
		e.reads.wait()
		b.shutDown()
		e.closePollers()
	})
	return b
}

// watch publishes a message for one user with the first sign-in, and counts those that
// are done before it is routed.
func watch(b *bench, h *hooked) (worst *int) {
	n, published := 0, false
	worst = new(int)
	h.now = func() {
		if !published {
			published = true
			b.edge.Append(&wire.Entry{
				Position: wire.Position{Life: 1, Seq: 1}, Time: time.Now(), Audience: wire.User("u"),
				Envelope: wire.Envelope{Type: "toast", Payload: []byte(`{"title":"x"}`)},
			})
		}
		n++
		if b.deliver.routed < 1 {
			*worst = n
		}
	}
	return worst
}

func TestSignInsOfTheInbox(t *testing.T) {
	h := new(hooked)
	b := hookedBench(t, h)
	b.connect(t, false)
	worst := watch(b, h)
	for range 300 {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer netloop.CloseFD(fds[1])
		if _, err := netloop.Write(fds[1], []byte(plainUpgrade)); err != nil {
			t.Fatal(err)
		}
		b.post(message{kind: msgConn, conn: arrival{fd: fds[0], passed: true}})
	}
	b.turns(t, 1)
	if *worst > setUpsPerRoute {
		t.Errorf("a message for one user waited for %d sign-ins, not %d", *worst, setUpsPerRoute)
	}
}

func TestSignInsOfTheListener(t *testing.T) {
	h := new(hooked)
	b := hookedBench(t, h)
	b.connect(t, false)
	ln, err := netloop.Listen(t.Context(), "127.0.0.1:0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b.ln = ln
	for range 60 {
		c, err := net.Dial("tcp", ln.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(plainUpgrade)); err != nil {
			t.Fatal(err)
		}
	}
	worst := watch(b, h)
	if err := b.poller.AddListener(ln.FD, listenerID); err != nil {
		t.Fatal(err)
	}
	b.turns(t, 1)
	if *worst > setUpsPerRoute {
		t.Errorf("a message for one user waited for %d sign-ins, not %d", *worst, setUpsPerRoute)
	}
}

func TestCloseReasonIsText(t *testing.T) {
	f := appendClose(nil, 4401, strings.Repeat("é", 100))
	if !utf8.Valid(f[4:]) {
		t.Errorf("the reason is not UTF-8: %q", f[4:])
	}
}
