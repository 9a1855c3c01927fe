package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// reader asks the log for stored messages (Direct Get, ADR-31). Only so many requests are
// under way: reading cold blocks slows ingest. A server works off what comes on one
// connection in turn, so there are several (pages of a cold log, 16 at once: 89 ms each on
// one, 44 on two, 39 on four).
type reader struct {
	lanes []*lane
	slots chan struct{}
	next  atomic.Uint64
}

// lane is one of the reader's connections. Its requests share one inbox subscription.
type lane struct {
	nc    *conn
	inbox string // a prefix; each request adds its number
	busy  atomic.Int32

	mu      sync.Mutex
	waiting map[string]chan *nats.Msg // by reply subject
}

const (
	readLanes   = 4
	readSlots   = 16
	readTimeout = 5 * time.Second
	maxBatch    = 1000
)

// newReader makes a reader; dial opens each of its connections.
func newReader(dial func() (*conn, error)) (*reader, error) {
	r := &reader{slots: make(chan struct{}, readSlots)}
	for range readLanes {
		nc, err := dial()
		if err != nil {
			r.close()
			return nil, err
		}
		l := &lane{nc: nc, inbox: nc.NewInbox() + ".", waiting: map[string]chan *nats.Msg{}}
		r.lanes = append(r.lanes, l)
		sub, err := nc.Subscribe(l.inbox+"*", l.dispatch)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("subscribing the read inbox: %w", err)
		}
		// What is under way is bounded by slots × maxBatch; the client's own limits
		// must not be lower.
		if err := sub.SetPendingLimits(2*readSlots*maxBatch, -1); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

func (r *reader) close() {
	for _, l := range r.lanes {
		l.nc.Close()
	}
}

func (l *lane) dispatch(msg *nats.Msg) {
	l.mu.Lock()
	ch := l.waiting[msg.Subject]
	l.mu.Unlock()
	if ch == nil {
		return // of a request that was given up
	}
	select {
	case ch <- msg:
	default: // more than was asked for: the request times out rather than lies
	}
}

// stored is one message of the log as a batch carries it.
type stored struct {
	part    int
	subject string
	seq     uint64
	at      time.Time
	header  nats.Header // the publisher's, the server's behind them
	data    []byte
	parsed  *parsed // nil: not yet
}

// parsed is what a stored message was found to be.
type parsed struct {
	life  uint64
	entry wire.Entry
	err   error
}

// request is a Direct Get (ADR-31): the next messages of some subjects, from a sequence
// or a time on, or the last of one.
type request struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	NextBy    string     `json:"next_by_subj,omitempty"`
	LastBy    string     `json:"last_by_subj,omitempty"`
	Batch     int        `json:"batch,omitempty"`     // messages at most; 0: one, by itself
	MaxBytes  int        `json:"max_bytes,omitempty"` // of them, about
}

// batch reads messages of a stream. pending is how many others it held at that time, as
// far as the replica that answers has it. Only a batch that came whole, to its end
// marker, counts; anything else is an error.
func (r *reader) batch(ctx context.Context, p *partition, req request) (msgs []stored, pending uint64, err error) {
	req.Batch = min(req.Batch, maxBatch)
	var last uint64 // sequence of the message before, which each names
	err = r.ask(ctx, p, req, func(msg *nats.Msg) (done bool, err error) {
		before := lastHeader(msg, "Nats-Last-Sequence")
		if before != "" && before != strconv.FormatUint(last, 10) {
			return true, unavailable(fmt.Errorf("a batch has lost messages: %s follows %d", before, last))
		}
		if !isStored(msg) {
			pending, err = endOfBatch(msg)
			return true, err
		}
		s, err := storedMsg(msg)
		if err != nil {
			return true, err
		}
		s.part = p.index
		msgs, last = append(msgs, s), s.seq
		return false, nil
	})
	if err != nil {
		return nil, 0, err
	}
	return msgs, pending, nil
}

// one reads one message. It costs less than a batch of one, for which the server counts
// what else there is. ok is false if there is none.
func (r *reader) one(ctx context.Context, p *partition, req request) (s stored, ok bool, err error) {
	req.Batch = 0
	err = r.ask(ctx, p, req, func(msg *nats.Msg) (bool, error) {
		if ok = isStored(msg); !ok {
			_, err := endOfBatch(msg)
			return true, err
		}
		s, err = storedMsg(msg)
		s.part = p.index
		return true, err
	})
	return s, ok && err == nil, err
}

// ask sends a request and hands each answer to take, until that is done or says an error.
func (r *reader) ask(ctx context.Context, p *partition, req request, take func(*nats.Msg) (done bool, err error)) error {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	l := r.lane()
	if !l.nc.IsConnected() {
		return unavailable(nats.ErrDisconnected)
	}
	l.busy.Add(1)
	defer l.busy.Add(-1)
	reply := l.inbox + strconv.FormatUint(r.next.Add(1), 36)
	ch := make(chan *nats.Msg, req.Batch+1)
	l.mu.Lock()
	l.waiting[reply] = ch
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, reply)
		l.mu.Unlock()
	}()
	if err := l.nc.PublishRequest("$JS.API.DIRECT.GET."+p.stream, reply, body); err != nil {
		return unavailable(err)
	}
	for {
		select {
		case msg := <-ch:
			if done, err := take(msg); done || err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("reading %s%s: %w", req.NextBy, req.LastBy, unavailable(ctx.Err()))
		}
	}
}

// lane is one that has the least to do, each in its turn. One without a server, at which
// every request fails at once and which so never has anything to do, comes last.
func (r *reader) lane() *lane {
	turn := int(r.next.Load())
	var best *lane
	load := int32(math.MaxInt32)
	for i := range r.lanes {
		l := r.lanes[(turn+i)%len(r.lanes)]
		busy := l.busy.Load()
		if !l.nc.IsConnected() {
			busy += readSlots
		}
		if busy < load {
			best, load = l, busy
		}
	}
	return best
}

// endOfBatch reads the message without data that ends a batch.
func endOfBatch(msg *nats.Msg) (pending uint64, err error) {
	switch status := msg.Header.Get("Status"); status {
	case "204": // EOB
		pending, err := strconv.ParseUint(msg.Header.Get("Nats-Num-Pending"), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("a batch ended without Nats-Num-Pending: %w", err)
		}
		return pending, nil
	case "404": // there is nothing from there on
		return 0, nil
	case "503":
		return 0, fmt.Errorf("%w: no stream answers; run `vibemesh provision`", wire.ErrUnavailable)
	default:
		return 0, unavailable(fmt.Errorf("the log answered %s %s", status, msg.Header.Get("Description")))
	}
}

// lastHeader is a header that the server added. It puts its own behind those of the
// publisher, who may have used the same names.
func lastHeader(msg *nats.Msg, name string) string {
	values := msg.Header.Values(name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// isStored tells a message of the log from a status. (A status may have a Nats-Subject:
// that to which nobody answered.)
func isStored(msg *nats.Msg) bool { return lastHeader(msg, "Nats-Sequence") != "" }

func storedMsg(msg *nats.Msg) (stored, error) {
	seq, err := strconv.ParseUint(lastHeader(msg, "Nats-Sequence"), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("a stored message without sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, lastHeader(msg, "Nats-Time-Stamp"))
	if err != nil {
		return stored{}, fmt.Errorf("a stored message without time: %w", err)
	}
	return stored{subject: strings.Clone(lastHeader(msg, "Nats-Subject")), seq: seq, at: at, header: msg.Header, data: msg.Data}, nil
}
