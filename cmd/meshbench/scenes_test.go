//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestStormOfConnects(t *testing.T) {
	b := newFakeEdge(t).bench(t)
	if _, err := b.connectStorm(timeout(t)); err == nil || !strings.Contains(err.Error(), "process is not known") {
		t.Errorf("of a server whose process is not known: %v", err)
	}
	b.fleet.stop()
	b = newFakeEdge(t).bench(t)
	b.pid = os.Getpid()
	p, err := b.connectStorm(timeout(t))
	m, err := b.finish(timeout(t), err)
	if err != nil || len(m.Faults) > 0 {
		t.Fatalf("%v, %v", err, m.Faults)
	}
	if p.Connect.Count != 12 || p.High < p.Before.RSS || p.High < p.After.RSS || p.Ratio < 0 {
		t.Errorf("%+v", p)
	}
}

// TestSlowSessions: who does not read for a while gets everything afterwards, and the
// others meanwhile.
func TestSlowSessions(t *testing.T) {
	b := newFakeEdge(t).bench(t)
	b.pid, b.slow = os.Getpid(), 5
	s, err := b.slowPhase(timeout(t), 4)
	m, err := b.finish(timeout(t), err)
	if err != nil || len(m.Faults) > 0 {
		t.Fatalf("%v, %v", err, m.Faults)
	}
	if s.Sockets != 5 || s.CatchUp.Count != 5*4 || s.CatchUp.Messages != 4 || s.FrameBytes < 300 {
		t.Errorf("%+v, %+v", s, s.CatchUp)
	}
	if !s.Before.sane() || !s.During.sane() || s.MemoryDuring.High < s.MemoryDuring.RSS || s.MemoryBefore.RSS <= 0 {
		t.Errorf("%+v", s)
	}
	// They have waited for as long as the others took, at least.
	if s.CatchUp.P50MS < s.During.P50MS {
		t.Errorf("slow ones were not slower: %v, %v", s.CatchUp.spread, s.During)
	}
}

func TestSlowSocketsAreSpreadEvenly(t *testing.T) {
	w := &worker{conf: command{Count: 10, Slow: 3}}
	var got []int
	for i := range 10 {
		if w.slow(i) {
			got = append(got, i)
		}
	}
	if len(got) != 3 || got[0] < 1 || got[1]-got[0] < 3 || got[2]-got[1] < 3 {
		t.Errorf("the slow ones of ten are %v", got)
	}
}

// TestExpressSocketsAreReadFirst: whoever else has something to read.
func TestExpressSocketsAreReadFirst(t *testing.T) {
	w := &worker{conf: command{First: 7, Count: 3}, mark: titleMark("abc123"), faults: map[string]int64{}, clock: newClock()}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(w.epoll)
	frame := appendTextFrame(nil, stamp{kind: kindBroadcast}.payload("abc123", 100))
	for i := range 3 {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fds[0])
		defer unix.Close(fds[1])
		w.socks = append(w.socks, sock{fd: int32(fds[0]), state: sockLive})
		if err := w.watch(unix.EPOLL_CTL_ADD, fds[0], int32(i), unix.EPOLLIN); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fds[1], frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.express([]int{8, 100}); err != nil { // the second is another worker's
		t.Fatal(err)
	}
	defer unix.Close(w.fast)
	w.serveExpress()
	if got := [3]uint32{w.socks[0].bseq, w.socks[1].bseq, w.socks[2].bseq}; got != [3]uint32{0, 1, 0} {
		t.Errorf("messages read by socket: %v", got)
	}
}

// fakeLog publishes to a fake edge, and by core NATS and for the consumer to a real
// server.
type fakeLog struct {
	*fakeEdge
	nats         *natsPublisher
	skip         byte // the second message of this kind is lost
	core, logged int
}

func (l *fakeLog) server() string { return l.nats.server() }

func (l *fakeLog) publishCore(subject string, data []byte) error {
	if l.core++; l.skip == kindCore && l.core == 2 {
		return nil
	}
	return l.nats.publishCore(subject, data)
}

func (l *fakeLog) publishAcked(ctx context.Context, to wire.Audience, payload []byte) error {
	if to.ID != nobody {
		return l.publish(ctx, to, payload)
	}
	if l.logged++; l.skip == kindLog && l.logged == 2 {
		return nil
	}
	return l.nats.publishAcked(ctx, to, payload)
}

func (l *fakeLog) push(ctx context.Context, of wire.Audience, subject string) (func() error, error) {
	return l.nats.push(ctx, of, subject)
}

func TestLatencyBesideCoreNATS(t *testing.T) {
	nats, err := newNATSPublisher(startTestNATS(t).ClientURL(), "sv")
	if err != nil {
		t.Fatal(err)
	}
	defer nats.close()
	run := func(t *testing.T, skip byte) (measure, error) {
		e := newFakeEdge(t)
		b := e.bench(t)
		b.pub = &fakeLog{fakeEdge: e, nats: nats, skip: skip}
		b.Latency, b.LatencyRate = 30, 1e6
		if skip != 0 {
			b.Wait = 300 * time.Millisecond
		}
		return b.run(timeout(t))
	}
	if _, err := run(t, 0); err == nil || !strings.Contains(err.Error(), "finding the log") {
		t.Errorf("without a log: %v", err)
	}
	log, err := nats.js.CreateStream(timeout(t), jetstream.StreamConfig{Name: "log", Subjects: []string{"sv.ws.>"}})
	if err != nil {
		t.Fatal(err)
	}
	// What is there already is not the consumer's.
	if err := nats.publishAcked(timeout(t), wire.User(nobody), []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	m, err := run(t, 0)
	if err != nil || len(m.Faults) > 0 {
		t.Fatalf("%v, %v", err, m.Faults)
	}
	l := m.Latency
	if l.Messages != 30 || l.Ratio <= 0 || l.LogRatio <= 0 || !l.Core.sane() || !l.Log.sane() || !l.Users.sane() || !l.Ack.sane() {
		t.Errorf("%+v", l)
	}
	for kind, want := range map[byte]string{
		kindCore: "core NATS lost or doubled a message", kindLog: "the log's consumer lost or doubled a message",
	} {
		if m, err := run(t, kind); err == nil || m.Faults[want] != 1 {
			t.Errorf("without one message of kind %c: %v, %v", kind, err, m.Faults)
		}
	}
	info, err := log.Info(timeout(t))
	if err != nil || info.State.Consumers != 0 || info.State.Msgs != 1+31+30+30 {
		t.Errorf("the log afterwards: %+v, %v", info.State, err)
	}
}

// TestSubscriberReadsWhatIsTorn: NATS's protocol in pieces of any size.
func TestSubscriberReadsWhatIsTorn(t *testing.T) {
	var stream []byte
	for k := range uint32(3) {
		for kind, head := range map[byte]string{kindCore: "MSG a.core 1 ", kindLog: "MSG sv.ws.user.x 1 $JS.ACK.log.c.1.1.1.1.0 "} {
			data := envelopeOf(stamp{kind: kind, seq: k}.payload("abc123", 200))
			stream = append(stream, head+strconv.Itoa(len(data))+"\r\n"+string(data)+"\r\n+OK\r\n"...)
		}
	}
	for size := 1; size <= len(stream); size++ {
		w := &worker{mark: titleMark("abc123"), faults: map[string]int64{}}
		var rest []byte
		for b := stream; len(b) > 0; b = b[min(size, len(b)):] {
			var err error
			if rest, err = w.coreLines(append(rest, b[:min(size, len(b))]...), 1); err != nil {
				t.Fatal(err)
			}
		}
		if w.tally.got != 3 || w.core.log.n != 3 || len(w.faults) > 0 || len(rest) > 0 {
			t.Fatalf("in pieces of %d: %d messages, %v, %q is left", size, w.tally.got, w.faults, rest)
		}
	}
	w := &worker{faults: map[string]int64{}}
	if _, err := w.coreLines([]byte("-ERR 'Authorization Violation'\r\n"), 1); err == nil {
		t.Error("a refusal was not noticed")
	}
	if _, err := w.coreLines([]byte("MSG a 1 x\r\n"), 1); err == nil {
		t.Error("a message of no size was not noticed")
	}
}

// TestCompressedMessages: a server that compresses is measured as any other.
func TestCompressedMessages(t *testing.T) {
	e := newFakeEdge(t)
	e.packs = true
	b := e.bench(t)
	b.deflate, b.Resume, b.Size = true, 3, 2000
	m, err := b.run(timeout(t))
	if err != nil || len(m.Faults) > 0 {
		t.Fatalf("%v, %v", err, m.Faults)
	}
	if m.FrameBytes < 2000 || m.Paced.WireBytes > float64(m.FrameBytes)*.8 || m.Paced.WireBytes < 100 {
		t.Errorf("%v bytes on the wire of messages of %d", m.Paced.WireBytes, m.FrameBytes)
	}
	t.Run("not agreed", func(t *testing.T) {
		b := newFakeEdge(t).bench(t)
		b.deflate = true
		if m, err := b.run(timeout(t)); err == nil || m.Faults["upgrade without the compression that was offered"] != 12 {
			t.Errorf("%v, %v", err, m.Faults)
		}
	})
}

func TestInflate(t *testing.T) {
	var f inflater
	long := strings.Repeat("a", maxFrame)
	for _, text := range []string{"one", "one", "two", "", long, "one"} {
		got, ok := f.inflate(deflated(text))
		if !ok || string(got) != text {
			t.Fatalf("%.10q of %d bytes: %v, %d bytes", text, len(text), ok, len(got))
		}
		got, ok = f.inflate([]byte{0xff, 0xff, 0xff})
		if ok {
			t.Fatalf("nonsense became %q", got)
		}
	}
	if _, ok := f.inflate(deflated(long + "a")); ok {
		t.Error("a message longer than maxFrame passed")
	}
	w := &worker{}
	frame := (fakeClient{packed: true}).append(nil, "hi")
	if _, _, n := w.nextMessage(&sock{}, frame); n != -1 {
		t.Error("a compressed frame passed where nothing was agreed")
	}
	for cut := range frame {
		if _, _, n := w.nextMessage(&sock{deflate: true}, frame[:cut]); n != 0 {
			t.Errorf("the first %d bytes: %d", cut, n)
		}
	}
	if op, text, n := w.nextMessage(&sock{deflate: true}, frame); op != opText || string(text) != "hi" || n != len(frame) {
		t.Errorf("%d, %q, %d", op, text, n)
	}
}

// TestSlowSocketHasLittleRoom: the kernel takes what a slow socket asks for.
func TestSlowSocketHasLittleRoom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to, err := loopback(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := makeSlow(fd); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	err = raw.Write(func(server uintptr) bool {
		var chunk [1000]byte
		for {
			n, err := unix.Write(int(server), chunk[:])
			if err != nil {
				return true
			}
			written += n
		}
	})
	if err != nil || written > 1<<20 {
		t.Errorf("%d bytes went into a socket that nobody reads, %v", written, err)
	}
}
