package mesh

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// RevokedSink is told whose tokens are refused, from one goroutine. It must not wait.
type RevokedSink interface {
	// Revoke refuses a user's tokens that were issued before a time, and no others.
	Revoke(uid string, before time.Time)
	// Restore refuses nothing of a user any more.
	Restore(uid string)
}

const (
	revokedRetry = time.Second     // until the bucket is there
	revokedCheck = 5 * time.Second // how often it is looked whether anything was missed
)

// Revocations follows the bucket of revoked tokens.
type Revocations struct {
	mesh *Mesh
	sink RevokedSink
	size atomic.Int64

	once  sync.Once
	known chan struct{} // closed when the bucket was read once, or is not there

	// Owned by Run.
	until map[string]time.Time // by user id: when the bucket lets it go
}

// NewRevocations follows the bucket for a sink, once Run is called.
func (m *Mesh) NewRevocations(sink RevokedSink) *Revocations {
	return &Revocations{mesh: m, sink: sink, known: make(chan struct{}), until: map[string]time.Time{}}
}

// Known waits until the sink knows what was revoked before. A bucket that does not exist
// holds nothing: an older `vibemesh provision` has not made it.
func (r *Revocations) Known(ctx context.Context) error {
	select {
	case <-r.known:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the revoked tokens cannot be read: %w", wire.ErrUnavailable, ctx.Err())
	}
}

// Run follows the bucket until ctx ends.
func (r *Revocations) Run(ctx context.Context) error {
	last := ""
	for ctx.Err() == nil {
		err := r.follow(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			r.once.Do(func() { close(r.known) })
			err = fmt.Errorf("no bucket %s: run `vibemesh provision`: %w", r.mesh.RevokedBucket(), err)
		}
		if last != err.Error() { // it is tried each second
			r.mesh.log.Warn("revoked tokens cannot be followed", "err", err)
			last = err.Error()
		}
		pause(ctx, revokedRetry)
	}
	return nil
}

// follow watches the bucket until something is wrong with the watch. nats.go renews it
// after lost messages and when servers change; what it cannot notice, such as another
// bucket of the same name, the checks do.
func (r *Revocations) follow(ctx context.Context) error {
	open, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	kv, err := r.mesh.signal.js.KeyValue(open, r.mesh.RevokedBucket())
	if err != nil {
		return err
	}
	stream, err := r.mesh.signal.js.Stream(open, "KV_"+r.mesh.RevokedBucket())
	if err != nil {
		return unavailable(err)
	}
	created, ttl := stream.CachedInfo().Created, stream.CachedInfo().Config.MaxAge
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return unavailable(err)
	}
	defer watch.Stop() //nolint:errcheck // the connection is closed
	check := time.NewTicker(revokedCheck)
	defer check.Stop()
	seen, behind := uint64(0), false
	first := map[string]bool{} // users of the initial values; nil after them
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, ok := <-watch.Updates():
			switch {
			case !ok:
				return errors.New("the watch ended")
			case entry == nil:
				r.forgetBut(first)
				first = nil
				r.once.Do(func() { close(r.known) })
			default:
				seen, behind = max(seen, entry.Revision()), false
				if uid := r.take(entry, ttl); uid != "" && first != nil {
					first[uid] = true
				}
			}
		case now := <-check.C:
			r.expire(now)
			info, err := stream.Info(ctx)
			if err != nil {
				continue // NATS is out of reach: the watch comes back with it
			}
			if !info.Created.Equal(created) {
				return errors.New("the bucket is another one")
			}
			if info.State.LastSeq > seen && info.State.Msgs > 0 && behind {
				return fmt.Errorf("an entry was missed: %d came, the bucket is at %d", seen, info.State.LastSeq)
			}
			behind = info.State.LastSeq > seen && info.State.Msgs > 0
		}
	}
}

// take brings one entry to the sink and returns whose it is, if it holds.
func (r *Revocations) take(entry jetstream.KeyValueEntry, ttl time.Duration) string {
	uid, err := wire.DecodeID(entry.Key())
	if err != nil {
		r.mesh.log.Warn("a key of the revoked tokens is no user", "key", entry.Key())
		return ""
	}
	if entry.Operation() != jetstream.KeyValuePut {
		r.restore(uid)
		return ""
	}
	before, ok := refusedBefore(entry)
	if !ok {
		r.mesh.log.Warn("a value of the revoked tokens is no time in milliseconds; all tokens of before it are refused", "key", entry.Key())
	}
	if ttl > 0 {
		r.until[uid] = entry.Created().Add(ttl)
	} else {
		r.until[uid] = time.Time{}
	}
	r.size.Store(int64(len(r.until)))
	r.sink.Revoke(uid, before)
	return uid
}

// refusedBefore is the time that an entry has. Nonsense took the place of a time that
// nobody knows any more: ok is false, and the time that of the entry, so that nobody takes
// a revocation back by it. (The log acknowledges to the subject that a publisher names,
// which may be one of the bucket.)
func refusedBefore(entry jetstream.KeyValueEntry) (before time.Time, ok bool) {
	ms, err := strconv.ParseInt(string(entry.Value()), 10, 64)
	if err != nil {
		return entry.Created(), false
	}
	return time.UnixMilli(ms), true
}

func (r *Revocations) restore(uid string) {
	if _, known := r.until[uid]; known {
		delete(r.until, uid)
		r.size.Store(int64(len(r.until)))
		r.sink.Restore(uid)
	}
}

// forgetBut restores who is not in the bucket any more.
func (r *Revocations) forgetBut(held map[string]bool) {
	for uid := range r.until {
		if !held[uid] {
			r.restore(uid)
		}
	}
}

// expire restores whom the bucket has let go, which the watch does not say.
func (r *Revocations) expire(now time.Time) {
	for uid, until := range r.until {
		if !until.IsZero() && now.After(until) {
			r.restore(uid)
		}
	}
}

// Revoke refuses a user's tokens that were issued before a time, everywhere, and returns
// the time that counts: an earlier one takes nothing back.
func (o *Operator) Revoke(ctx context.Context, uid string, before time.Time) (time.Time, error) {
	key, err := wire.EncodeID(uid)
	if err != nil {
		return before, err
	}
	kv, err := o.mesh.signal.js.KeyValue(ctx, o.mesh.RevokedBucket())
	if err != nil {
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			err = fmt.Errorf("no bucket %s: run `vibemesh provision`: %w", o.mesh.RevokedBucket(), err)
		}
		return before, unavailable(err)
	}
	for range 5 { // others may revoke the same at the same time
		revision := uint64(0)
		entry, err := kv.Get(ctx, key)
		switch {
		case err == nil:
			revision = entry.Revision()
			if stored, _ := refusedBefore(entry); stored.UnixMilli() > before.UnixMilli() {
				before = time.UnixMilli(stored.UnixMilli())
			}
		case !errors.Is(err, jetstream.ErrKeyNotFound):
			return before, unavailable(err)
		}
		value := strconv.AppendInt(nil, before.UnixMilli(), 10)
		if revision == 0 {
			_, err = kv.Create(ctx, key, value)
		} else {
			_, err = kv.Update(ctx, key, value, revision)
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			if err == nil {
				o.mesh.log.Info("the tokens of a user were revoked", "before", before)
			}
			return before, unavailable(err)
		}
	}
	return before, fmt.Errorf("%w: others keep changing the same revocation", wire.ErrUnavailable)
}

var descRevoked = prometheus.NewDesc("vibemesh_revoked_users", "Users of whom older tokens are refused.", nil, nil)

// Collectors are the metrics, to be registered once.
func (r *Revocations) Collectors() []prometheus.Collector { return []prometheus.Collector{r} }

// Describe implements prometheus.Collector.
func (r *Revocations) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(r, ch) }

// Collect implements prometheus.Collector.
func (r *Revocations) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(descRevoked, prometheus.GaugeValue, float64(r.size.Load()))
}
