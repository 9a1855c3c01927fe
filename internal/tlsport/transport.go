package tlsport

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

// transport is the net.Conn below a tls.Conn. During the handshake it waits, by
// the runtime's poller; afterwards, in a relay, it never does.
type transport struct {
	// Of the handshake. Not a net.TCPConn: making one sets TCP options, where those
	// that the socket has from its listener must stay.
	file   *os.File
	turns  turns
	header [recordHeader]byte
	have   int // bytes of the header of the record that is being read
	body   int // bytes of it that are still to be read

	// Of the relay.
	fd    int
	out   []byte // what the socket has not taken
	empty bool   // nothing is there to be read until the next event
	ended bool   // the peer has ended its side: no event will say so again
}

const recordHeader = 5 // bytes; the last two are the length of what follows: RFC 8446, 5.1

// maxOut bounds what a transport keeps for its socket. A relay adds a record at
// most, and only when there is nothing; beyond that are answers to a client that
// asks for new keys over and over and reads nothing (RFC 8446, 4.6.3).
const maxOut = 64 << 10

var errOut = errors.New("the peer does not read")

func newTransport(fd int, t turns) *transport {
	return &transport{file: os.NewFile(uintptr(fd), "TLS handshake"), fd: -1, turns: t}
}

// turns bounds the handshakes that compute at the same time. Thousands that wait for
// their clients cost nothing; thousands that sign would have everything else of this
// process wait in the scheduler's queue for seconds.
type turns chan struct{}

func (t turns) take() { t <- struct{}{} }
func (t turns) give() { <-t }

// take ends the handshake's use of the socket and gives it back.
func (t *transport) take() (int, error) {
	defer t.file.Close()
	return netloop.Take(t)
}

// detach has t go on with a socket that does not wait.
func (t *transport) detach(fd int) { t.file, t.fd = nil, fd }

// betweenRecords: everything that was read were whole records. As one read never
// passes the end of a record, all that came behind the last is still in the socket.
func (t *transport) betweenRecords() bool { return t.have == 0 && t.body == 0 }

// Read implements net.Conn. In a relay it fails with os.ErrDeadlineExceeded when
// nothing is there, after which a tls.Conn may be read again.
func (t *transport) Read(b []byte) (int, error) {
	if t.file != nil {
		t.turns.give()
		defer t.turns.take()
		return t.readOfRecord(b)
	}
	if t.empty {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := netloop.Read(t.fd, b)
	switch {
	case errors.Is(err, netloop.ErrAgain):
		t.empty = true
		return 0, os.ErrDeadlineExceeded
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	t.empty = n < len(b) && !t.ended
	return n, nil
}

// readOfRecord reads no further than to the end of a record, or of its header.
func (t *transport) readOfRecord(b []byte) (int, error) {
	if t.body > 0 {
		n, err := t.file.Read(b[:min(len(b), t.body)])
		t.body -= n
		return n, err
	}
	n, err := t.file.Read(b[:min(len(b), recordHeader-t.have)])
	t.have += copy(t.header[t.have:], b[:n])
	if t.have == recordHeader {
		t.have, t.body = 0, int(binary.BigEndian.Uint16(t.header[3:]))
	}
	return n, err
}

// Write implements net.Conn. In a relay it keeps what the socket does not take.
func (t *transport) Write(b []byte) (int, error) {
	if t.file != nil {
		t.turns.give()
		defer t.turns.take()
		return t.file.Write(b)
	}
	n := 0
	if len(t.out) == 0 {
		var err error
		if n, err = netloop.Write(t.fd, b); err != nil && !errors.Is(err, netloop.ErrAgain) {
			return 0, err
		}
	}
	if len(t.out)+len(b)-n > maxOut {
		return 0, errOut
	}
	if n < len(b) {
		t.out = append(t.out, b[n:]...)
	}
	return len(b), nil
}

// flush writes what Write has kept. It reports whether nothing is left.
func (t *transport) flush() (bool, error) {
	for len(t.out) > 0 {
		n, err := netloop.Write(t.fd, t.out)
		if errors.Is(err, netloop.ErrAgain) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		t.out = t.out[n:]
	}
	t.out = nil
	return true, nil
}

// Close implements net.Conn. The handshake is ended by it; a relay closes its own
// socket.
func (t *transport) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

// SyscallConn implements syscall.Conn, for netloop.Take.
func (t *transport) SyscallConn() (syscall.RawConn, error) { return t.file.SyscallConn() }

// What else a net.Conn has. crypto/tls sets deadlines around its close_notify,
// which never waits here, and asks for no address.
func (t *transport) LocalAddr() net.Addr              { return nil }
func (t *transport) RemoteAddr() net.Addr             { return nil }
func (t *transport) SetDeadline(time.Time) error      { return nil }
func (t *transport) SetReadDeadline(time.Time) error  { return nil }
func (t *transport) SetWriteDeadline(time.Time) error { return nil }
