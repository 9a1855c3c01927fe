package edge_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// onlooker is a session of a crowd: it counts numbered messages, with as little
// work as there can be.
type onlooker struct {
	conn net.Conn
	br   *bufio.Reader
	next int // number of the message that must come
}

// onlook signs in. The socket of a client that will not read takes little.
func (m *mesh) onlook(user int, small bool) *onlooker {
	m.t.Helper()
	var dialer net.Dialer
	if small {
		dialer.Control = func(_, _ string, c syscall.RawConn) (err error) {
			control := c.Control(func(fd uintptr) {
				err = errors.Join(
					syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10),
					// Loopback's long segments would have the kernel buffer a megabyte for the edge.
					syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536),
				)
			})
			if control != nil {
				return control
			}
			return err
		}
	}
	c, err := dialer.DialContext(m.ctx(), "tcp", m.addr)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(80 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /api/v1/ws?token=u%d HTTP/1.1\r\n%s\r\n", user, upgradeHead)
	o := &onlooker{conn: c, br: bufio.NewReaderSize(c, 16<<10)}
	if _, err := http.ReadResponse(o.br, nil); err != nil {
		m.t.Fatal(err)
	}
	if op, payload := readFrame(m.t, o.br); op != 1 || !bytes.Contains(payload, []byte(`"hello"`)) {
		m.t.Fatalf("got frame %d %q, want hello", op, payload)
	}
	return o
}

// until reads up to a message; each must be the one that comes next.
func (o *onlooker) until(last int) error {
	for o.next <= last {
		h, err := ws.ReadHeader(o.br)
		if err != nil {
			return fmt.Errorf("before message %d: %w", o.next, err)
		}
		begin, err := o.br.Peek(min(int(h.Length), 200)) // as far as its number
		if err != nil {
			return fmt.Errorf("in message %d: %w", o.next, err)
		}
		if want := fmt.Appendf(nil, `"title":"%d `, o.next); !bytes.Contains(begin, want) {
			return fmt.Errorf("got frame %d %q, want %s", h.OpCode, begin, want)
		}
		if _, err := o.br.Discard(int(h.Length)); err != nil {
			return fmt.Errorf("in message %d: %w", o.next, err)
		}
		o.next++
	}
	return nil
}

// TestSleepersInACrowd: hundreds of sessions that do not read, among thousands
// that do, keep nothing from these, cost the edge a frame each, not what they have
// missed, and get all of it once they read: once each and in order, although the
// ring has left them behind.
func TestSleepersInACrowd(t *testing.T) {
	const awake, asleep, messages, size, burst = 3000, 500, 60, 8 << 10, 10
	m := newMesh(t, edge.Config{Loops: 2, RingBytes: 256 << 10})
	var crowd, sleepers []*onlooker
	for i := range awake + asleep {
		o := m.onlook(i, i%7 == 0 && len(sleepers) < asleep)
		if i%7 == 0 && len(sleepers) < asleep {
			sleepers = append(sleepers, o)
		} else {
			crowd = append(crowd, o)
		}
	}
	each := func(of []*onlooker, last int) {
		t.Helper()
		var wg sync.WaitGroup
		for _, o := range of {
			wg.Go(func() {
				if err := o.until(last); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	before := heap()
	text := strings.Repeat("x", size)
	for i := 0; i < messages; i += burst {
		for n := range burst {
			m.publish(wire.Broadcast(), fmt.Sprint(i+n, " ", text))
		}
		each(crowd, i+burst-1)
	}
	published := int64(messages * size)
	// The log itself is in this process, and so is what a reader made while it grew.
	grown := int64(heap()) - int64(before) - 2*published
	t.Logf("%d sleepers hold %d KiB", len(sleepers), grown>>10)
	if most := int64(asleep * 4 * size); grown > most {
		t.Errorf("%d sessions that do not read cost %d bytes, want at most %d: they have missed %d each", asleep, grown, most, published)
	}
	each(sleepers, messages-1)
	m.log.mu.Lock()
	pages := m.log.pages
	m.log.mu.Unlock()
	if pages < asleep {
		t.Errorf("%d pages were read of the stream: the ring has not left all %d behind", pages, asleep)
	}
	m.publish(wire.Broadcast(), fmt.Sprint(messages, " live"))
	each(append(crowd, sleepers...), messages)
	if n := m.edge.Sessions(); n != awake+asleep {
		t.Errorf("%d sessions, want %d", n, awake+asleep)
	}
}
