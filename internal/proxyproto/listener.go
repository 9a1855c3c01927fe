package proxyproto

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// headerTimeout is how long a header may take to come, from the first time that its
// connection is asked for anything.
const headerTimeout = 5 * time.Second

// NewListener gives the connections of ln with the addresses that their headers name, for
// servers that read by net.Conn. A header is read when the connection is first asked for
// its address or for bytes, by whoever serves it, so a slow one holds up nobody else. A
// connection without one ends with the error of Parse on its first read.
func NewListener(ln net.Listener) net.Listener { return listener{ln} }

type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

type conn struct {
	net.Conn
	once   sync.Once
	client netip.AddrPort
	rest   []byte // came with the header
	err    error
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.once.Do(c.readHeader)
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

// RemoteAddr is the client's address; the balancer's, if it names none.
func (c *conn) RemoteAddr() net.Addr {
	c.once.Do(c.readHeader)
	if c.client.IsValid() {
		return net.TCPAddrFromAddrPort(c.client)
	}
	return c.Conn.RemoteAddr()
}

// readHeader comes before the server sets a deadline of its own.
func (c *conn) readHeader() {
	if c.err = c.SetReadDeadline(time.Now().Add(headerTimeout)); c.err != nil {
		return
	}
	buf := make([]byte, 0, MaxSize)
	for {
		n, err := c.Conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		header, size, bad := Parse(buf)
		switch {
		case bad != nil:
			c.err = bad
			return
		case size > 0:
			c.client, c.rest = header.Source, buf[size:]
			c.err = c.SetReadDeadline(time.Time{})
			return
		case err != nil:
			c.err = err
			return
		}
	}
}
