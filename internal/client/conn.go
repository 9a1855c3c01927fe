package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// MaxServerFrame is the largest message a client accepts, in bytes. An edge's are
// an envelope of at most 64 KiB and its addressing.
const MaxServerFrame = 128 << 10

// writeTimeout and closeTimeout bound every write, so that a peer which stops
// reading cannot hold a goroutine; a goodbye is worth less waiting.
const (
	writeTimeout = 10 * time.Second
	closeTimeout = time.Second
)

// silenceGrace is added to twice the edge's ping interval before a quiet
// connection counts as dead.
const silenceGrace = 5 * time.Second

// Conn is one session. Next belongs to one goroutine at a time; Send and Close
// may be called by any.
type Conn struct {
	nc net.Conn

	// Owned by the goroutine in Next.
	br      *bufio.Reader
	silence time.Duration // longest quiet time; 0 before hello: no limit
	err     error         // how the session ended; every later Next repeats it

	wmu    sync.Mutex // guards what follows, and writes
	closed bool       // a close frame was sent: nothing may follow (RFC 6455, 5.5.1)
}

// Next waits for the next frame of the protocol, and answers pings meanwhile. After an
// error the session is over and the connection is closed; the end of ctx while
// Next waits is such an error.
func (c *Conn) Next(ctx context.Context) (wire.ServerFrame, error) {
	if c.err != nil {
		return nil, c.err
	}
	f, err := c.next(ctx)
	if err != nil {
		c.err = err
		_ = c.nc.Close() // the error that brought us here is the one to tell
		return nil, err
	}
	if hello, ok := f.(wire.Hello); ok && hello.Ping > 0 {
		c.silence = 2*time.Duration(hello.Ping)*time.Second + silenceGrace
	}
	return f, nil
}

func (c *Conn) next(ctx context.Context) (wire.ServerFrame, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	text, err := c.readMessage(ctx)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if !utf8.Valid(text) { // RFC 6455, 8.1
		c.sendClose(wire.CloseInvalidText)
		return nil, fmt.Errorf("%w: not valid UTF-8", wire.ErrFrame)
	}
	f, err := wire.ParseServerFrame(text)
	if err != nil {
		c.sendClose(wire.CloseProtocol)
	}
	return f, err
}

// readMessage reads up to the end of one text message, of one frame or several.
func (c *Conn) readMessage(ctx context.Context) ([]byte, error) {
	var message []byte
	state := ws.StateClientSide
	for {
		if err := c.extendDeadline(ctx); err != nil {
			return nil, err
		}
		h, err := ws.ReadHeader(c.br)
		if err != nil {
			return nil, err
		}
		if err := ws.CheckHeader(h, state); err != nil {
			return nil, err
		}
		if h.OpCode.IsControl() {
			if err := c.control(h); err != nil {
				return nil, err
			}
			continue
		}
		if h.OpCode == ws.OpBinary {
			return nil, ErrBinary
		}
		// Before any allocation: the length is the peer's to choose.
		if h.Length < 0 || h.Length > int64(MaxServerFrame-len(message)) {
			return nil, ErrTooBig
		}
		start := len(message)
		message = append(message, make([]byte, h.Length)...)
		if _, err := io.ReadFull(c.br, message[start:]); err != nil {
			return nil, err
		}
		if h.Fin {
			return message, nil
		}
		state = state.Set(ws.StateFragmented)
	}
}

// extendDeadline allows another silence from now on.
func (c *Conn) extendDeadline(ctx context.Context) error {
	var until time.Time
	if c.silence > 0 {
		until = time.Now().Add(c.silence)
	}
	if err := c.nc.SetReadDeadline(until); err != nil {
		return err
	}
	return ctx.Err() // it may have ended before the line above, and been overwritten
}

// control answers one control frame. A close frame is an error, *CloseError.
func (c *Conn) control(h ws.Header) error {
	var payload [ws.MaxControlFramePayloadSize]byte
	p := payload[:h.Length] // CheckHeader has seen to the length
	if _, err := io.ReadFull(c.br, p); err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		return c.write(ws.NewPongFrame(p))
	case ws.OpClose:
		return c.closedBy(p)
	}
	return nil
}

// closedBy answers a close frame with its own code (RFC 6455, 5.5.1).
func (c *Conn) closedBy(p []byte) error {
	if len(p) == 1 {
		return ws.ErrProtocolStatusCodeNotInUse
	}
	code, reason := ws.StatusNoStatusRcvd, "" // RFC 6455, 7.1.5
	var answer []byte
	if len(p) > 0 {
		code, reason = ws.ParseCloseFrameData(p)
		// IANA has registered 1012 to 1014 since RFC 6455; gobwas does not know them.
		known := code >= 1012 && code <= 1014
		if err := ws.CheckCloseFrameData(code, reason); err != nil && !(known && utf8.ValidString(reason)) {
			return err
		}
		answer = ws.NewCloseFrameBody(code, "")
	}
	_ = c.writeLast(ws.NewCloseFrame(answer)) // the peer may be gone already
	return &CloseError{Code: int(code), Reason: reason, Retry: wire.RetryAfterClose(int(code))}
}

// explain turns what reading ran into into what happened, and tells the server
// of a protocol error.
func (c *Conn) explain(ctx context.Context, err error) error {
	var (
		protocol ws.ProtocolError
		closed   *CloseError
	)
	switch {
	case errors.As(err, &closed):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.sendClose(wire.CloseIdle)
		return ErrSilent
	case errors.Is(err, ErrTooBig):
		c.sendClose(wire.CloseTooBig)
	case errors.Is(err, ErrBinary):
		c.sendClose(wire.CloseBinary)
	case errors.As(err, &protocol), errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, ws.ErrHeaderLengthUnexpected):
		c.sendClose(wire.CloseProtocol)
		return fmt.Errorf("client: the server broke the WebSocket protocol: %w", err)
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("client: the connection ended without a close frame: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// Send writes one frame of the protocol. A deadline of ctx shortens the ten
// seconds that a write may take.
func (c *Conn) Send(ctx context.Context, f wire.ClientFrame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	if len(text) > wire.MaxClientFrame {
		return fmt.Errorf("client: a frame of %d bytes is larger than the %d an edge accepts", len(text), wire.MaxClientFrame)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closed {
		return ErrClosed
	}
	until := time.Now().Add(writeTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	return c.writeLocked(until, ws.NewTextFrame(text))
}

// Close says goodbye with a close code (wire.CloseNormal as a rule) and closes
// the connection without waiting for the answer, within about a second. A Next that waits ends with
// ErrClosed.
func (c *Conn) Close(code int) error {
	c.sendClose(code)
	return c.nc.Close()
}

func (c *Conn) sendClose(code int) {
	// The connection ends either way.
	_ = c.writeLast(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusCode(code), "")))
}

func (c *Conn) write(f ws.Frame) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closed {
		return ErrClosed
	}
	return c.writeLocked(time.Now().Add(writeTimeout), f)
}

func (c *Conn) writeLast(f ws.Frame) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if c.closed {
		return ErrClosed
	}
	c.closed = true
	return c.writeLocked(time.Now().Add(closeTimeout), f)
}

func (c *Conn) writeLocked(until time.Time, f ws.Frame) error {
	if err := c.nc.SetWriteDeadline(until); err != nil {
		return err
	}
	// One write: a header on its own would be a packet on its own.
	raw, err := ws.CompileFrame(ws.MaskFrameInPlace(f))
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_, err = c.nc.Write(raw)
	return err
}
