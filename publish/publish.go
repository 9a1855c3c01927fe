// Package publish publishes to a Vibemesh straight over NATS: toasts and other events,
// which are stored in the log and reach each of their people once, and signals, which
// reach whoever is there now.
//
//	nc, err := nats.Connect(url, nats.UserCredentials("backend.creds"), nats.CustomInboxPrefix("_INBOX_backend"))
//	…
//	p, err := publish.New(nc)
//	…
//	receipt, err := p.Toast(ctx, publish.ToUser("ada"), publish.Toast{Title: "Order 7 has shipped"},
//		publish.IdempotencyKey("order-7"), publish.ExpiresIn(time.Hour))
//
// What is wrong with a message is an *InvalidError, found before anything is sent. Any
// other error wraps ErrUnavailable: the message is not known to be stored, and may be.
// Publish it again with the same IdempotencyKey, and it is there once.
//
// The connection stays the caller's. It needs the rights of the role backend of `vibemesh
// credentials`: to publish to <prefix>.ws.> and <prefix>.signal.>, and to subscribe to its
// own inbox. Where the log has several partitions, NATS maps what is published to them; in
// an account that has that mapping itself, it looks at the rights afterwards, and they are
// <prefix>.log.*.> instead of <prefix>.ws.>.
//
// JetStream's API is not asked for anything. So an event's id, which has the time in it
// when the stream was made, is not in a Receipt, and what was scheduled cannot be cancelled
// here: the HTTP API does both.
package publish

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/schema"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// ErrUnavailable is wrapped by the errors that may pass by themselves: NATS is out of
// reach, did not answer in time, or refused.
var ErrUnavailable = wire.ErrUnavailable

// Publisher publishes on one connection. It is safe for any number of goroutines.
type Publisher struct {
	log        message.Log
	subjects   wire.Subjects
	schemas    *schema.Registry
	partitions atomic.Int32 // of the log; 0: not known
}

// Setting is a setting of a Publisher.
type Setting func(*Publisher) error

// WithPrefix says what every subject begins with: the mesh's WS_SUBJECT_PREFIX. Without
// it, "sv".
func WithPrefix(prefix string) Setting {
	return func(p *Publisher) (err error) {
		p.subjects, err = wire.NewSubjects(prefix)
		return err
	}
}

// New makes a publisher on a connection, which it neither asks for anything nor closes.
// Have it fail fast while NATS is away, with nats.ReconnectBufSize(-1): what nats.go
// keeps in memory to send later may be published after its caller gave up.
func New(nc *nats.Conn, settings ...Setting) (*Publisher, error) {
	if nc == nil {
		return nil, errors.New("publish: there is no connection")
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(message.AckTimeout))
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	p := &Publisher{log: message.Log{NC: nc, JS: js}}
	if p.schemas, err = schema.New(); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	for _, set := range settings {
		if err := set(p); err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
	}
	return p, nil
}

// Toast publishes a toast and returns when the log has acknowledged it. It waits for as
// long as ctx lets it, and for 10 s at most.
func (p *Publisher) Toast(ctx context.Context, to Audience, toast Toast, how ...Option) (Receipt, error) {
	return p.Event(ctx, to, wire.TypeToast, toast, how...)
}

// ToastUsers publishes a toast to several people, 1,000 at most: to all or to none, as
// Batch says. The receipts are in their order. Nobody may be named twice.
func (p *Publisher) ToastUsers(ctx context.Context, users []string, toast Toast, how ...Option) ([]Receipt, error) {
	events := make([]Event, len(users))
	first := make(map[string]int, len(users))
	var found InvalidError
	for i, id := range users {
		events[i] = NewEvent(ToUser(id), wire.TypeToast, toast, how...)
		if j, twice := first[id]; twice {
			found.add(fmt.Sprintf("events[%d].to", i), fmt.Sprintf("is the same as events[%d]'s", j))
			continue
		}
		first[id] = i
	}
	if found.Fields != nil {
		return nil, &found
	}
	return p.Batch(ctx, events...)
}

// Event publishes an event of any type, as Toast does. Its payload is what encoding/json
// makes an object of; a type that has a schema has its payload checked.
func (p *Publisher) Event(ctx context.Context, to Audience, eventType string, payload any, how ...Option) (Receipt, error) {
	msgs, err := p.messages([]Event{NewEvent(to, eventType, payload, how...)})
	if err != nil {
		err.single()
		return Receipt{}, err
	}
	receipts, failed := p.store(ctx, msgs)
	if failed != nil {
		return Receipt{}, failed
	}
	return receipts[0], nil
}

// Batch publishes 1 to 1,000 events: all or none. Where the log has several partitions
// that holds for each partition by itself, and after an error some may have their part;
// the same events with the same keys again complete it. The receipts are in the order of
// the events. An event with the key and audience of an earlier one is not stored again.
func (p *Publisher) Batch(ctx context.Context, events ...Event) ([]Receipt, error) {
	msgs, err := p.messages(events)
	if err != nil {
		return nil, err
	}
	return p.store(ctx, msgs)
}
