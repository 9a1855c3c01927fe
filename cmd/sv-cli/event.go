package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

type eventCmd struct {
	Type    string `help:"The event's type." required:"" placeholder:"TYPE"`
	Payload string `help:"The event's payload, a JSON object." default:"{}" placeholder:"JSON"`

	deliveryFlags  `embed:""`
	publisherFlags `embed:""`
}

// eventBody is one event of POST /ws/events.
type eventBody struct {
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
	deliveryBody
}

// Run publishes the event and prints the receipts.
func (c *eventCmd) Run(ctx context.Context, w world, g globals) error {
	delivery, err := c.body(w)
	if err != nil {
		return err
	}
	var payload map[string]json.RawMessage
	if err := json.Unmarshal([]byte(c.Payload), &payload); err != nil || payload == nil {
		return usage(`--payload is no JSON object; it looks like {"order":7}`)
	}
	body := map[string][]eventBody{"events": {{c.Type, json.RawMessage(c.Payload), delivery}}}
	return publish(ctx, w, g, c.publisherFlags, c.IdempotencyKey, "/ws/events", body)
}

type cancelCmd struct {
	ID string `arg:"" help:"The id of the receipt."`

	publisherFlags `embed:""`
}

// Run cancels what waits for its time.
func (c *cancelCmd) Run(ctx context.Context, w world, g globals) error {
	cred, err := c.credentials()
	if err != nil {
		return err
	}
	if _, err := call(ctx, g, http.MethodDelete, "/ws/schedule/"+url.PathEscape(c.ID), cred, nil, nil); err != nil {
		return err
	}
	if g.JSON {
		return printJSON(w, map[string]string{"cancelled": c.ID})
	}
	return say(w, fmt.Sprintf("cancelled %s: nobody receives it", clean(c.ID)))
}
