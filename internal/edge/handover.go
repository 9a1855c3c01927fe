package edge

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

// handover is a net.Listener of the connections that turned out not to be
// upgrades: net/http serves them, the bytes already read included.
type handover struct {
	addr  net.Addr
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn, 256), done: make(chan struct{})}
}

// give passes a socket on with what was read from it. It does not block: while
// net/http is that far behind, the connection is refused.
func (h *handover) give(fd int, read []byte) error {
	conn, err := netloop.Conn(fd)
	if err != nil {
		return err
	}
	select {
	case <-h.done:
		return errors.Join(net.ErrClosed, conn.Close())
	default:
	}
	select {
	case h.conns <- &prefixedConn{Conn: conn, prefix: read}:
		select {
		case <-h.done: // Close may have looked before
			return h.Close()
		default:
			return nil
		}
	default:
		return errors.Join(errors.New("the HTTP server is behind"), conn.Close())
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.done) })
	var errs []error
	for {
		select {
		case c := <-h.conns:
			errs = append(errs, c.Close())
		default:
			return errors.Join(errs...)
		}
	}
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }

// ServeHTTP takes an upgrade that came over a connection which net/http was given
// for another request, and gives it back to a loop: a proxy uses its connections
// for both.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || r.Header.Get("Upgrade") == "" || r.ContentLength != 0 {
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this is a WebSocket: connect with a client that upgrades", http.StatusUpgradeRequired)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "this connection cannot be upgraded", http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	var read bytes.Buffer
	// The path as the loop knows it, however it was written: it must not come back.
	fmt.Fprintf(&read, "GET %s?%s HTTP/1.1\r\nHost: %s\r\n", e.cfg.Path, r.URL.RawQuery, r.Host)
	if err := r.Header.Write(&read); err != nil {
		return
	}
	read.WriteString("\r\n")
	behind, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		return
	}
	read.Write(behind)
	if p, ok := conn.(*prefixedConn); ok {
		read.Write(p.prefix)
		conn = p.Conn
	}
	fd, err := netloop.Take(conn)
	if err != nil {
		e.metrics.refused("http_upgrade")
		e.log.Error("taking a connection back", "err", err)
		return
	}
	l := e.loops[int(e.nextLoop.Add(1))%len(e.loops)]
	l.post(message{kind: msgConn, fd: fd, read: read.Bytes()})
}

type prefixedConn struct {
	net.Conn
	prefix []byte
}

func (c *prefixedConn) Read(b []byte) (int, error) {
	if len(c.prefix) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.prefix)
	if c.prefix = c.prefix[n:]; len(c.prefix) == 0 {
		c.prefix = nil
	}
	return n, nil
}
