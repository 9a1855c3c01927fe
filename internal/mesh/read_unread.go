package mesh

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
	"golang.org/x/sync/errgroup"
)

// Bounds of what counting what is unread reads.
const (
	MaxUnread     = 1000 // it counts no further
	unreadEntries = 5000 // entries after the marks, read ones and replaced ones among them
	unreadPage    = 500
	unreadBytes   = 1 << 20 // of one page, about
	unreadNearby  = 256     // events so near to each other in the log are read in one page
	unreadAtOnce  = 4       // such pages
)

// Unread counts the events that were sent to a person, or to everybody, which the log
// still holds and which the person has not read, as state says: MaxUnread at most. Of
// events with the same collapse key the newest counts. What comes after upTo, if that
// is not nil, does not exist.
func (m *Mesh) Unread(ctx context.Context, uid string, state wire.ReadState, upTo wire.Cursor) (int, error) {
	c := unreadCount{
		state: state, now: time.Now(), audiences: []wire.Audience{wire.User(uid), wire.Broadcast()},
		keys: make(map[collapseKey]bool),
	}
	log, err := m.unreadSpan(ctx, c.audiences, state, upTo)
	if err != nil {
		return 0, err
	}
	again, err := m.unreadAgain(ctx, &c, log)
	if err != nil {
		return 0, err
	}
	for _, e := range again {
		if e.Collapse != "" { // what comes after it may have taken its place
			log.after[e.Partition] = min(log.after[e.Partition], e.Seq-1)
		}
	}
	for i := range again {
		if e := &again[i]; e.Seq <= log.after[e.Partition] {
			c.add(e)
		}
	}
	if err := m.unreadOfAll(ctx, &c, log); err != nil {
		return 0, err
	}
	for seen := 0; seen < unreadEntries && c.alone < MaxUnread && !log.done(); {
		entries, through, err := m.unreadEntries(ctx, c.audiences, log.after, log.upTo, unreadPage)
		if err != nil {
			return 0, err
		}
		for i := range entries {
			c.add(&entries[i])
		}
		seen += len(entries)
		log.after = through
	}
	return c.total(), nil
}

// unreadOfAll counts what was sent to everybody as far as it is remembered. The audiences
// that it leaves are to be read: often the person alone.
func (m *Mesh) unreadOfAll(ctx context.Context, c *unreadCount, log span) error {
	p := m.of(wire.Broadcast()).index
	state := wire.LogState{Life: log.lives[p], First: log.first[p], Last: log.upTo[p]}
	newest := 0
	v, err := m.recent.upTo(ctx, state, func(v *recentView) bool {
		if v.from <= log.after[p] {
			return true
		}
		newest = c.newest(m, v, log.upTo[p])
		return newest == MaxUnread
	})
	switch {
	case err != nil:
		return err
	case v.from <= log.after[p]:
		for _, s := range between(v.msgs, log.after[p], log.upTo[p]) {
			if e, ok := m.entryOf(&s, v.life); ok {
				c.add(&e)
			}
		}
		c.audiences = slices.DeleteFunc(c.audiences, func(a wire.Audience) bool { return a == wire.Broadcast() })
	case newest == MaxUnread: // what is older, and the person's own, cannot change that
		c.alone = MaxUnread
	}
	return nil
}

// newest counts what is unread of the newest that was sent to everybody.
func (c *unreadCount) newest(m *Mesh, v *recentView, upTo uint64) (n int) {
	keys := make(keySet)
	for _, s := range slices.Backward(between(v.msgs, v.from, upTo)) {
		if e, ok := m.entryOf(&s, v.life); ok && keys.add(&e) && !e.Expired(c.now) && !c.state.IsRead(e.ID()) {
			if n++; n == MaxUnread {
				break
			}
		}
	}
	return n
}

// unreadAgain reads the events before a span that the person has marked as unread.
func (m *Mesh) unreadAgain(ctx context.Context, c *unreadCount, log span) ([]wire.Entry, error) {
	var mu sync.Mutex
	var found []wire.Entry
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(unreadAtOnce)
	ids := log.before(c.state.Unread())
	for len(ids) > 0 {
		n := 1
		for n < len(ids) && ids[n].Partition == ids[0].Partition && ids[n].Seq-ids[0].Seq < unreadNearby {
			n++
		}
		first, last := ids[0], ids[n-1]
		ids = ids[n:]
		group.Go(func() error {
			after, upTo := log.only(first.Partition, first.Seq-1, last.Seq)
			for after[first.Partition] < upTo[first.Partition] { // a page holds so many bytes only
				entries, through, err := m.unreadEntries(ctx, c.audiences, after, upTo, unreadNearby)
				if err != nil {
					return err
				}
				mu.Lock()
				for _, e := range entries {
					if !c.state.IsRead(e.ID()) {
						found = append(found, e)
					}
				}
				mu.Unlock()
				after = through
			}
			return nil
		})
	}
	err := group.Wait()
	return found, err
}

// span is a stretch of the log, as sequences of each partition.
type span struct {
	lives, first []uint64
	after, upTo  []uint64
}

func (s *span) done() bool {
	for p := range s.upTo {
		if s.after[p] < s.upTo[p] {
			return false
		}
	}
	return true
}

// before keeps the events that the log holds before the span.
func (s *span) before(ids []wire.EventID) (kept []wire.EventID) {
	for _, id := range ids {
		p := id.Partition
		if p < len(s.lives) && id.Life == s.lives[p] && id.Seq >= s.first[p] && id.Seq <= s.after[p] {
			kept = append(kept, id)
		}
	}
	return kept
}

// only is a stretch of one partition.
func (s *span) only(partition int, from, to uint64) (after, upTo []uint64) {
	after, upTo = make([]uint64, len(s.lives)), make([]uint64, len(s.lives))
	after[partition], upTo[partition] = from, to
	return after, upTo
}

// unreadCount counts entries, which come in the order of their partition.
type unreadCount struct {
	state     wire.ReadState
	now       time.Time
	audiences []wire.Audience
	alone     int                  // without a collapse key
	keys      map[collapseKey]bool // whether the newest with the key is unread
}

func (c *unreadCount) add(e *wire.Entry) {
	unread := !e.Expired(c.now) && !c.state.IsRead(e.ID())
	switch {
	case e.Collapse != "":
		c.keys[collapseKey{e.Audience, e.Collapse}] = unread
	case unread:
		c.alone++
	}
}

func (c *unreadCount) total() int {
	n := c.alone
	for _, unread := range c.keys {
		if unread {
			n++
		}
	}
	return min(n, MaxUnread)
}
