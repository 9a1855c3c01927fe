package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Signal sends something of the moment, such as "typing" or "call": it is not stored, and
// reaches those of its people who are connected and ask for signals. Nobody answers, so
// nil says only that it was given to the connection. A nil payload is an empty object. Of
// the options only From is for signals.
func (p *Publisher) Signal(ctx context.Context, to Audience, name string, payload any, from ...From) error {
	if payload == nil {
		payload = struct{}{}
	}
	var found InvalidError
	msg := nats.NewMsg("")
	p.audience(&found, "", to)
	env := p.envelope(&found, "", name, payload)
	for _, f := range from {
		token, err := wire.EncodeID(string(f))
		switch {
		case err != nil:
			found.add("from", fmt.Sprintf("has %d bytes; 1 to %d are allowed", len(f), wire.MaxIDLen))
		case !utf8.ValidString(string(f)):
			found.add("from", "is not UTF-8")
		}
		msg.Header.Set(wire.HeaderFrom, token)
	}
	if found.Fields != nil {
		return &found
	}
	var err error
	if msg.Subject, err = p.subjects.Signal(to.to); err != nil {
		return err
	}
	if msg.Data, err = json.Marshal(env); err != nil {
		return err
	}
	inject(ctx, 0, msg)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !p.log.NC.IsConnected() {
		return fmt.Errorf("%w: NATS is not connected", ErrUnavailable)
	}
	if err := p.log.NC.PublishMsg(msg); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// From is the id of the person for whom a backend sends a signal.
type From string
