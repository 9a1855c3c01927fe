package edge

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// nothing may be passed over.
func nothing(*simStored) bool { return false }

// stored is an entry of the log, of whatever life.
func (w *world) stored(id wire.EventID) *simStored {
	p := w.log.past[simLife{id.Partition, id.Life}]
	if p == nil || id.Seq == 0 || id.Seq > p.last() {
		return nil
	}
	return &p.entries[id.Seq-1]
}

// concerns reports whether an entry is for a client.
func (c *simClient) concerns(s *simStored) bool {
	switch a := s.Audience; {
	case s.malformed:
		return false
	case a.Kind == wire.KindTopic:
		from := c.topics[a.ID]
		return from != nil && s.Seq > from[s.Partition]
	default:
		return a.Kind == wire.KindBroadcast || a.ID == c.name
	}
}

// moved notes that a client was told another place. Whatever it passes over was not for
// it, has expired, was replaced, or may be passed over.
func (c *simClient) moved(cursor string, may func(*simStored) bool) error {
	place, err := wire.ParseCursor(cursor)
	if err != nil {
		return err
	}
	now := time.Now()
	for i, to := range place {
		from := c.place[i]
		if to.Life != from.Life {
			return fmt.Errorf("the life of partition %d is another, and no gap was said", i)
		}
		for seq := from.Seq + 1; seq <= to.Seq; seq++ {
			s := c.w.stored(wire.EventID{Partition: i, Position: wire.Position{Life: to.Life, Seq: seq}})
			if s == nil {
				return fmt.Errorf("partition %d has never come to %d", i, seq)
			}
			if c.concerns(s) && !s.Expired(now) && s.over == 0 && !may(s) {
				return fmt.Errorf("%s was skipped in silence", s.ID())
			}
		}
		for seq := to.Seq + 1; seq <= from.Seq; seq++ { // only a hole can make a cursor go back
			s := c.w.stored(wire.EventID{Partition: i, Position: wire.Position{Life: to.Life, Seq: seq}})
			if !s.Expired(now) {
				return fmt.Errorf("the cursor goes back, to before %s", s.ID())
			}
		}
	}
	c.cursor, c.place = cursor, place
	return nil
}

// missing is an entry that the client is owed and has not got; nil: none.
func (c *simClient) missing() *simStored {
	for i, from := range c.place {
		p := c.w.log.parts[i]
		for seq := from.Seq + 1; p.life == from.Life && seq <= p.last(); seq++ {
			if s := &p.entries[seq-1]; c.concerns(s) && !s.Expired(time.Now()) && s.over == 0 {
				return s
			}
		}
	}
	return nil
}

// entry checks an entry that has come: an event, or what was read if f is nil.
func (c *simClient) entry(id wire.EventID, cursor string, f *wire.Event) error {
	s := c.w.stored(id)
	switch {
	case s == nil:
		return errors.New("there is no such entry")
	case !c.concerns(s) && s.Audience != wire.Topic(c.leaves): // which it may get until it is told
		return errors.New("it is not for this client")
	case id.Life != c.place[id.Partition].Life:
		return errors.New("it is of another life than the cursor before it")
	case id.Seq <= c.since[id.Partition]:
		return fmt.Errorf("it comes again, or after %d of its partition", c.since[id.Partition])
	case s.Expired(c.fresh.Add(-time.Second)): // the ring counts in seconds
		return errors.New("it had expired before the client came")
	case f != nil && (s.Read != nil || f.To != s.Audience.To() || !bytes.Equal(f.Payload, s.Payload) || f.Collapse != s.Collapse || f.TS != s.Time.UnixMilli()):
		return errors.New("it is not what was stored")
	case f == nil && s.Read == nil:
		return errors.New("it is an event, and came as what was read")
	}
	if err := c.moved(cursor, func(o *simStored) bool { return o == s }); err != nil {
		return err
	}
	if c.place[id.Partition].Seq < id.Seq {
		return errors.New("its cursor is before it")
	}
	c.since[id.Partition] = id.Seq
	c.events++
	return nil
}

// gap checks that what is said to be lost is, and that there is a reason.
func (c *simClient) gap(f wire.Gap) error {
	c.gaps++
	place, err := wire.ParseCursor(f.Cursor)
	if err != nil {
		return err
	}
	switch f.Reason {
	case wire.GapRetention:
		// What was read of the log before it forgot may still come: since stays.
		return c.moved(f.Cursor, func(s *simStored) bool {
			return c.w.cfg.NoHistory || s.Seq < c.w.log.past[simLife{s.Partition, s.Life}].first
		})
	case wire.GapLimit:
		return c.limited(f.Cursor, place)
	case wire.GapUnknown:
		if known := wire.At(wire.Lives(c.w.log.state()), c.place.Seqs()); slices.Equal(c.place, known) && sameLives(c.place, place) {
			return errors.New("the log is still the one that the client knows")
		}
		c.cursor, c.place, c.since = f.Cursor, place, place.Seqs()
		for t := range c.topics {
			c.topics[t] = make(wire.Vector, len(place))
		}
		return nil
	}
	return errors.New("there is no such reason")
}

func sameLives(a, b wire.Cursor) bool {
	return slices.EqualFunc(a, b, func(p, o wire.Position) bool { return p.Life == o.Life })
}

// limited checks a gap that says that too much was missed: more than the limit was, and
// the newest follow.
func (c *simClient) limited(cursor string, place wire.Cursor) error {
	missed, follow := 0, 0
	for i, from := range c.place {
		p := c.w.log.past[simLife{i, from.Life}]
		for seq := from.Seq + 1; seq <= p.last(); seq++ {
			if !c.concerns(&p.entries[seq-1]) {
				continue
			}
			missed++
			if seq > place[i].Seq {
				follow++
			}
		}
	}
	if limit := c.w.cfg.ReplayLimit; missed <= limit || follow < limit {
		return fmt.Errorf("the limit is %d: it has missed %d, and %d follow", limit, missed, follow)
	}
	err := c.moved(cursor, func(*simStored) bool { return true })
	c.since = c.since.Raised(c.place.Seqs())
	return err
}
