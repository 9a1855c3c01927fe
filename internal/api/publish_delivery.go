package api

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

const (
	maxTTL   = 30 * 24 * time.Hour
	maxDelay = 365 * 24 * time.Hour
)

// deliveryFields stand beside "to" in a toast and in each event of a batch.
var deliveryFields = []string{"ttl", "collapse", "deliver_at"}

// delivery is what a publisher says of an event besides what it is and whom it is for.
type delivery struct {
	ttl      time.Duration // 0: as long as the log keeps it
	collapse string        // a key, or empty
	at       time.Time     // in UTC; zero: now
}

// parseDelivery takes the fields of a delivery out of an object. None of them may be
// null: a backend's missing value must not become something that is shown at once and
// for ever.
func (a *API) parseDelivery(f *faults, location string, o object) (d delivery) {
	if raw := o["ttl"]; raw != nil {
		var seconds int64
		if err := json.Unmarshal(raw, &seconds); err != nil || seconds < 1 || seconds > int64(maxTTL/time.Second) {
			f.add(location+".ttl", fmt.Sprintf("must be a whole number of seconds, 1 to %d", maxTTL/time.Second), raw)
		}
		d.ttl = time.Duration(seconds) * time.Second
	}
	if raw := o["collapse"]; raw != nil {
		key, ok := asString(raw)
		if !ok || wire.CheckCollapse(key) != nil {
			f.add(location+".collapse", fmt.Sprintf("must be 1 to %d of A-Z, a-z, 0-9 and _ . : / -", wire.MaxCollapse), raw)
		}
		d.collapse = key
	}
	if raw := o["deliver_at"]; raw != nil {
		d.at = a.parseTime(f, location+".deliver_at", raw)
	}
	for _, name := range deliveryFields {
		delete(o, name)
	}
	return d
}

// parseTime reads when to deliver. A time that has passed is now.
func (a *API) parseTime(f *faults, location string, raw json.RawMessage) time.Time {
	text, ok := asString(raw)
	var at time.Time
	if !ok || at.UnmarshalText([]byte(text)) != nil {
		f.add(location, "must be a time of RFC 3339 with its zone, such as 2031-05-01T09:00:00Z or 2031-05-01T11:00:00+02:00", raw)
		return time.Time{}
	}
	if most := a.longestDelay(); time.Until(at) > most {
		f.add(location, fmt.Sprintf("must be within %d hours from now", int64(most/time.Hour)), raw)
	}
	return at.UTC()
}

// longestDelay is how far ahead a message can be scheduled.
func (a *API) longestDelay() time.Duration {
	if a.cfg.MaxDelay > 0 {
		return min(a.cfg.MaxDelay, maxDelay)
	}
	return maxDelay
}
