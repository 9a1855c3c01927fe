//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestMain lets the test binary be the worker and floor processes that a run starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "worker" || os.Args[1] == "floor") {
		main()
		return
	}
	os.Exit(m.Run())
}

// fakeEdge is a small honest edge with a log in memory, and a publisher to it.
// Its faults are what a test makes of deliver and greet.
type fakeEdge struct {
	t        *testing.T
	listener net.Listener

	// deliver gives the frames that are written to user for one entry of the log.
	deliver func(user string, entry string, n int) []string
	greet   string // the answer to the upgrade and the hello; empty: a good one

	mu    sync.Mutex // guards what follows, and writes to conns
	log   []fakeEntry
	conns map[net.Conn]string
	wg    sync.WaitGroup
}

type fakeEntry struct {
	user  string // empty: everybody
	frame string
}

func newFakeEdge(t *testing.T) *fakeEdge {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &fakeEdge{t: t, listener: l, conns: map[net.Conn]string{}}
	e.wg.Go(e.accept)
	t.Cleanup(func() {
		l.Close()
		e.mu.Lock()
		for nc := range e.conns {
			nc.Close()
		}
		e.mu.Unlock()
		e.wg.Wait()
	})
	return e
}

func (e *fakeEdge) accept() {
	for {
		nc, err := e.listener.Accept()
		if err != nil {
			return
		}
		e.wg.Go(func() { e.serve(nc) })
	}
}

func (e *fakeEdge) serve(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReader(nc)
	req, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	id, err := auth.NewDev(auth.DevProject, auth.DefaultPublishClaim).Verify(context.Background(), token)
	if err != nil {
		e.t.Errorf("fake edge: %v", err)
		return
	}
	if e.greet != "" {
		fmt.Fprint(nc, e.greet)
		_, _ = in.ReadByte() // until the client leaves
		return
	}
	e.mu.Lock()
	out := []byte("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + wsAccept + "\r\n\r\n")
	from := len(e.log)
	if c := req.URL.Query().Get("cursor"); c != "" {
		from, _ = strconv.Atoi(c)
	}
	out = appendTextFrame(out, fmt.Appendf(nil, `{"type":"hello","cursor":"%d"}`, from))
	out = append(out, 0x80|opPing, 2, 'h', 'i') // it must be answered, and disturb nothing
	for n, entry := range e.log[from:] {
		if entry.user == "" || entry.user == id.UID {
			out = appendTextFrame(out, []byte(e.numbered(entry, from+n)))
		}
	}
	for len(out) > 0 { // in pieces, so that frames arrive torn
		n := min(len(out), 100)
		if _, err := nc.Write(out[:n]); err != nil {
			e.mu.Unlock()
			return
		}
		out = out[n:]
	}
	e.conns[nc] = id.UID
	e.mu.Unlock()
	var pong [8]byte
	if n, _ := in.Read(pong[:]); n > 0 && !bytes.Equal(pong[:n], []byte{0x80 | opPong, 0x82, 0, 0, 0, 0, 'h', 'i'}) {
		e.t.Errorf("fake edge: the answer to a ping was % x", pong[:n])
	}
	_, _ = in.ReadByte()
	e.mu.Lock()
	delete(e.conns, nc)
	e.mu.Unlock()
}

func (e *fakeEdge) numbered(entry fakeEntry, n int) string {
	return fmt.Sprintf(`{"type":"toast","cursor":"%d","payload":%s}`, n+1, entry.frame)
}

func (e *fakeEdge) publish(_ context.Context, to wire.Audience, payload []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	entry := fakeEntry{user: to.ID, frame: string(payload)}
	n := len(e.log)
	e.log = append(e.log, entry)
	for nc, user := range e.conns {
		if entry.user != "" && entry.user != user && e.deliver == nil {
			continue
		}
		frames := []string{e.numbered(entry, n)}
		if e.deliver != nil {
			frames = e.deliver(user, frames[0], n)
		}
		for _, f := range frames {
			if f == "close" {
				_, _ = nc.Write([]byte{0x80 | opClose, 2, 4001 >> 8, 4001 & 255})
				continue
			}
			_, _ = nc.Write(appendTextFrame(nil, []byte(f))) // who has left does not matter
		}
	}
	return nil
}

func (e *fakeEdge) flush(context.Context) error { return nil }
func (e *fakeEdge) close()                      {}

// bench measures the fake with few sockets.
func (e *fakeEdge) bench(t *testing.T) *bench {
	return &bench{
		plan: plan{Sockets: 12, ConnectRate: 1000, Broadcasts: 3, Burst: 7, Size: 300, Wait: 10 * time.Second},
		name: "fake", addr: e.listener.Addr().String(), pub: e, note: func(string, ...any) {},
	}
}
