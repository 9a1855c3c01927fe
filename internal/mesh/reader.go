package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// reader asks the log for batches of stored messages (Direct Get, ADR-31). All
// requests share one inbox subscription, and only so many are under way: reading
// cold blocks slows ingest.
type reader struct {
	nc    *nats.Conn
	inbox string // a prefix; each request adds its number
	slots chan struct{}
	next  atomic.Uint64

	mu      sync.Mutex
	waiting map[string]chan *nats.Msg // by reply subject
}

const (
	readSlots   = 16
	readTimeout = 5 * time.Second
	maxBatch    = 1000
)

func newReader(nc *nats.Conn) (*reader, error) {
	r := &reader{
		nc: nc, inbox: nc.NewInbox() + ".",
		slots: make(chan struct{}, readSlots), waiting: map[string]chan *nats.Msg{},
	}
	sub, err := nc.Subscribe(r.inbox+"*", r.dispatch)
	if err != nil {
		return nil, fmt.Errorf("subscribing the read inbox: %w", err)
	}
	// What is under way is bounded by slots × maxBatch; the client's own limits
	// must not be lower.
	if err := sub.SetPendingLimits(2*readSlots*maxBatch, -1); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *reader) dispatch(msg *nats.Msg) {
	r.mu.Lock()
	ch := r.waiting[msg.Subject]
	r.mu.Unlock()
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
}

// request is a batched Direct Get (ADR-31): messages of some subjects, from a sequence
// or a time on.
type request struct {
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	NextBy    string     `json:"next_by_subj"`
	Batch     int        `json:"batch"`               // messages at most
	MaxBytes  int        `json:"max_bytes,omitempty"` // of them, about
}

// batch reads messages of a stream. more says that it held others at that time, as
// far as the replica that answers has it. Only a batch that came whole, to its end
// marker, counts; anything else is an error.
func (r *reader) batch(ctx context.Context, p *partition, req request) (msgs []stored, more bool, err error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, false, unavailable(ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	req.Batch = min(req.Batch, maxBatch)
	body, err := json.Marshal(req)
	if err != nil {
		return nil, false, err
	}
	reply := r.inbox + strconv.FormatUint(r.next.Add(1), 36)
	ch := make(chan *nats.Msg, req.Batch+1)
	r.mu.Lock()
	r.waiting[reply] = ch
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.waiting, reply)
		r.mu.Unlock()
	}()
	if err := r.nc.PublishRequest("$JS.API.DIRECT.GET."+p.stream, reply, body); err != nil {
		return nil, false, unavailable(err)
	}
	var last uint64 // sequence of the message before, which each names
	for {
		select {
		case msg := <-ch:
			before := lastHeader(msg, "Nats-Last-Sequence")
			if before != "" && before != strconv.FormatUint(last, 10) {
				return nil, false, unavailable(fmt.Errorf("a batch has lost messages: %s follows %d", before, last))
			}
			if lastHeader(msg, "Nats-Subject") == "" { // no stored message
				more, err := endOfBatch(msg)
				return msgs, more, err
			}
			s, err := storedMsg(msg)
			if err != nil {
				return nil, false, err
			}
			s.part = p.index
			msgs, last = append(msgs, s), s.seq
		case <-ctx.Done():
			return nil, false, fmt.Errorf("reading %s: %w", req.NextBy, unavailable(ctx.Err()))
		}
	}
}

// endOfBatch reads the message without data that ends a batch.
func endOfBatch(msg *nats.Msg) (more bool, err error) {
	switch status := msg.Header.Get("Status"); status {
	case "204": // EOB
		pending, err := strconv.ParseUint(msg.Header.Get("Nats-Num-Pending"), 10, 64)
		if err != nil {
			return false, fmt.Errorf("a batch ended without Nats-Num-Pending: %w", err)
		}
		return pending > 0, nil
	case "404": // there is nothing from there on
		return false, nil
	default:
		return false, unavailable(fmt.Errorf("the log answered %s %s", status, msg.Header.Get("Description")))
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
