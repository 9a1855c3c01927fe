package api

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxRated is how many people have a bucket of their own. Those beyond it share one, until
// somebody's is full again, which is as good as a new one. A secret always has its own:
// where everybody may publish, no crowd takes a backend's.
const maxRated = 10_000

// sweepEvery bounds how often full buckets are looked for, which takes all of the table.
const sweepEvery = time.Second

// rates is what each publisher may still publish: a bucket of messages for every shared
// secret and every person.
type rates struct {
	rate   rate.Limit // messages a second; 0: no limit
	burst  int        // messages at once
	most   int        // buckets, but for secrets'
	now    func() time.Time
	mu     sync.Mutex
	own    map[string]*rate.Limiter // by caller.bucket
	others *rate.Limiter            // of who found the table full
	swept  time.Time
}

// newRates makes the table. A burst of 0 is what comes in a second, and at least what one
// request may hold.
func newRates(perSecond float64, burst int) *rates {
	if burst == 0 {
		burst = max(int(math.Ceil(perSecond)), maxUsers)
	}
	r := &rates{rate: rate.Limit(perSecond), burst: burst, most: maxRated, now: time.Now, own: make(map[string]*rate.Limiter)}
	r.others = rate.NewLimiter(r.rate, r.burst)
	return r
}

// take lets a publisher publish some messages, or says for how long that is too early.
// Nothing is taken then.
func (r *rates) take(who string, messages int) (wait time.Duration) {
	now := r.now()
	// Reserving and cancelling are two steps, which others must not come between.
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.bucket(who, now).ReserveN(now, messages)
	if wait = taken.DelayFrom(now); wait > 0 {
		taken.CancelAt(now)
	}
	return wait
}

// bucket finds who's bucket, and makes it if there is room.
func (r *rates) bucket(who string, now time.Time) *rate.Limiter {
	if b := r.own[who]; b != nil {
		return b
	}
	if len(r.own) >= r.most && now.Sub(r.swept) >= sweepEvery {
		r.swept = now
		for name, b := range r.own {
			if b.TokensAt(now) >= float64(r.burst) {
				delete(r.own, name)
			}
		}
	}
	if len(r.own) >= r.most && !isSecret(who) {
		return r.others
	}
	b := rate.NewLimiter(r.rate, r.burst)
	r.own[who] = b
	return b
}

// limitRate answers a publisher who has sent too much. It comes last before the messages
// are stored, so what is wrong costs nothing of the rate.
func (a *API) limitRate(who caller, messages int) *Problem {
	switch {
	case a.rates.rate == 0:
		return nil
	case messages > a.rates.burst:
		f := faults{{Location: "body", Message: fmt.Sprintf("makes %d messages; this server takes at most %d at once", messages, a.rates.burst)}}
		return f.problem()
	}
	wait := a.rates.take(who.bucket(), messages)
	if wait == 0 {
		return nil
	}
	a.metrics.limited.WithLabelValues(who.kind()).Inc()
	p := problem(http.StatusTooManyRequests, fmt.Sprintf("This publisher may send %v messages a second. Nothing was done; try again after the time in Retry-After.", a.cfg.PublishRate))
	return p.with("Retry-After", strconv.Itoa(int(math.Ceil(min(wait.Seconds(), math.MaxInt32)))))
}
