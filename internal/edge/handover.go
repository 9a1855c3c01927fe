package edge

import (
	"errors"
	"net"
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
		return nil
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
	for {
		select {
		case c := <-h.conns:
			if err := c.Close(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }

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
