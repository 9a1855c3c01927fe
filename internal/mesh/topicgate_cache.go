package mesh

import (
	"sync"
	"time"
)

type gateKey struct{ uid, topic string }

type gateEntry struct {
	allow bool
	until time.Time
}

// gateCache remembers answers in two halves: the young one is filled, and when it is
// full it becomes the old one, whose entries are gone when that happens again. What is
// asked for is kept, by being moved to the young half.
type gateCache struct {
	mu         sync.Mutex
	half       int
	young, old map[gateKey]gateEntry
}

func newGateCache(entries int) gateCache {
	return gateCache{half: max(entries/2, 1), young: map[gateKey]gateEntry{}}
}

func (c *gateCache) get(k gateKey, now time.Time) (allow, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[k]
	if !ok {
		if e, ok = c.old[k]; ok {
			delete(c.old, k)
			if now.Before(e.until) {
				c.add(k, e)
			}
		}
	}
	return e.allow, ok && now.Before(e.until)
}

func (c *gateCache) put(k gateKey, allow bool, now, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.old, k)
	if until.After(now) {
		c.add(k, gateEntry{allow, until})
	}
}

func (c *gateCache) add(k gateKey, e gateEntry) {
	if _, there := c.young[k]; !there && len(c.young) >= c.half {
		c.old, c.young = c.young, make(map[gateKey]gateEntry, c.half/4)
	}
	c.young[k] = e
}

func (c *gateCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}
