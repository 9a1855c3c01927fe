//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
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
	if len(os.Args) > 1 && slices.Contains([]string{"worker", "floor", "onlooker"}, os.Args[1]) {
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
	forgets bool   // it takes no cursor, and does not say so but in hello
	packs   bool   // it compresses for who offers that

	mu    sync.Mutex // guards what follows, and writes to conns
	log   []fakeEntry
	conns map[net.Conn]fakeClient
	wg    sync.WaitGroup
}

type fakeClient struct {
	user   string
	packed bool
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
	e := &fakeEdge{t: t, listener: l, conns: map[net.Conn]fakeClient{}}
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
	who := fakeClient{id.UID, e.packs && req.Header.Get("Sec-WebSocket-Extensions") != ""}
	out := []byte("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + wsAccept + "\r\n")
	if who.packed {
		out = append(out, deflateOffer...)
	}
	out = append(out, "\r\n"...)
	from := len(e.log)
	if c := req.URL.Query().Get("cursor"); c != "" {
		from, _ = strconv.Atoi(c)
	}
	out = appendTextFrame(out, fmt.Appendf(nil, `{"type":"hello","cursor":"%d","resumed":%t}`, from, req.URL.Query().Has("cursor") && !e.forgets))
	out = append(out, 0x80|opPing, 2, 'h', 'i') // it must be answered, and disturb nothing
	for n, entry := range e.log[from:] {
		if entry.user == "" || entry.user == id.UID {
			out = who.append(out, e.numbered(entry, from+n))
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
	e.conns[nc] = who
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

// append appends a text frame as the client is to get it.
func (c fakeClient) append(dst []byte, text string) []byte {
	if !c.packed {
		return appendTextFrame(dst, []byte(text))
	}
	at := len(dst)
	dst = appendTextFrame(dst, deflated(text))
	dst[at] |= rsv1
	return dst
}

// deflated is a compressed message without its tail. RFC 7692, 7.2.1.
func deflated(text string) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		panic(err) // a Buffer takes everything
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
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
	for nc, who := range e.conns {
		user := who.user
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
			_, _ = nc.Write(who.append(nil, f)) // who has left does not matter
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
