//go:build linux

// Package check holds clients to a measured server and checks what meshbench
// relies on: an upgrade, a hello, and every broadcast once and in order.
package check

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/socialvibes/vibemesh/cmd/meshbench/peers/internal/peer"
)

// Speak is what a server's clients must do.
type Speak struct {
	Connect string                      // a text to send after the upgrade; empty: none
	Hello   string                      // how the first message begins
	Text    func(message []byte) []byte // what was broadcast, out of a message; nil: the message itself
}

// Plan is how much is done.
type Plan struct{ Sockets, Paced, Burst int }

// Server runs a server, holds sockets to it, and broadcasts. The error says what
// went wrong first; it is nil if every socket had everything and the server ended
// by the end of its stdin without an error.
func Server(ctx context.Context, run func(stdin io.Reader, stdout io.Writer) error, speak Speak, plan Plan) error {
	stdin, closeStdin := io.Pipe()
	said, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(stdin, stdout)
		_ = stdout.CloseWithError(errors.New("the server has ended"))
		ended <- err
	}()
	err := drive(ctx, said, speak, plan)
	_ = closeStdin.Close()
	select {
	case runErr := <-ended:
		return errors.Join(err, runErr)
	case <-ctx.Done():
		return errors.Join(err, errors.New("the server does not end with its stdin"))
	}
}

func drive(ctx context.Context, said io.Reader, speak Speak, plan Plan) error {
	var ready peer.Ready
	if err := json.NewDecoder(said).Decode(&ready); err != nil {
		return fmt.Errorf("reading where it listens: %w", err)
	}
	control, err := dial(ctx, ready.Control)
	if err != nil {
		return err
	}
	defer control.Close()
	clients := make([]*client, plan.Sockets)
	for i := range clients {
		c, err := connect(ctx, ready.Addr, speak)
		if err != nil {
			return fmt.Errorf("socket %d: %w", i, err)
		}
		defer c.nc.Close()
		clients[i] = c
	}
	next := 0
	for range plan.Paced {
		if err := round(control, clients, next, 1); err != nil {
			return err
		}
		next++
	}
	return round(control, clients, next, plan.Burst)
}

// round broadcasts n texts at once and waits until every client has them.
func round(control net.Conn, clients []*client, first, n int) error {
	for k := range n {
		t := text(first + k)
		if _, err := control.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(t))), t...)); err != nil {
			return fmt.Errorf("broadcasting: %w", err)
		}
	}
	if _, err := io.ReadFull(control, make([]byte, n)); err != nil {
		return fmt.Errorf("waiting for a broadcast to be taken: %w", err)
	}
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for k := range n {
				got, err := c.message()
				if want := text(first + k); err == nil && !bytes.Equal(c.text(got), want) {
					err = fmt.Errorf("got %.100q, want %.100q", got, want)
				}
				if err != nil {
					errs[i] = fmt.Errorf("socket %d, broadcast %d: %w", i, first+k, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// text is the broadcast of a number: every other one needs the longer length of a frame.
func text(n int) []byte {
	pad := n % 2 * 200
	return fmt.Appendf(nil, `{"type":"toast","payload":{"title":"%06d","description":"%0*d"}}`, n, pad, 0)
}

// client is one socket.
type client struct {
	nc    net.Conn
	in    *bufio.Reader
	speak Speak
	lines [][]byte // of the last frame, not handed out yet
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		err = nc.SetDeadline(deadline)
	}
	return nc, err
}

func connect(ctx context.Context, addr string, speak Speak) (*client, error) {
	nc, err := dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &client{nc: nc, in: bufio.NewReader(nc), speak: speak}
	if err := c.upgrade(addr); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) upgrade(addr string) error {
	fmt.Fprintf(c.nc, "GET %s?token=x HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", peer.Path, addr)
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // it has none
	if got := resp.Header.Get("Sec-WebSocket-Accept"); resp.StatusCode != 101 || got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		return fmt.Errorf("the upgrade was answered %s, accept %q", resp.Status, got)
	}
	if c.speak.Connect != "" { // masked with zeros
		frame := append([]byte{0x81, 0x80 | byte(len(c.speak.Connect)), 0, 0, 0, 0}, c.speak.Connect...)
		if _, err := c.nc.Write(frame); err != nil {
			return err
		}
	}
	hello, err := c.message()
	if err == nil && !bytes.HasPrefix(hello, []byte(c.speak.Hello)) {
		err = fmt.Errorf("the first message is %.100q", hello)
	}
	return err
}

// text is what was broadcast.
func (c *client) text(message []byte) []byte {
	if c.speak.Text == nil {
		return message
	}
	return c.speak.Text(message)
}

// message reads one message: a line of a text frame.
func (c *client) message() ([]byte, error) {
	if len(c.lines) == 0 {
		frame, err := c.frame()
		if err != nil {
			return nil, err
		}
		c.lines = bytes.Split(bytes.TrimSuffix(frame, []byte("\n")), []byte("\n"))
	}
	m := c.lines[0]
	c.lines = c.lines[1:]
	return m, nil
}

// frame reads one text frame of a server, RFC 6455, 5.2.
func (c *client) frame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:2]); err != nil {
		return nil, err
	}
	size := int(head[1])
	if head[0] != 0x81 || size > 126 {
		return nil, fmt.Errorf("a frame that begins % x is not a whole text of less than 64 KiB", head[:2])
	}
	if size == 126 {
		if _, err := io.ReadFull(c.in, head[2:]); err != nil {
			return nil, err
		}
		size = int(binary.BigEndian.Uint16(head[2:]))
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(c.in, frame)
	return frame, err
}
