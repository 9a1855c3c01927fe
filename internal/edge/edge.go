// Package edge holds the sockets: it accepts connections, signs clients in and
// brings each session forward over the log.
//
// A few loops, one a core, own the sockets. The tail appends to the ring and
// wakes them; a loop routes what is new to its own sessions and writes. A session
// has no queue, only a position: one that cannot take more now is continued from
// the ring when its socket can, and from the stream when the ring has moved on.
// See loop.go for a loop's turn, deliver.go for the delivery and lag.go for the
// sessions that are behind.
package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/limit"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/ring"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Config is how an edge behaves. The zero value of a field means its default.
type Config struct {
	Node           string          // name of this edge, in hello
	Path           string          // of the upgrade; default /api/v1/ws
	Loops          int             // default GOMAXPROCS
	RingBytes      int             // default 64 MiB
	ReplayLimit    int             // most events of one resume; default 1000
	NoHistory      bool            // nothing is replayed beyond the ring
	NoDeflate      bool            // permessage-deflate is not offered to anybody
	Slice          int             // sessions that a broadcast visits in one turn; default 256
	Threshold      int             // sessions above which upgrades are refused; 0: none
	AllowedOrigins []string        // beside the same origin; "*" allows all
	PingInterval   time.Duration   // silence after which a client is pinged; default 60 s
	DrainTimeout   time.Duration   // longest drain; default 30 s
	Limits         limit.Config    // of new connections
	ProxyProtocol  bool            // every connection begins with a header of the PROXY protocol, version 2
	TLS            Terminator      // nil: connections are plain
	HeaderTimeout  time.Duration   // for a request's header; default 5 s
	SetupTimeout   time.Duration   // for signing in and resuming; default 10 s
	TailPatience   time.Duration   // how long a cursor may be ahead of the tail; default 5 s
	Reads          ReadStates      // nil: nobody's is kept
	Topics         TopicRule       // who may join which topic
	Signals        Signals         // nil: there are none
	Revoked        Revocations     // of tokens; nil: none
	Trace          *trace.Recorder // of deliveries whose trace is sampled; nil: none
	Subjects       wire.Subjects   // as spans name them
	// CaughtUp reports whether the tail has reached the head of the log. Nobody is
	// let in before: to them, what the tail reads of the past would be new. Nil: it
	// has, once Begin was called.
	CaughtUp func() bool
}

func (c Config) withDefaults() Config {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.PingInterval, 60*time.Second)
	def(&c.DrainTimeout, 30*time.Second)
	def(&c.HeaderTimeout, 5*time.Second)
	def(&c.SetupTimeout, 10*time.Second)
	def(&c.TailPatience, 5*time.Second)
	if c.Path == "" {
		c.Path = "/api/v1/ws"
	}
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if c.RingBytes <= 0 {
		c.RingBytes = 64 << 20
	}
	if c.ReplayLimit <= 0 {
		c.ReplayLimit = 1000
	}
	if c.Slice <= 0 {
		c.Slice = 256
	}
	return c
}

// Authenticator verifies tokens; auth.Cache is one. VerifyNow is called by the loops.
type Authenticator = auth.Immediate

// History reads the log beyond the ring. Errors that may pass wrap
// wire.ErrUnavailable.
type History interface {
	// Page reads forward: the next entries of some audiences.
	Page(ctx context.Context, req wire.PageRequest) (wire.Page, error)
	// NewestUpTo reads the newest entries of some audiences up to a place, newest first.
	NewestUpTo(ctx context.Context, audiences []wire.Audience, upTo wire.Cursor, limit int) ([]wire.Entry, error)
	// State is what each partition of the log says about itself now.
	State(ctx context.Context) ([]wire.LogState, error)
}

// generation is the ring of one life of the log.
type generation struct {
	ring  *ring.Ring
	lives []uint64 // one a partition
}

func (g *generation) cursor(at wire.Vector) wire.Cursor { return wire.At(g.lives, at) }

// isOf reports whether the log is still in the lives of the generation.
func (g *generation) isOf(log []wire.LogState) bool { return slices.Equal(wire.Lives(log), g.lives) }

// Edge is one node's sockets. Make one with New, feed it by Begin, Append and
// Skip, and run it with Serve.
type Edge struct {
	cfg     Config
	auth    Authenticator
	history History
	log     *slog.Logger
	origins originRule
	work    *pool // signing in
	reads   *pool // pages of the stream, which must not keep anyone from signing in
	loops   []*loop
	http    *handover
	metrics *metrics
	traces  *tracing // nil: nothing is recorded
	limits  *limit.Limiter

	handshakes chan struct{} // one for each TLS handshake under way
	joining    joining
	doubts     chan struct{} // one for each set-up that waits for a second answer of the log
	refusals   seldom

	instance uint32 // random: tells the sessions of one run of a node from the next's

	// echo takes messages in the place of the protocol, in tests of RFC 6455 only.
	echo func(l *loop, r ref, c *conn, op session.Op, payload []byte) bool

	gen      atomic.Pointer[generation]
	sessions atomic.Int64 // of all loops, those being set up included
	packing  atomic.Int64 // live sessions that take compressed messages
	draining atomic.Bool
	nextLoop atomic.Uint32 // for upgrades that come back from net/http

	// Owned by the tail.
	tail struct {
		frame, packed []byte // scratch
		packer        packer
		cursor        wire.Cursor // of what the ring holds
	}
	moved struct {
		sync.Mutex
		waiting int
		ch      chan struct{} // closed when the tail moves
	}
}

// New makes an edge.
func New(cfg Config, a Authenticator, h History, log *slog.Logger) (*Edge, error) {
	cfg = cfg.withDefaults()
	e := &Edge{cfg: cfg, auth: a, history: h, log: log, http: newHandover(), instance: rand.Uint32()}
	e.origins = newOriginRule(cfg.AllowedOrigins)
	e.moved.ch = make(chan struct{})
	e.metrics = newMetrics(e)
	e.traces = newTracing(&e.cfg)
	e.limits = limit.New(cfg.Limits)
	e.handshakes = make(chan struct{}, maxHandshakes)
	e.doubts = make(chan struct{}, 2*cfg.Loops) // of the 8 workers a loop
	e.joining = newJoining(cfg.Topics)
	for i := range cfg.Loops {
		l, err := newLoop(e, i)
		if err != nil {
			return nil, fmt.Errorf("event loop: %w", err)
		}
		e.loops = append(e.loops, l)
	}
	return e, nil
}

// Begin says where the tail starts: the lives of the log's partitions and the place
// before the first entries to come. Called again, it ends every session: what they lack
// is not in the ring, or no position of theirs counts any more, as their cursors tell
// when they come back.
func (e *Edge) Begin(lives []uint64, after wire.Vector) {
	g := &generation{ring: ring.New(e.cfg.RingBytes, after), lives: slices.Clone(lives)}
	e.tail.cursor = g.cursor(after)
	e.gen.Store(g)
	e.wake()
}

// Append takes the next entry of a partition in: it is encoded once, here, for all
// sessions. Entries already seen are ignored. Begin, Append and Skip belong to
// one goroutine at a time.
func (e *Edge) Append(entry *wire.Entry) {
	g := e.gen.Load()
	if g == nil || entry.Partition >= len(g.lives) {
		return
	}
	at := &e.tail.cursor[entry.Partition]
	if entry.Life != at.Life || entry.Seq <= at.Seq {
		return
	}
	at.Seq = entry.Seq
	e.tail.frame = appendEntryFrame(e.tail.frame[:0], entry, e.tail.cursor)
	e.tail.packed = e.tail.packed[:0]
	if e.packing.Load() > 0 && packs(entry) {
		e.tail.packed = e.tail.packer.append(e.tail.packed, e.tail.frame)
	}
	g.ring.Append(ring.Entry{
		Part: uint8(entry.Partition), Seq: entry.Seq, Time: entry.Time, Expires: entry.Expires, Collapse: entry.Collapse,
		Kind: kindOf(entry.Audience.Kind), ID: entry.Audience.ID, Frame: e.tail.frame, Packed: e.tail.packed,
		Mark: e.traceEntry(g, entry),
	})
	e.advanced()
}

// Skip passes over messages of a partition, up to a sequence, that no client receives.
func (e *Edge) Skip(partition int, seq uint64) {
	g := e.gen.Load()
	if g == nil || partition >= len(g.lives) {
		return
	}
	at := &e.tail.cursor[partition]
	if seq <= at.Seq {
		return
	}
	at.Seq = seq
	g.ring.Append(ring.Entry{Part: uint8(partition), Seq: seq, Kind: ring.KindSkip})
	e.advanced()
}

func (e *Edge) advanced() {
	e.wake()
	e.moved.Lock()
	if e.moved.waiting > 0 {
		close(e.moved.ch)
		e.moved.ch, e.moved.waiting = make(chan struct{}), 0
	}
	e.moved.Unlock()
}

// awaitTail waits until the tail has reached a place, or ctx ends.
func (e *Edge) awaitTail(ctx context.Context, g *generation, place wire.Vector) bool {
	for {
		e.moved.Lock()
		e.moved.waiting++
		ch := e.moved.ch
		e.moved.Unlock()
		if v := g.ring.View(); wire.Vector(v.HeadSeqs()).Covers(place) {
			return true
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return false
		}
	}
}

func (e *Edge) closePollers() {
	for _, l := range e.loops {
		if err := l.poller.Close(); err != nil {
			e.log.Warn("closing an event loop", "err", err)
		}
	}
}

func (e *Edge) wake() {
	for _, l := range e.loops {
		l.poller.Wake()
	}
}

// The ring's kinds; KindAll is its own.
const (
	kindUser  = 2
	kindTopic = 3
)

func kindOf(k wire.Kind) uint8 {
	switch k {
	case wire.KindBroadcast:
		return ring.KindAll
	case wire.KindTopic:
		return kindTopic
	default: // what a person has read concerns all of their devices
		return kindUser
	}
}

// Serve accepts connections and runs the loops until ctx ends. Then every
// session is closed with 1001; Drain before it to ask them to move first.
// Connections that are not upgrades come out of HTTP.
func (e *Edge) Serve(ctx context.Context, ln *netloop.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	e.work = newPool(ctx, 8*e.cfg.Loops, 4096)
	e.reads = newPool(ctx, 4*e.cfg.Loops, 4096)
	defer func() {
		cancel(nil)
		e.work.wait()
		e.reads.wait()
		for _, l := range e.loops {
			l.takeInbox() // what was given to one that had ended
		}
		e.traces.abandon(e.gen.Load(), 0, math.MaxUint64, "the edge stops")
		e.closePollers() // the pools' jobs have woken them until now
	}()
	var wg sync.WaitGroup
	for _, l := range e.loops {
		wg.Go(func() {
			if err := l.run(ctx, ln); err != nil {
				cancel(fmt.Errorf("event loop %d: %w", l.id, err))
			}
		})
	}
	<-ctx.Done()
	for _, l := range e.loops {
		l.stop.Store(true)
		l.poller.Wake()
	}
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// HTTP is the listener of the connections that are not upgrades. addr is what
// it says its address is.
func (e *Edge) HTTP(addr net.Addr) net.Listener {
	e.http.addr = addr
	return e.http
}

// Sessions is the number of sessions now, those being set up included.
func (e *Edge) Sessions() int { return int(e.sessions.Load()) }

// Drain asks every session to move to another edge, spread over a window that
// fits their number, and returns when all have gone or the window is over.
func (e *Edge) Drain(ctx context.Context) {
	window := min(max(e.cfg.DrainTimeout-drainTail, 0), time.Duration(e.Sessions())*time.Millisecond)
	e.metrics.drainBy.Store(time.Now().Add(e.cfg.DrainTimeout).UnixMilli())
	e.draining.Store(true)
	for _, l := range e.loops {
		l.post(message{kind: msgDrain, window: window})
	}
	ctx, cancel := context.WithTimeout(ctx, window+drainTail)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.Sessions() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// drainGrace is how long after its slot a client that does not move by itself
// is closed with 1012.
const drainGrace = time.Second

// drainTail is what a drain takes after the last slot: the grace, and the patience
// with a peer that does not end its side, each with up to a tick of the wheel.
const drainTail = drainGrace + closePatience + 2*wheelTick

// Draining reports whether Drain was called.
func (e *Edge) Draining() bool { return e.draining.Load() }
