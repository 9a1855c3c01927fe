package limit

import (
	"math"
	"sync/atomic"
	"time"
)

// rate is a token bucket by its arithmetic alone (the generic cell rate algorithm
// of ITU-T I.371): a bucket is one number, the time at which it is full again.
// Times are nanoseconds of the Limiter.
type rate struct {
	interval int64 // between two tokens; 0: no limit
	slack    int64 // how far ahead of now a bucket's time may be for one more
}

// longest keeps sums of times within 64 bits.
const longest = int64(1) << 60

func newRate(perSecond float64, burst int) rate {
	if perSecond <= 0 {
		return rate{}
	}
	if burst <= 0 {
		burst = int(min(math.Ceil(perSecond), math.MaxInt32)) // what comes in a second
	}
	interval := max(float64(time.Second)/perSecond, 1)
	return rate{
		interval: int64(min(interval, float64(longest))),
		slack:    int64(min(interval*float64(burst-1), float64(longest))),
	}
}

func (r rate) limits() bool { return r.interval > 0 }

// take is a bucket after one more token was taken of it; a positive wait says that
// there is none, and for how long.
func (r rate) take(full, now int64) (after, wait int64) {
	full = max(full, now)
	if wait = full - now - r.slack; wait > 0 {
		return full, wait
	}
	return full + r.interval, 0
}

// bucket is one that several goroutines take from.
type bucket struct {
	rate
	full atomic.Int64
}

func newBucket(r rate) *bucket {
	b := &bucket{rate: r}
	b.full.Store(math.MinInt64)
	return b
}

func (b *bucket) takeOne(now int64) (wait int64) {
	if !b.limits() {
		return 0
	}
	for {
		full := b.full.Load()
		after, wait := b.take(full, now)
		if wait > 0 || b.full.CompareAndSwap(full, after) {
			return wait
		}
	}
}
