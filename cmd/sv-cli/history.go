package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/socialvibes/vibemesh/internal/wire"
)

type historyCmd struct {
	person `embed:""`
	Limit  int    `help:"Most events to print; 0: what the server gives." default:"0" placeholder:"N"`
	Before string `help:"Only what is older than this event." placeholder:"ID"`
}

// Run prints one page of history.
func (c *historyCmd) Run(ctx context.Context, w world, g globals) error {
	if c.Limit < 0 {
		return usage("--limit=%d must not be negative", c.Limit)
	}
	token, err := c.token(w.now())
	if err != nil {
		return err
	}
	q := url.Values{}
	if c.Limit > 0 {
		q.Set("limit", strconv.Itoa(c.Limit))
	}
	if c.Before != "" {
		q.Set("before", c.Before)
	}
	path := "/ws/history"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	raw, err := call(ctx, g, http.MethodGet, path, credentials{token: token}, nil, nil)
	if err != nil {
		return err
	}
	var page struct {
		Events []wire.Event `json:"events"`
		Next   string       `json:"next"`
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		return errors.New("the server's answer is not a history; is --url (SV_URL) the base URL of a Vibemesh?")
	}
	if g.JSON {
		return say(w, strings.TrimSpace(string(raw)))
	}
	for _, e := range page.Events {
		if err := say(w, w.eventLine(e)); err != nil {
			return err
		}
	}
	switch {
	case page.Next != "":
		fmt.Fprintf(w.stderr, "older ones: the same with --before %s\n", clean(page.Next))
	case len(page.Events) == 0:
		fmt.Fprintln(w.stderr, "nothing there")
	}
	return nil
}

// say fails when stdout does, so that a closed pipe ends the program.
func say(w world, s string) error {
	_, err := fmt.Fprintln(w.stdout, s)
	return err
}

func printJSON(w world, v any) error {
	raw, err := marshal(v)
	if err != nil {
		return err
	}
	return say(w, string(raw))
}
