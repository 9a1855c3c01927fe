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
	"time"
)

// errIncomplete is an answer without that of some edge.
var errIncomplete = exitError{
	errors.New("not every edge has answered in time: there may be more; ask again"), exitIncomplete,
}

type presenceCmd struct {
	User  []string `arg:"" optional:"" help:"User ids."`
	Topic string   `help:"Instead of users: count the sessions that have joined this topic." placeholder:"TOPIC"`

	publisherFlags `embed:""`
}

// presence is whether one person is connected.
type presence struct {
	User    string
	Online  bool
	Devices int
	Edges   []string
}

// Run prints who is connected.
func (c *presenceCmd) Run(ctx context.Context, w world, g globals) error {
	if len(c.User) > 0 == (c.Topic != "") {
		return usage("either users or --topic; for example: sv-cli presence ada grace")
	}
	cred, err := c.credentials()
	if err != nil {
		return err
	}
	q := url.Values{"user": c.User}
	if c.Topic != "" {
		q = url.Values{"topic": {c.Topic}}
	}
	raw, err := call(ctx, g, http.MethodGet, "/ws/presence?"+q.Encode(), cred, nil, nil)
	if err != nil {
		return err
	}
	var answer struct {
		presence
		Users    []presence
		Topic    string
		Members  int
		Complete *bool
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Complete == nil {
		return errors.New("the server's answer is not about presence; is --url (SV_URL) the base URL of a Vibemesh?")
	}
	switch {
	case g.JSON:
		err = say(w, strings.TrimSpace(string(raw)))
	case c.Topic != "":
		err = say(w, fmt.Sprintf("%s of %s", plural(answer.Members, "session"), clean(c.Topic)))
	default:
		people := answer.Users
		if len(c.User) == 1 {
			people = []presence{answer.presence}
		}
		err = w.people(people)
	}
	if err == nil && !*answer.Complete {
		return errIncomplete
	}
	return err
}

// people prints a table of persons.
func (w world) people(all []presence) error {
	t := table{head: []string{"USER", "ONLINE", "DEVICES", "EDGES"}, right: []bool{2: true}}
	for _, p := range all {
		online := cell{text: "no", colour: dim}
		if p.Online {
			online = cell{text: "yes", colour: green}
		}
		t.add(cell{text: p.User}, online, cell{text: strconv.Itoa(p.Devices)}, cell{text: strings.Join(p.Edges, " ")})
	}
	return t.print(w)
}

type disconnectCmd struct {
	User   string `arg:"" help:"Whose sessions to end."`
	Reason string `help:"What the close frame says; at most 120 bytes." placeholder:"TEXT"`

	publisherFlags `embed:""`
}

// Run ends a person's sessions. The person may come back.
func (c *disconnectCmd) Run(ctx context.Context, w world, g globals) error {
	cred, err := c.credentials()
	if err != nil {
		return err
	}
	body := map[string]string{"user": c.User}
	if c.Reason != "" {
		body["reason"] = c.Reason
	}
	raw, err := call(ctx, g, http.MethodPost, "/ws/disconnect", cred, nil, body)
	if err != nil {
		return err
	}
	var answer struct {
		Sessions int
		Edges    []string
		Complete *bool
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Complete == nil {
		return errors.New("the server's answer is not about sessions; is --url (SV_URL) the base URL of a Vibemesh?")
	}
	if g.JSON {
		err = say(w, strings.TrimSpace(string(raw)))
	} else {
		on := ""
		if len(answer.Edges) > 0 {
			on = " on " + clean(strings.Join(answer.Edges, ", "))
		}
		err = say(w, fmt.Sprintf("ended %s of %s%s", plural(answer.Sessions, "session"), clean(c.User), on))
	}
	if err == nil && !*answer.Complete {
		return errIncomplete
	}
	return err
}

type revokeCmd struct {
	User   string `arg:"" help:"Whose tokens to refuse."`
	Before string `help:"Tokens issued before this time; left out: now. RFC 3339, or 'today 09:00'." placeholder:"TIME"`

	publisherFlags `embed:""`
}

// Run refuses the older tokens of a person, and so ends the sessions that they were for.
func (c *revokeCmd) Run(ctx context.Context, w world, g globals) error {
	cred, err := c.credentials()
	if err != nil {
		return err
	}
	body := map[string]string{"user": c.User}
	if c.Before != "" {
		before, err := moment("--before", c.Before, w.now(), w.zone)
		if err != nil {
			return err
		}
		if before.After(w.now().Add(time.Minute)) { // as much as the server allows for its clock
			return usage("--before=%s is in the future: the tokens of that time are not issued yet", c.Before)
		}
		body["before"] = before.Format(time.RFC3339Nano)
	}
	raw, err := call(ctx, g, http.MethodPost, "/ws/revoke", cred, nil, body)
	if err != nil {
		return err
	}
	var answer struct {
		User   string
		Before time.Time
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Before.IsZero() {
		return errors.New("the server's answer is not about tokens; is --url (SV_URL) the base URL of a Vibemesh?")
	}
	if g.JSON {
		return say(w, strings.TrimSpace(string(raw)))
	}
	return say(w, fmt.Sprintf("tokens of %s from before %s are refused, and sessions with them end",
		clean(answer.User), answer.Before.In(w.zone).Format(time.DateTime)))
}
