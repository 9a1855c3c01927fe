package edge

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/socialvibes/vibemesh/internal/limit"
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

// give passes a connection on to net/http. It does not block: while net/http is
// behind, the connection is refused.
func (e *Edge) give(a arrival) error {
	conn, err := netloop.Conn(a.fd)
	if err != nil {
		e.limits.Release(a.ticket)
		return err
	}
	return e.http.give(&prefixedConn{Conn: conn, prefix: a.read, client: a.client, edge: e, ticket: a.ticket})
}

func (h *handover) give(conn net.Conn) error {
	select {
	case <-h.done:
		return errors.Join(net.ErrClosed, conn.Close())
	default:
	}
	select {
	case h.conns <- conn:
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
		w.Header().Set("Sec-WebSocket-Version", "13") // RFC 6455, 4.4
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
	p, ok := conn.(*prefixedConn)
	if !ok {
		return
	}
	read.Write(p.prefix)
	a := arrival{read: read.Bytes(), client: p.client, passed: true}
	if a.fd, err = netloop.Take(p.Conn); err != nil {
		e.metrics.refused("http_upgrade")
		e.log.Error("taking a connection back", "err", err)
		return
	}
	a.ticket, p.ticket, p.taken = p.ticket, 0, true // it stays counted, and open
	l := e.loops[int(e.nextLoop.Add(1))%len(e.loops)]
	l.post(message{kind: msgConn, conn: a})
}

// prefixedConn is a connection of net/http's, whose first bytes a loop has read.
type prefixedConn struct {
	net.Conn
	prefix []byte
	client netip.AddrPort
	edge   *Edge
	once   sync.Once
	ticket limit.Ticket
	taken  bool // a loop goes on with it
	// lingers is set by once: a goroutine closes it.
	lingers bool
}

// RemoteAddr is the client's address, also behind a balancer.
func (c *prefixedConn) RemoteAddr() net.Addr {
	if c.client.IsValid() {
		return net.TCPAddrFromAddrPort(c.client)
	}
	return c.Conn.RemoteAddr()
}

// Close ends the connection, and gives its place to another one. It never waits: a
// server closes all it has one after the other, with its lock held. For a client that
// is slow to take the end of an answer, which the kernel's TLS would forget, somebody
// else waits a little.
func (c *prefixedConn) Close() error {
	c.once.Do(func() {
		c.edge.limits.Release(c.ticket)
		w, ok := c.Conn.(netloop.Waiter)
		if !ok || c.edge.cfg.TLS == nil || c.taken || !errors.Is(netloop.CloseNotifyNow(w), netloop.ErrAgain) {
			return
		}
		c.lingers = true
		go func() {
			_ = netloop.CloseNotifyConn(w, closePatience) //nolint:errcheck // it ends either way
			_ = c.Conn.Close()                            //nolint:errcheck // nobody is left to be told
		}()
	})
	if c.lingers {
		return nil
	}
	return c.Conn.Close()
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
