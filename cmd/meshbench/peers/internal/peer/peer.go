//go:build linux

// Package peer is what the measured servers have in common: they say where they
// listen, take broadcasts by a control connection, and end with their stdin.
//
// It is the same as meshbench's bare floor has it. The first line on stdout is a
// Ready. On the control connection a broadcast is 4 bytes of length (big endian)
// and a text; one byte comes back when the server has taken it. Until a server
// is measured, nothing else is written to stdout.
package peer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// Path is where sockets are taken.
const Path = "/api/v1/ws"

// maxText bounds one broadcast, bytes.
const maxText = 128 << 10

// Ready is the line a server prints when it listens.
type Ready struct {
	Addr    string `json:"addr"`    // of the sockets
	Control string `json:"control"` // of the control connection
	PID     int    `json:"pid"`
}

// Listen opens a port of 127.0.0.1 that the system chooses.
func Listen() (net.Listener, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening on loopback: %w", err)
	}
	return l, nil
}

// Serve says that sockets are taken at addr, and hands every text that comes by
// the control connection to broadcast. It returns nil when stdin ends, and else
// the first error of broadcast or of the control connection.
func Serve(addr string, stdin io.Reader, stdout io.Writer, broadcast func(text []byte) error) error {
	control, err := Listen()
	if err != nil {
		return err
	}
	defer control.Close()
	ended := make(chan error, 2)
	go func() {
		_, err := io.Copy(io.Discard, stdin)
		ended <- err
	}()
	go func() { ended <- take(control, broadcast) }()
	ready := Ready{Addr: addr, Control: control.Addr().String(), PID: os.Getpid()}
	if err := json.NewEncoder(stdout).Encode(ready); err != nil {
		return fmt.Errorf("saying where it listens: %w", err)
	}
	return <-ended
}

// take serves one control connection after the other.
func take(l net.Listener, broadcast func([]byte) error) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			return fmt.Errorf("taking a control connection: %w", err)
		}
		err = broadcasts(nc, broadcast)
		if err := errors.Join(err, nc.Close()); err != nil {
			return err
		}
	}
}

// broadcasts reads one control connection to its end.
func broadcasts(nc net.Conn, broadcast func([]byte) error) error {
	in := bufio.NewReaderSize(nc, 64<<10)
	var head [4]byte
	for {
		_, err := io.ReadFull(in, head[:])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a broadcast: %w", err)
		}
		size := binary.BigEndian.Uint32(head[:])
		if size > maxText {
			return fmt.Errorf("a broadcast of %d bytes; %d are allowed", size, maxText)
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(in, text); err != nil {
			return fmt.Errorf("reading a broadcast: %w", err)
		}
		if err := broadcast(text); err != nil {
			return fmt.Errorf("broadcasting: %w", err)
		}
		if _, err := nc.Write([]byte{1}); err != nil {
			return fmt.Errorf("answering a broadcast: %w", err)
		}
	}
}
