package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type scheduleCmd struct {
	ID string `arg:"" optional:"" help:"Instead of a toast: the id of a receipt, to see what waits under it."`

	Title string `help:"The headline." placeholder:"TEXT"`

	Text           toastText     `embed:""`
	Delivery       deliveryFlags `embed:""`
	publisherFlags `embed:""`
}

// Run publishes a toast for later, or shows what waits.
func (c *scheduleCmd) Run(ctx context.Context, w world, g globals) error {
	if c.ID != "" {
		if c.Title != "" || c.Delivery.At != "" {
			return usage("either an id, to see what waits under it, or --title and --at, to publish a toast for later")
		}
		return c.show(ctx, w, g)
	}
	if c.Title == "" || c.Delivery.At == "" {
		return usage("a toast for later needs --title and --at; to see what waits, give the id of its receipt")
	}
	delivery, err := c.Delivery.body(w)
	if err != nil {
		return err
	}
	if at, err := time.Parse(time.RFC3339, delivery.DeliverAt); err == nil && !at.After(w.now()) {
		return usage("--at=%s is past: it was %s; `sv-cli toast` delivers at once", c.Delivery.At, at.In(w.zone).Format(time.RFC3339))
	}
	return publish(ctx, w, g, c.publisherFlags, c.Delivery.IdempotencyKey, "/ws/toast", c.Text.body(c.Title, delivery))
}

// show prints what waits under an id.
func (c *scheduleCmd) show(ctx context.Context, w world, g globals) error {
	cred, err := c.credentials()
	if err != nil {
		return err
	}
	raw, err := call(ctx, g, http.MethodGet, "/ws/schedule/"+url.PathEscape(c.ID), cred, nil, nil)
	if err != nil {
		return err
	}
	var s struct {
		ID, Type, To string
		DeliverAt    *time.Time `json:"deliver_at"`
	}
	if err := json.Unmarshal(raw, &s); err != nil || s.ID == "" {
		return errors.New("the server's answer is no schedule; is --url (SV_URL) the base URL of a Vibemesh?")
	}
	if g.JSON {
		return say(w, strings.TrimSpace(string(raw)))
	}
	when := "for times that its publisher chose on NATS"
	if s.DeliverAt != nil {
		when = fmt.Sprintf("until %s, for %s more", s.DeliverAt.In(w.zone).Format(time.DateTime), ago(s.DeliverAt.Sub(w.now())))
	}
	whom := map[string]string{"user": "one user", "topic": "the members of a topic", "broadcast": "everybody"}[s.To]
	return say(w, fmt.Sprintf("%s waits %s: %s for %s", clean(s.ID), when, clean(s.Type), whom))
}
