package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus"
)

// Cache is a Verifier that remembers the tokens another one has verified, until
// they expire. What it remembers is the SHA-256 of a token, never the token;
// refused tokens are not remembered. Misses of the same token at the same time
// are verified once. It is safe for concurrent use.
type Cache struct {
	next    Verifier
	table   table
	flights [stripes]flights
	revoked Revoked

	topicClaim string // empty: Identity.Topics is not wanted

	hits, misses  prometheus.Counter
	entries       prometheus.GaugeFunc
	verifications *prometheus.CounterVec
}

// key is the first half of a token's SHA-256. Whoever wanted two tokens with the
// same key would have to have 2^64 of them signed.
type key [sha256.Size / 2]byte

// flights are the verifications under way of one stripe of the keys.
type flights struct {
	mu sync.Mutex
	of map[key]*flight
}

// flight is one verification, and who waits for it. Its other fields may be read
// once done is closed.
type flight struct {
	done      chan struct{}
	id        Identity
	err       error
	abandoned bool // its caller gave up: the error is the caller's, not the token's
}

// NewCache makes a Cache in front of v that remembers at most entries tokens,
// rounded up to a multiple of eight; 0 remembers none. A token takes 48 to
// 96 bytes, as its set is full or has just grown, and those of its user id (28 at
// Firebase, at most 128); memory is taken as it is needed and then kept.
func NewCache(v Verifier, entries int) *Cache {
	c := &Cache{next: v}
	c.table.init(entries)
	for i := range c.flights {
		c.flights[i].of = make(map[key]*flight)
	}
	c.hits = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vibemesh_auth_cache_hits_total", Help: "Tokens that were remembered as verified.",
	})
	c.misses = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "vibemesh_auth_cache_misses_total", Help: "Tokens that were not remembered and had to be verified.",
	})
	c.entries = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vibemesh_auth_cache_entries", Help: "Tokens remembered, expired ones that nothing has replaced yet included.",
	}, func() float64 { return float64(c.table.live.Load()) })
	c.verifications = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vibemesh_auth_verifications_total", Help: "Tokens verified, by result.",
	}, []string{"result"})
	for _, result := range []string{"ok", "expired", "revoked", "invalid", "unavailable"} {
		c.verifications.WithLabelValues(result)
	}
	return c
}

// Collectors are the cache's metrics, to be registered once.
func (c *Cache) Collectors() []prometheus.Collector {
	return []prometheus.Collector{c.hits, c.misses, c.entries, c.verifications}
}

// ReadTopics has Identity.Topics filled from a claim. Call it before anything else: it
// costs each new token another reading of its claims, and memory for what they say.
func (c *Cache) ReadTopics(claim string) { c.topicClaim = claim }

// Revoked is which tokens the cache refuses, remembered or not.
func (c *Cache) Revoked() *Revoked { return &c.revoked }

// pass lets through who was verified, unless the token was revoked.
func (c *Cache) pass(id Identity) (Identity, error) {
	if c.revoked.Holds(id.UID, id.IssuedAt) {
		c.count(ErrRevoked)
		return Identity{}, ErrRevoked
	}
	return id, nil
}

// verified remembers a token that the Verifier behind has verified.
func (c *Cache) verified(k key, token string, id Identity) Identity {
	if c.topicClaim != "" {
		id.Topics = topicsOf(token, c.topicClaim)
	}
	c.table.put(k, id, time.Now().Unix())
	return id
}

// Lookup finds who token speaks for if that is remembered, has not expired and was not
// revoked. It does no I/O, allocates nothing and takes about a microsecond. A hit is
// counted; a miss is not, since Verify, which usually follows, counts it.
func (c *Cache) Lookup(token string) (Identity, bool) {
	if token == "" || len(token) > maxToken {
		return Identity{}, false
	}
	id, ok := c.lookup(sum(token))
	return id, ok && !c.revoked.Holds(id.UID, id.IssuedAt)
}

func (c *Cache) lookup(k key) (Identity, bool) {
	id, ok := c.table.get(k, time.Now().Unix())
	if ok {
		c.hits.Inc()
	}
	return id, ok
}

// VerifyNow implements Immediate: it answers for a token that is remembered, and
// for any other if the Verifier behind the cache is an Immediate and can. ErrWait
// is not counted: Verify usually follows and counts.
func (c *Cache) VerifyNow(token string) (Identity, error) {
	var id Identity
	err := checkText(token)
	if err == nil {
		k := sum(token)
		if known, ok := c.lookup(k); ok {
			return c.pass(known)
		}
		next, ok := c.next.(Immediate)
		if !ok {
			return Identity{}, ErrWait
		}
		if id, err = next.VerifyNow(token); err == nil {
			id = c.verified(k, token, id)
		}
	}
	if !errors.Is(err, ErrWait) {
		c.misses.Inc()
		c.count(err)
	}
	if err != nil {
		return id, err
	}
	return c.pass(id)
}

// Verify is that of the Verifier behind the cache, asked only when Lookup fails
// and nobody else is asking about the same token.
func (c *Cache) Verify(ctx context.Context, token string) (Identity, error) {
	if err := checkText(token); err != nil {
		c.misses.Inc()
		c.count(err)
		return Identity{}, err
	}
	k := sum(token)
	id, ok := c.lookup(k)
	if !ok {
		c.misses.Inc()
		var err error
		if id, err = c.share(ctx, token, k); err != nil {
			return id, err
		}
	}
	return c.pass(id)
}

// share verifies a token, or waits for who is verifying the same one.
func (c *Cache) share(ctx context.Context, token string, k key) (Identity, error) {
	for {
		f, mine := c.join(k)
		if mine {
			return c.lead(ctx, token, k, f)
		}
		select {
		case <-f.done:
			if !f.abandoned {
				return f.id, f.err
			}
		case <-ctx.Done():
			return Identity{}, unavailable(ctx)
		}
	}
}

// join finds the verification of k that is under way, or starts one.
func (c *Cache) join(k key) (f *flight, mine bool) {
	fs := &c.flights[k.stripe()]
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f = fs.of[k]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{}), abandoned: true}
	fs.of[k] = f
	return f, true
}

// lead verifies for all that have joined f.
func (c *Cache) lead(ctx context.Context, token string, k key, f *flight) (Identity, error) {
	defer func() { // also when next panics: nobody may wait for ever
		fs := &c.flights[k.stripe()]
		fs.mu.Lock()
		delete(fs.of, k)
		fs.mu.Unlock()
		close(f.done)
	}()
	// Another flight may have landed between our miss and our start.
	now := time.Now().Unix()
	if id, ok := c.table.get(k, now); ok {
		f.id, f.abandoned = id, false
		return id, nil
	}
	f.id, f.err = c.next.Verify(ctx, token)
	f.abandoned = errors.Is(f.err, ErrUnavailable) && ctx.Err() != nil
	c.count(f.err)
	if f.err == nil {
		f.id = c.verified(k, token, f.id)
	}
	return f.id, f.err
}

func (c *Cache) count(err error) {
	result := "unavailable"
	switch {
	case err == nil:
		result = "ok"
	case errors.Is(err, ErrExpired):
		result = "expired"
	case errors.Is(err, ErrRevoked):
		result = "revoked"
	case errors.Is(err, ErrToken):
		result = "invalid"
	}
	c.verifications.WithLabelValues(result).Inc()
}

// sum hashes a token without copying it: SHA-256 only reads.
func sum(token string) key {
	whole := sha256.Sum256(unsafe.Slice(unsafe.StringData(token), len(token)))
	return key(whole[:len(key{})])
}
