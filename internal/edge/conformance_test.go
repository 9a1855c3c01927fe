package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/netloop"
)

// The conformance tests are a table, case by case, of what a client may send and of
// all that must come back: RFC 6455 and 7692, in the order and with the numbers of
// the Autobahn test suite's fuzzing client. They talk, over TCP, to an edge that
// sends each message back. Where the RFCs leave a choice, the table has ours:
//
//   - A message of more than 64 KiB is refused with 1009 (6455, 10.4). Autobahn's
//     cases beyond that size (in 9, 10, 12 and 13) end so.
//   - Text is checked when a message is complete, not before (6455, 8.1 allows both):
//     Autobahn calls 6.4 "non-strict".
//   - A close is answered with the code it has, or 1000 (6455, 5.5.1).
//   - Lengths that are not in their shortest form are refused (6455, 5.2).

// exchange is one case. Where code is zero the client closes with 1000 when it has
// sent everything, and is answered by the same.
type exchange struct {
	name string // "number/what is sent", and the clause if it is not the section's
	send []byte
	want []string // what comes back before the close frame: "text x", "pong x"…
	code int      // of the close frame that ends the session
}

// fails is an exchange after which the session is ended with 1002, protocol error.
func fails(name string, send []byte, want ...string) exchange {
	return exchange{name, send, want, 1002}
}

func echoes(name string, send []byte, want ...string) exchange {
	return exchange{name, send, want, 0}
}

// The first byte of a frame (RFC 6455, 5.2), beside the opcode.
const (
	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10
)

func frame(first byte, payload string) []byte { return masked(first, []byte(payload)) }

func text(payload string) []byte { return frame(fin|1, payload) }

func binaryFrame(payload string) []byte { return frame(fin|2, payload) }

func ping(payload string) []byte { return frame(fin|9, payload) }

func closing(code int, reason string) []byte {
	return frame(fin|8, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

func all(frames ...[]byte) []byte { return slices.Concat(frames...) }

// fragments cuts a message into frames of size bytes, the last one smaller.
func fragments(first byte, payload string, size int) (frames []byte) {
	for rest := payload; ; first = 0 {
		n := min(size, len(rest))
		part := rest[:n]
		if rest = rest[n:]; rest == "" {
			return append(frames, frame(fin|first, part)...)
		}
		frames = append(frames, frame(first, part)...)
	}
}

// newEcho is an edge that sends messages back.
func newEcho(t *testing.T) *mesh {
	t.Helper()
	e, err := edge.New(edge.Config{Node: "echo", Loops: 1}, tokens{}, &fakeLog{life: 7}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	e.Echo()
	e.Begin([]uint64{7}, []uint64{0})
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := netloop.Listen(ctx, "127.0.0.1:0", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Serve(ctx, ln); err != nil {
			t.Error("Serve:", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		ln.Close()
	})
	return &mesh{t: t, edge: e, addr: ln.Addr.String(), url: "http://" + ln.Addr.String()}
}

// dialogue is a client of the echo edge: it sends any bytes, and reads by the rules.
type dialogue struct {
	t     *testing.T
	conn  io.ReadWriteCloser
	read  *bufio.Reader
	offer string // Sec-WebSocket-Extensions, or nothing
}

// talk upgrades and reads hello.
func (m *mesh) talk(t *testing.T, offer string) *dialogue {
	t.Helper()
	head := upgradeHead
	if offer != "" {
		head += "Sec-WebSocket-Extensions: " + offer + "\r\n"
	}
	c := (&mesh{t: t, addr: m.addr}).raw()
	fmt.Fprintf(c, "GET /api/v1/ws?token=echo HTTP/1.1\r\n%s\r\n", head)
	d := &dialogue{t: t, conn: c, read: bufio.NewReader(c), offer: offer}
	resp, err := http.ReadResponse(d.read, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v %v, want the upgrade", resp, err)
	}
	if agreed := resp.Header.Get("Sec-WebSocket-Extensions"); (agreed == "") != (offer == "") {
		t.Fatalf("offered %q, agreed on %q", offer, agreed)
	}
	if hello, err := d.message(); err != nil || !strings.HasPrefix(hello, `text {"type":"hello"`) {
		t.Fatalf("got %.60q %v, want hello", hello, err)
	}
	return d
}

// message reads a message or control frame of the server, strictly (RFC 6455, 5.2
// and 5.5), as "kind payload". A close frame is "close code".
func (d *dialogue) message() (string, error) {
	before := d.read
	h, err := ws.ReadHeader(before)
	if err != nil {
		return "", err
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(d.read, payload); err != nil {
		return "", err
	}
	packed := d.offer != "" && h.Rsv == ws.Rsv(true, false, false) && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary)
	if packed {
		h.Rsv = 0
		if payload, err = inflated(payload); err != nil {
			return "", err
		}
	}
	if err := ws.CheckHeader(h, ws.StateClientSide); err != nil || h.Masked || !h.Fin {
		return "", fmt.Errorf("the frame %+v breaks the rules: %w", h, err)
	}
	switch h.OpCode {
	case ws.OpText:
		if !utf8.Valid(payload) {
			return "", fmt.Errorf("text that is not UTF-8: %q", payload)
		}
		return "text " + string(payload), nil
	case ws.OpBinary:
		return "binary " + string(payload), nil
	case ws.OpPing:
		return "ping " + string(payload), nil
	case ws.OpPong:
		return "pong " + string(payload), nil
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) < 2 || !utf8.ValidString(reason) {
		return "", fmt.Errorf("the close frame's body is %q", payload)
	}
	return fmt.Sprint("close ", code), nil
}

// send writes in chops of some bytes, while what comes back is read elsewhere.
func (d *dialogue) send(data []byte, chop int) (done chan error) {
	done = make(chan error, 1)
	go func() {
		for part := range slices.Chunk(data, chop) {
			if _, err := d.conn.Write(part); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return done
}

// hold holds an exchange in chops of some bytes: what comes back is what is wanted,
// to the byte, and after the close frame the server ends its side (RFC 6455, 7.1.1).
func (e exchange) hold(d *dialogue, chop int) error {
	data, code := bytes.Clone(e.send), e.code
	if code == 0 {
		data, code = append(data, closing(1000, "")...), 1000
	}
	sent := d.send(data, max(chop, 1))
	for i, want := range append(slices.Clone(e.want), fmt.Sprint("close ", code)) {
		if got, err := d.message(); err != nil || got != want {
			return fmt.Errorf("answer %d: got %.80q (%d bytes) %w, want %.80q (%d bytes)", i, got, len(got), err, want, len(want))
		}
	}
	if b, err := d.read.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the close frame: byte %x, %w, want the end", b, err)
	}
	if err := <-sent; err != nil {
		return fmt.Errorf("sending: %w", err) // a server that fails reads on, or its close frame may be lost
	}
	return nil
}

// run holds each exchange of a table: whole, in chops of 997 bytes, and byte by byte
// if it is not long.
func (m *mesh) run(t *testing.T, offer string, table []exchange) {
	t.Helper()
	names := map[string]bool{}
	for _, e := range table {
		if names[e.name] {
			t.Errorf("two cases are called %q", e.name)
		}
		names[e.name] = true
		t.Run(e.name, func(t *testing.T) {
			chops := []int{len(e.send) + 100}
			if len(e.send) > 997 {
				chops = append(chops, 997)
			}
			if len(e.send) < 2000 {
				chops = append(chops, 1)
			}
			for _, chop := range chops {
				if err := e.hold(m.talk(t, offer), chop); err != nil {
					t.Errorf("%d bytes a write: %v", chop, err)
				}
			}
		})
	}
}

func TestConformance(t *testing.T) {
	m := newEcho(t)
	for _, table := range [][]exchange{
		framing(), pings(), reservedBits(), opcodes(), fragmentation(), utf8Handling(), closeHandling(), limits(),
	} {
		m.run(t, "", table)
	}
}
