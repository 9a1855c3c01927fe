package publish

import (
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Audience is whom a message is for. The zero value is nobody, and an error: a value that
// is missing does not become a broadcast.
type Audience struct{ to wire.Audience }

// ToUser is one person: the sub of the person's token, such as a Firebase uid, 1 to 128 bytes
// of UTF-8.
func ToUser(id string) Audience { return Audience{wire.User(id)} }

// ToTopic is the members of a topic, a name of 1 to 128 bytes of UTF-8.
func ToTopic(topic string) Audience { return Audience{wire.Topic(topic)} }

// ToEverybody is everybody.
func ToEverybody() Audience { return Audience{wire.Broadcast()} }

// Toast is a short message that appears on a person's screen and stays in the history.
type Toast struct {
	Title       string `json:"title"`                  // one line, 1 to 200 characters
	Teaser      string `json:"teaser,omitempty"`       // what the small banner shows below the title; at most 500
	Description string `json:"description,omitempty"`  // the whole text, plain; at most 20,000
	ImageURL    string `json:"image_url,omitempty"`    // https
	ActionURL   string `json:"action_url,omitempty"`   // https, or the scheme of an app such as sv://
	ActionLabel string `json:"action_label,omitempty"` // the words on the action button; at most 80
}

// Event is one event to publish, made by NewEvent.
type Event struct {
	to        Audience
	eventType string
	payload   any
	details
}

// NewEvent is an event for a Batch.
func NewEvent(to Audience, eventType string, payload any, how ...Option) Event {
	e := Event{to: to, eventType: eventType, payload: payload}
	for _, say := range how {
		say(&e.details)
	}
	return e
}

// details is what options say of an event.
type details struct {
	ttl      *time.Duration
	collapse *string
	at       time.Time
	key      *string
}

// Option says more of an event than what it is and whom it is for.
type Option func(*details)

// ExpiresIn says for how long the event is shown: a second to 30 days, taken as whole
// seconds. After that it is in no history and no replay. Of a scheduled event the time
// begins when it is delivered. Without it, it stays as long as the log keeps it.
func ExpiresIn(d time.Duration) Option { return func(o *details) { o.ttl = &d } }

// Collapse gives the event a key, 1 to 64 of A-Z a-z 0-9 _ . : / -. It takes the place of
// earlier events for the same audience with the same key.
func Collapse(key string) Option { return func(o *details) { o.collapse = &key } }

// At has the event delivered at a time, at most a year ahead. A time that has passed is now.
func At(t time.Time) Option { return func(o *details) { o.at = t } }

// IdempotencyKey names the event for its audience, with 1 to 128 visible ASCII characters:
// within the log's window of two minutes another one with the same key and audience is not
// stored, and gets the receipt of the first. What is scheduled is never there twice under
// a key; after the window, a later one takes its place. In NATS the key is the header
// Nats-Msg-Id, as "<key>@<the end of the subject>", such as "order-7@user.ada".
func IdempotencyKey(key string) Option { return func(o *details) { o.key = &key } }

// Receipt is the log's acknowledgement of an event.
type Receipt struct {
	Subject   string    // of its audience, such as sv.ws.user.ada
	Stream    string    // the partition of the log that holds it
	Seq       uint64    // its place there
	Duplicate bool      // stored before under the same key; Seq is the original's
	DeliverAt time.Time // when it is delivered, if that is later; else zero
}
