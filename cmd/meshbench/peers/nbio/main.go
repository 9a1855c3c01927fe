//go:build linux

// Nbio is a server on github.com/lesismal/nbio for meshbench to measure: its
// WebSocket upgrader in non-blocking mode, its defaults but for keepalive, which
// is off, and a broadcast that is one loop over all connections, each given the
// same finished bytes of a frame.
//
// It is less than a mesh's edge: nobody signs in, there are no subscriptions,
// no log and no resume, and a client that is silent is never looked after.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"

	"github.com/socialvibes/vibemesh/cmd/meshbench/peers/internal/peer"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "nbio:", err)
		os.Exit(1)
	}
}

const hello = `{"type":"hello","session":"0","node":"nbio","cursor":"AQAA","resumed":false,"ping":60,"expires":0}`

// server is who is connected.
type server struct {
	upgrader *websocket.Upgrader

	mu    sync.Mutex // guards what follows
	conns []*websocket.Conn
	frame []byte // of the broadcast, used again
}

// run serves until stdin ends.
func run(stdin io.Reader, stdout io.Writer) error {
	logging.SetLevel(logging.LevelNone) // it logs to stdout
	l, err := peer.Listen()
	if err != nil {
		return err
	}
	s := &server{upgrader: websocket.NewUpgrader()}
	s.upgrader.KeepaliveTime = 0 // otherwise who is silent for two minutes is dropped
	s.upgrader.OnClose(s.left)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+peer.Path, s.upgrade)
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{l.Addr().String()}, Handler: mux, IOMod: nbhttp.IOModNonBlocking,
		// The engine may set this just after the upgrade has cleared it, and would
		// then drop the connection; 0 would mean two minutes.
		KeepaliveTime: 24 * time.Hour,
		Listen:        func(string, string) (net.Listener, error) { return l, nil },
	})
	s.upgrader.Engine = engine
	if err := engine.Start(); err != nil {
		return fmt.Errorf("starting the engine: %w", err)
	}
	defer engine.Stop()
	return peer.Serve(l.Addr().String(), stdin, stdout, s.broadcast)
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request) {
	c, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	// The hello goes out before anyone can broadcast to c.
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.WriteMessage(websocket.TextMessage, []byte(hello)) == nil {
		s.conns = append(s.conns, c)
	}
}

// left forgets a connection. They leave when a run is over, so a search is quick enough.
func (s *server) left(c *websocket.Conn, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.conns, c); i >= 0 {
		last := len(s.conns) - 1
		s.conns[i], s.conns[last] = s.conns[last], nil
		s.conns = s.conns[:last]
	}
}

// broadcast makes the frame once and writes it to everybody by the connection
// below nbio's framing; what a socket does not take at once, nbio keeps for it.
func (s *server) broadcast(text []byte) error {
	if len(text) > 1<<16-1 {
		return errors.New("a text of 64 KiB or more")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frame = append(s.frame[:0], 0x81) // RFC 6455, 5.2: one whole text
	if len(text) < 126 {
		s.frame = append(s.frame, byte(len(text)))
	} else {
		s.frame = binary.BigEndian.AppendUint16(append(s.frame, 126), uint16(len(text)))
	}
	s.frame = append(s.frame, text...)
	for _, c := range s.conns {
		_, _ = c.Conn.Write(s.frame) // who has left is told to left
	}
	return nil
}
