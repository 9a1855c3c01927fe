package auth

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ErrRevoked is the ErrToken of a token that was issued before its user's were revoked.
var ErrRevoked = fmt.Errorf("%w: it was revoked; sign in again", ErrToken)

// Revoked says whose tokens are refused although they have not expired: those that
// were issued before some time. A look into an empty one is one atomic load, into
// another one a lookup without a lock. It is safe for concurrent use.
type Revoked struct {
	count atomic.Int64
	users sync.Map // user id to milliseconds since 1970
}

// Set refuses the tokens of a user that were issued before a time, and no others.
func (r *Revoked) Set(uid string, before time.Time) {
	if _, known := r.users.Swap(uid, before.UnixMilli()); !known {
		r.count.Add(1)
	}
}

// Remove refuses nothing of a user any more.
func (r *Revoked) Remove(uid string) {
	if _, known := r.users.LoadAndDelete(uid); known {
		r.count.Add(-1)
	}
}

// Len is how many users have tokens that are refused.
func (r *Revoked) Len() int { return int(r.count.Load()) }

// Holds reports whether a user's token is refused. Tokens say when they were issued in
// whole seconds, so one of the same second counts as issued before.
func (r *Revoked) Holds(uid string, issued time.Time) bool {
	if r.count.Load() == 0 {
		return false
	}
	before, ok := r.users.Load(uid)
	return ok && issued.UnixMilli() < before.(int64)
}
