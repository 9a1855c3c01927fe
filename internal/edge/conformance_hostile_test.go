package edge_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// heapInUse is how many bytes of objects are alive.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

const manyFrames = 100_000

// TestControlFlood: 100,000 pings. A client that may send a few is answered as many,
// and closed; an edge that counts none (the echo) answers them all. Neither keeps any.
func TestControlFlood(t *testing.T) {
	flood := bytes.Repeat(ping("flood"), manyFrames)
	for name, m := range map[string]*mesh{"counted": newMesh(t, edge.Config{Loops: 1}), "not counted": newEcho(t)} {
		t.Run(name, func(t *testing.T) {
			d := m.talk(t, "")
			before := heapInUse()
			sent := d.send(flood, len(flood))
			pongs, end := 0, ""
			for end == "" {
				got, err := d.message()
				switch {
				case err != nil:
					t.Fatalf("after %d pongs: %v", pongs, err)
				case got == "pong flood":
					if pongs++; name != "counted" && pongs == manyFrames {
						end = "all are answered"
					}
				default:
					end = got
				}
			}
			if err := <-sent; err != nil {
				t.Fatal(err)
			}
			if now := heapInUse(); now > before+1<<20 {
				t.Errorf("%d bytes of heap, before the flood %d", now, before)
			}
			if name == "counted" && (end != "close 4003" || pongs == 0 || pongs > 200) {
				t.Errorf("%d pongs, and then %q, want close %d", pongs, end, wire.CloseRateLimited)
			}
		})
	}
}

// TestEmptyFragments: a message may have many fragments, but not for ever.
func TestEmptyFragments(t *testing.T) {
	m := newEcho(t)
	e := exchange{"", all(frame(1, "a"), bytes.Repeat(frame(0, ""), manyFrames)), nil, wire.CloseRateLimited}
	if err := e.hold(m.talk(t, ""), len(e.send)); err != nil {
		t.Error(err)
	}
}

// TestAnnouncedSizes: what many clients announce, and never send, is not allocated.
func TestAnnouncedSizes(t *testing.T) {
	m := newEcho(t)
	const clients = 200
	before := heapInUse()
	var talks []*dialogue
	for range clients {
		d := m.talk(t, "")
		// 64 KiB, of which the header comes, and then one byte.
		if err := <-d.send([]byte("\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00x"), 1); err != nil {
			t.Fatal(err)
		}
		talks = append(talks, d)
	}
	if now := heapInUse(); now > before+clients*(16<<10) {
		t.Errorf("%d bytes of heap a client that announced 64 KiB", (now-before)/clients)
	}
	for _, d := range talks {
		d.conn.Close()
	}
	m.gone(5 * time.Second)
}

// halfClose ends the client's side of the connection only.
func (d *dialogue) halfClose() {
	d.t.Helper()
	if err := d.conn.(*net.TCPConn).CloseWrite(); err != nil {
		d.t.Fatal(err)
	}
}

// TestOwedToTheHalfClosed: a client that ends its side gets what it was owed, and the end
// (RFC 6455, 7.1.1: without a close frame that is not clean, but an end).
func TestOwedToTheHalfClosed(t *testing.T) {
	m := newEcho(t)
	for _, tt := range []struct {
		name string
		send []byte
		want []string
	}{
		{"at once", nil, nil},
		{"after a message", text("Hello"), []string{"text Hello"}},
		{"after a ping", ping("p"), []string{"pong p"}},
		{"inside a header", text("Hello")[:1], nil},
		{"inside a frame", text("Hello")[:8], nil},
		{"inside a message", frame(1, "Hello"), nil},
		{"after a message and half of one", all(text("Hello"), frame(1, "Hel")), []string{"text Hello"}},
		{"after a close", closing(1000, ""), []string{"close 1000"}},
		{"after what breaks a rule", frame(fin|rsv2|1, ""), []string{"close 1002"}},
		{"after 64 KiB", text(strings.Repeat("*", 64<<10)), []string{"text " + strings.Repeat("*", 64<<10)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := m.talk(t, "")
			if err := <-d.send(tt.send, len(tt.send)+1); err != nil {
				t.Fatal(err)
			}
			d.halfClose()
			for _, want := range tt.want {
				if got, err := d.message(); err != nil || got != want {
					t.Fatalf("got %.60q %v, want %.60q", got, err, want)
				}
			}
			if _, err := d.read.ReadByte(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Fatalf("%v, want the end", err)
			}
			d.conn.Close()
			m.gone(5 * time.Second)
		})
	}
}
