package prometheus_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// gate is the way of one process to NATS. It can shut the way of the connections that
// follow the log, and of them alone.
type gate struct {
	ln   net.Listener
	to   string
	shut atomic.Bool

	mu    sync.Mutex
	tails []net.Conn
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{ln: ln, to: to}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go g.carry(c)
		}
	}()
	return g
}

// carry brings bytes to and fro. A server of NATS speaks first, then the client's CONNECT
// says the name of the connection.
func (g *gate) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		io.Copy(client, server) //nolint:errcheck // ends with the connection
	}()
	in := bufio.NewReader(client)
	connect, err := in.ReadBytes('\n')
	if err != nil {
		return
	}
	if bytes.Contains(connect, []byte(`"name":"vibemesh tail `)) {
		if g.shut.Load() {
			return
		}
		g.mu.Lock()
		g.tails = append(g.tails, client)
		g.mu.Unlock()
	}
	if _, err := server.Write(connect); err == nil {
		io.Copy(server, in) //nolint:errcheck // ends with the connection
	}
}

// close shuts the way of the tail, which is connected now.
func (g *gate) close() {
	g.shut.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.tails {
		c.Close()
	}
	g.tails = nil
}

func (g *gate) open()       { g.shut.Store(false) }
func (g *gate) url() string { return "nats://" + g.ln.Addr().String() }
