package tlsport

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

const (
	wheelTick  = time.Second
	wheelSlots = 16
	// lingerTicks is how long a relay goes on writing, after its loop has closed, to
	// a client that does not read. A plain socket's kernel would do the same.
	lingerTicks = 5
)

var errClosed = errors.New("tlsport: the port is closed")

// relayLoop owns relays. Everything in it but inbox belongs to its goroutine.
type relayLoop struct {
	poller *netloop.Poller
	wheel  *netloop.Wheel
	relays map[uint64]*relay
	next   uint64   // the id of the next relay
	again  []*relay // that have more to do than one turn allows
	active *atomic.Int64
	buf    [record]byte

	inbox struct {
		mu     sync.Mutex
		relays []*relay
		closed bool
	}
}

func newRelayLoop(active *atomic.Int64) (*relayLoop, error) {
	p, err := netloop.NewPoller()
	if err != nil {
		return nil, err
	}
	return &relayLoop{
		poller: p, wheel: netloop.NewWheel(wheelTick, wheelSlots, time.Now()),
		relays: map[uint64]*relay{}, active: active,
	}, nil
}

// post gives the loop a relay; any goroutine may call it. After an error the
// relay is still the caller's.
func (l *relayLoop) post(r *relay) error {
	l.inbox.mu.Lock()
	defer l.inbox.mu.Unlock()
	if l.inbox.closed {
		return errClosed
	}
	l.inbox.relays = append(l.inbox.relays, r)
	l.active.Add(1)
	l.poller.Wake()
	return nil
}

// run works until ctx ends, and then ends every relay.
func (l *relayLoop) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, l.poller.Wake)()
	var err error
	for ctx.Err() == nil && err == nil {
		err = l.turn()
	}
	l.takeInbox(true)
	for _, r := range l.relays {
		r.lastWords(l.buf[:])
		l.drop(r)
	}
	return errors.Join(err, l.poller.Close())
}

func (l *relayLoop) turn() error {
	timeout := l.wheel.Until(time.Now())
	busy := len(l.again) > 0
	if busy {
		timeout = 0
	}
	events, woken, err := l.poller.Wait(timeout)
	if err != nil {
		return err
	}
	l.wheel.Advance(time.Now(), l.due)
	for _, ev := range events {
		l.event(ev)
	}
	if woken {
		l.takeInbox(false)
	}
	work := l.again
	l.again = nil
	for _, r := range work {
		r.queued = false
		if l.relays[r.id] == r {
			l.work(r)
		}
	}
	if busy {
		netloop.Yield()
	}
	return nil
}

// The poller's id of a relay's sockets is twice the relay's, and one more for
// our end of the pair.
func (l *relayLoop) event(ev netloop.Event) {
	r, ofPair := l.relays[ev.ID>>1], ev.ID&1 != 0
	if r == nil {
		return
	}
	r.event(ofPair, ev)
	if ofPair && ev.Ended && !r.hungUp && netloop.HungUp(r.plain) {
		r.hungUp = true
		l.wheel.Add(r.id, l.wheel.Tick(time.Now())+lingerTicks)
	}
	l.work(r)
}

// work carries what a relay has, or ends it.
func (l *relayLoop) work(r *relay) {
	more := r.turn(l.buf[:])
	switch {
	case r.over():
		l.drop(r)
	case more && !r.queued:
		r.queued = true
		l.again = append(l.again, r)
	}
}

// due ends a relay that has lingered long enough.
func (l *relayLoop) due(id uint64) {
	if r := l.relays[id]; r != nil {
		l.drop(r)
	}
}

func (l *relayLoop) drop(r *relay) {
	delete(l.relays, r.id)
	r.close()
	l.active.Add(-1)
}

// takeInbox takes up new relays. With closing, post takes no more.
func (l *relayLoop) takeInbox(closing bool) {
	l.inbox.mu.Lock()
	relays := l.inbox.relays
	l.inbox.relays = nil
	l.inbox.closed = closing
	l.inbox.mu.Unlock()
	for _, r := range relays {
		r.id = l.next
		l.next++
		l.relays[r.id] = r
		// The first events say what is there already.
		if errors.Join(l.poller.Add(r.tcp.fd, r.id<<1), l.poller.Add(r.plain, r.id<<1|1)) != nil {
			l.drop(r) // no memory for another watch: the client tries again
		}
	}
}
