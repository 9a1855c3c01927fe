package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// socket is a WebSocket of a client, with as little memory as it takes.
type socket struct {
	conn   net.Conn
	reader *bufio.Reader
	buffer []byte // of the message read last
}

const (
	dialLimit  = 5 * time.Second // to connect and be upgraded
	writeLimit = 5 * time.Second
	maxMessage = 128 << 10
)

// refusal is an HTTP answer to the upgrade other than 101.
type refusal struct {
	status     int
	retryAfter time.Duration
}

func (r *refusal) Error() string { return fmt.Sprintf("refused with %d", r.status) }

// closing is a close frame of the server.
type closing struct {
	code   int
	reason string
}

func (c *closing) Error() string { return fmt.Sprintf("closed with %d %s", c.code, c.reason) }

// forGood reports whether a client may not come back as it is. With 4401 it may: it
// brings a new token, which here is the same one, since it is good.
func (c *closing) forGood() bool {
	return wire.RetryAfterClose(c.code) != wire.RetryBackoff && c.code != wire.CloseToken
}

// dial opens a session at an edge.
func dial(ctx context.Context, addr, token, cursor string, topics []string) (*socket, error) {
	query := url.Values{"topics": {strings.Join(topics, ",")}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	var refused *refusal
	dialer := ws.Dialer{
		Timeout: dialLimit, ReadBufferSize: 1024, WriteBufferSize: 1024,
		Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + token}},
		OnStatusError: func(status int, _ []byte, answer io.Reader) {
			refused = &refusal{status: status}
			if r, err := http.ReadResponse(bufio.NewReader(answer), nil); err == nil {
				defer r.Body.Close()
				if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil {
					refused.retryAfter = time.Duration(seconds) * time.Second
				}
			}
		},
	}
	conn, reader, _, err := dialer.Dial(ctx, "ws://"+addr+"/api/v1/ws?"+query.Encode())
	switch {
	case refused != nil:
		return nil, refused
	case err != nil:
		return nil, err
	case reader == nil:
		reader = bufio.NewReaderSize(conn, 1024)
	}
	return &socket{conn: conn, reader: reader}, nil
}

// next reads the next text message, which is good until the one after it is read. It answers
// pings. silence is the longest time without a byte.
func (s *socket) next(silence time.Duration) ([]byte, error) {
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return nil, err
		}
		h, err := ws.ReadHeader(s.reader)
		if err != nil {
			return nil, err
		}
		if err := ws.CheckHeader(h, ws.StateClientSide); err != nil {
			return nil, err
		}
		if h.Length > maxMessage {
			return nil, fmt.Errorf("a message of %d bytes", h.Length)
		}
		if cap(s.buffer) < int(h.Length) {
			s.buffer = make([]byte, h.Length)
		}
		payload := s.buffer[:h.Length]
		if _, err := io.ReadFull(s.reader, payload); err != nil {
			return nil, err
		}
		switch {
		case h.OpCode == ws.OpText && h.Fin:
			return payload, nil
		case h.OpCode == ws.OpPing:
			if err := s.write(ws.NewPongFrame(payload)); err != nil {
				return nil, err
			}
		case h.OpCode == ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			err := &closing{int(code), reason}
			return nil, errors.Join(err, s.write(ws.NewCloseFrame(ws.NewCloseFrameBody(code, ""))))
		case h.OpCode != ws.OpPong:
			return nil, fmt.Errorf("an edge sends whole text messages; this is %+v", h)
		}
	}
}

func (s *socket) write(f ws.Frame) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	raw, err := ws.CompileFrame(ws.MaskFrame(f))
	if err != nil {
		return err
	}
	_, err = s.conn.Write(raw)
	return err
}
