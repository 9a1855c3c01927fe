package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

type toastCmd struct {
	Title       string `help:"The headline." required:"" placeholder:"TEXT"`
	Teaser      string `help:"What the small banner shows below the title." placeholder:"TEXT"`
	Description string `help:"The whole text, shown when the toast is opened." placeholder:"TEXT"`
	ImageURL    string `name:"image-url" help:"A picture, by https." placeholder:"URL"`
	ActionURL   string `name:"action-url" help:"Where the action button leads: https, or an app scheme such as sv://." placeholder:"URL"`
	ActionLabel string `name:"action-label" help:"The words on the action button." placeholder:"TEXT"`

	User  []string `help:"Only for this user; repeat it for several." placeholder:"UID" sep:"none"`
	Topic string   `help:"Only for the members of this topic." placeholder:"TOPIC"`

	Secret         string `help:"Shared secret of publishers; better in the environment, where ps does not show it." from:"SV_SECRET" placeholder:"SECRET"`
	SecretHeader   string `help:"Header that carries the secret." from:"SV_SECRET_HEADER" default:"X-SV-KEY" placeholder:"NAME"`
	Token          string `help:"Token of somebody who may publish, when there is no secret." from:"SV_TOKEN" placeholder:"TOKEN"`
	IdempotencyKey string `help:"Publishing again with the same key stores nothing new." placeholder:"KEY"`
}

// toastBody is the request of POST /ws/toast; what is empty is left out.
type toastBody struct {
	Title       string   `json:"title"`
	Teaser      string   `json:"teaser,omitempty"`
	Description string   `json:"description,omitempty"`
	ImageURL    string   `json:"image_url,omitempty"`
	ActionURL   string   `json:"action_url,omitempty"`
	ActionLabel string   `json:"action_label,omitempty"`
	To          *toField `json:"to,omitempty"`
}

type toField struct {
	User  string   `json:"user,omitempty"`
	Users []string `json:"users,omitempty"`
	Topic string   `json:"topic,omitempty"`
}

// receipt is the server's answer for one recipient.
type receipt struct {
	ID        string `json:"id"`
	Seq       uint64 `json:"seq"`
	Subject   string `json:"subject"`
	Duplicate bool   `json:"duplicate"`
}

func (c *toastCmd) to() (*toField, error) {
	switch {
	case len(c.User) > 0 && c.Topic != "":
		return nil, usage("--user and --topic cannot be used together; publish twice")
	case c.Topic != "":
		return &toField{Topic: c.Topic}, nil
	case len(c.User) == 1:
		return &toField{User: c.User[0]}, nil
	case len(c.User) > 1:
		return &toField{Users: c.User}, nil
	}
	return nil, nil
}

func (c *toastCmd) check() error {
	if c.Secret == "" && c.Token == "" {
		return usage("publishing needs --secret (SV_SECRET) or --token (SV_TOKEN);\n" +
			"  with WS_AUTH=dev: export SV_TOKEN=$(sv-cli token --user backend --publisher)")
	}
	for _, v := range []struct{ flag, value string }{
		{"--secret (SV_SECRET)", c.Secret},
		{"--secret-header (SV_SECRET_HEADER)", c.SecretHeader},
		{"--token (SV_TOKEN)", c.Token},
		{"--idempotency-key", c.IdempotencyKey},
	} {
		if strings.ContainsAny(v.value, "\r\n\x00") {
			return usage("%s contains a line end; was it read from a file?", v.flag)
		}
	}
	return nil
}

// Run publishes the toast and prints the receipts.
func (c *toastCmd) Run(ctx context.Context, w world, g globals) error {
	to, err := c.to()
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	header := http.Header{}
	if c.IdempotencyKey != "" {
		header.Set("Idempotency-Key", c.IdempotencyKey)
	}
	raw, err := call(ctx, g, http.MethodPost, "/ws/toast",
		credentials{secret: c.Secret, secretHeader: c.SecretHeader, token: c.Token}, header,
		toastBody{c.Title, c.Teaser, c.Description, c.ImageURL, c.ActionURL, c.ActionLabel, to})
	if err != nil {
		return err
	}
	receipts, err := parseReceipts(raw)
	if err != nil {
		return err
	}
	if g.JSON {
		fmt.Fprintln(w.stdout, strings.TrimSpace(string(raw)))
		return nil
	}
	for _, r := range receipts {
		note := ""
		if r.Duplicate {
			note = "  (published before under this idempotency key)"
		}
		fmt.Fprintf(w.stdout, "stored %s as number %d of the log, on %s%s\n", clean(r.ID), r.Seq, clean(r.Subject), note)
	}
	return nil
}

// parseReceipts reads one receipt or a list of them.
func parseReceipts(raw []byte) ([]receipt, error) {
	var list []receipt
	if json.Unmarshal(raw, &list) == nil {
		return list, nil
	}
	var one receipt
	if err := json.Unmarshal(raw, &one); err != nil || one.ID == "" {
		return nil, errors.New("the server's answer is not a receipt; is --url (SV_URL) the base URL of a Vibemesh?")
	}
	return []receipt{one}, nil
}
