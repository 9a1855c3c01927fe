package edge

import (
	"slices"

	"github.com/socialvibes/vibemesh/internal/ring"
)

// queueUser notes that an entry waits for a user's sessions.
func (d *deliverer) queueUser(it ring.Item) {
	slot, ok := d.users[it.Hash]
	if !ok {
		return
	}
	for slot >= 0 {
		c := d.loop.conns.at(slot)
		// Compared in full: a hash alone could bring one person's message to another.
		if c.user == string(it.ID) && c.state == stateLive && !c.queued {
			c.queued = true
			d.urgent = append(d.urgent, slot)
		}
		slot = c.next
	}
}

// linkUser adds a session to the index of users.
func (d *deliverer) linkUser(slot int32, c *conn) {
	c.key = d.gen.ring.Key(kindUser, c.user).Hash
	c.prev, c.next = -1, -1
	if first, ok := d.users[c.key]; ok {
		c.next = first
		d.loop.conns.at(first).prev = slot
	}
	d.users[c.key] = slot
}

// unlinkUser takes a session out of the index of users.
func (d *deliverer) unlinkUser(slot int32, c *conn) {
	if c.next >= 0 {
		d.loop.conns.at(c.next).prev = c.prev
	}
	switch {
	case c.prev >= 0:
		d.loop.conns.at(c.prev).next = c.next
	case c.next >= 0:
		d.users[c.key] = c.next
	default:
		delete(d.users, c.key)
	}
	if c.queued {
		c.queued = false
		d.urgent = slices.DeleteFunc(d.urgent, func(s int32) bool { return s == slot })
	}
}

// topic is the members of a topic on this loop.
type topic struct {
	name    string
	key     ring.Key
	members []int32
	sweep   sweep
}

// membership is a session's place in a topic.
type membership struct {
	topic *topic
	at    int // index in topic.members
}

func (m *more) holds(name string) bool {
	return slices.ContainsFunc(m.topics, func(ms membership) bool { return ms.topic.name == name })
}

func (d *deliverer) addTopic(t *topic, pos uint64) {
	if t.sweep.add(pos) {
		d.bulk = append(d.bulk, t)
	}
}

// topicSlice does a slice of the oldest sweep over a topic's members.
func (d *deliverer) topicSlice() {
	t := d.bulk[0]
	s := &t.sweep
	if s.at == 0 {
		s.upTo, s.later = d.routed, 0
	}
	for visited := 0; visited < d.loop.edge.cfg.Slice && s.at < len(t.members); visited++ {
		slot := t.members[s.at]
		s.at++
		d.advance(slot, d.loop.conns.at(slot)) // may remove the member: see leave
	}
	if s.at < len(t.members) || len(d.bulk) == 0 || d.bulk[0] != t { // the last member may have left
		return
	}
	s.end()
	d.bulk = d.bulk[1:]
	if s.active { // again, behind the others
		d.bulk = append(d.bulk, t)
	}
	d.settle()
}

// join makes a session a member of a topic, from routed on.
func (d *deliverer) join(slot int32, c *conn, name string) {
	m := c.needMore()
	if m.holds(name) {
		return
	}
	t := d.topics[name]
	if t == nil {
		t = &topic{name: name, key: d.gen.ring.Key(kindTopic, name)}
		d.topics[name] = t
	}
	m.topics = append(m.topics, membership{t, len(t.members)})
	t.members = append(t.members, slot)
	d.loop.joined(slot, name)
}

// leave ends a session's membership of its i-th topic. The last member takes its
// place. If a sweep has passed the place, the last one that it has passed takes
// it, and the last member that one's: nobody is left out, or swept twice.
func (d *deliverer) leave(c *conn, i int) {
	ms := c.more.topics[i]
	c.more.topics = slices.Delete(c.more.topics, i, i+1)
	c.more.stale = c.more.fetch
	t, hole := ms.topic, ms.at
	d.loop.left(t.members[hole], t.name)
	if s := &t.sweep; s.active && hole < s.at {
		s.at--
		d.moveMember(t, s.at, hole)
		hole = s.at
	}
	last := len(t.members) - 1
	d.moveMember(t, last, hole)
	t.members = t.members[:last]
	if last == 0 {
		delete(d.topics, t.name)
		if t.sweep.active {
			d.bulk = slices.DeleteFunc(d.bulk, func(b *topic) bool { return b == t })
			t.sweep = sweep{}
		}
	}
}

// moveMember gives a member of a topic another place.
func (d *deliverer) moveMember(t *topic, from, to int) {
	if from == to {
		return
	}
	slot := t.members[from]
	t.members[to] = slot
	for i, ms := range d.loop.conns.at(slot).more.topics {
		if ms.topic == t {
			d.loop.conns.at(slot).more.topics[i].at = to
		}
	}
}

func (d *deliverer) leaveAll(c *conn) {
	for len(c.more.topics) > 0 {
		d.leave(c, len(c.more.topics)-1)
	}
}
