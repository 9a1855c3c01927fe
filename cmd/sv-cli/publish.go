package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// publisherFlags say who publishes.
type publisherFlags struct {
	Secret       string `help:"Shared secret of publishers; better in the environment, where ps does not show it." from:"SV_SECRET" placeholder:"SECRET"`
	SecretHeader string `help:"Header that carries the secret." from:"SV_SECRET_HEADER" default:"X-SV-KEY" placeholder:"NAME"`
	Token        string `help:"Token of somebody who may publish, if there is no secret." from:"SV_TOKEN" placeholder:"TOKEN"`
}

func (f publisherFlags) credentials() (credentials, error) {
	if f.Secret == "" && f.Token == "" {
		return credentials{}, usage("this needs --secret (SV_SECRET) or --token (SV_TOKEN);\n" +
			"  with WS_AUTH=dev: export SV_TOKEN=$(sv-cli token --user backend --publisher)")
	}
	for _, v := range []struct{ flag, value string }{
		{"--secret (SV_SECRET)", f.Secret},
		{"--secret-header (SV_SECRET_HEADER)", f.SecretHeader},
		{"--token (SV_TOKEN)", f.Token},
	} {
		if err := oneLine(v.flag, v.value); err != nil {
			return credentials{}, err
		}
	}
	return credentials{secret: f.Secret, secretHeader: f.SecretHeader, token: f.Token}, nil
}

func oneLine(flag, value string) error {
	if strings.ContainsAny(value, "\r\n\x00") {
		return usage("%s contains a line end; was it read from a file?", flag)
	}
	return nil
}

// deliveryFlags say whom something is for, when, and for how long.
type deliveryFlags struct {
	User  []string `help:"Only for this user; repeat it for several." placeholder:"UID" sep:"none"`
	Topic string   `help:"Only for the members of this topic." placeholder:"TOPIC"`

	TTL      string `name:"ttl" help:"How long it is shown after its delivery: seconds, or a duration such as 90m." placeholder:"TIME"`
	Collapse string `help:"It takes the place of earlier ones with the same key." placeholder:"KEY"`
	At       string `help:"When to deliver it: RFC 3339, 'tomorrow 09:00', or a duration from now such as 10m." placeholder:"TIME"`

	IdempotencyKey string `help:"Publishing again with the same key stores nothing new." placeholder:"KEY"`
}

// deliveryBody is what a request has beside its payload; what is empty is left out.
type deliveryBody struct {
	To        *toField `json:"to,omitempty"`
	TTL       int64    `json:"ttl,omitempty"`
	Collapse  string   `json:"collapse,omitempty"`
	DeliverAt string   `json:"deliver_at,omitempty"`
}

type toField struct {
	User  string   `json:"user,omitempty"`
	Users []string `json:"users,omitempty"`
	Topic string   `json:"topic,omitempty"`
}

func (f *deliveryFlags) body(w world) (b deliveryBody, err error) {
	switch {
	case len(f.User) > 0 && f.Topic != "":
		return b, usage("--user and --topic cannot be used together; publish twice")
	case f.Topic != "":
		b.To = &toField{Topic: f.Topic}
	case len(f.User) == 1:
		b.To = &toField{User: f.User[0]}
	case len(f.User) > 1:
		b.To = &toField{Users: f.User}
	}
	if b.TTL, err = seconds(f.TTL); err != nil {
		return b, err
	}
	b.Collapse = f.Collapse
	if f.At != "" {
		at, err := moment("--at", f.At, w.now(), w.zone)
		if err != nil {
			return b, err
		}
		b.DeliverAt = at.Format(time.RFC3339Nano)
	}
	return b, oneLine("--idempotency-key", f.IdempotencyKey)
}

// seconds reads --ttl; 0 when it is not given.
func seconds(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
		return n, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d%time.Second != 0 {
		return 0, usage("--ttl=%s is no lifetime; it looks like 3600 or 90m, in whole seconds", text)
	}
	return int64(d / time.Second), nil
}

// receipt is the server's answer for one recipient.
type receipt struct {
	ID        string     `json:"id"`
	Seq       uint64     `json:"seq"`
	Subject   string     `json:"subject"`
	Duplicate bool       `json:"duplicate"`
	DeliverAt *time.Time `json:"deliver_at"`
}

// publish makes the request and prints the receipts.
func publish(ctx context.Context, w world, g globals, who publisherFlags, key, path string, body any) error {
	cred, err := who.credentials()
	if err != nil {
		return err
	}
	header := http.Header{}
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	raw, err := call(ctx, g, http.MethodPost, path, cred, header, body)
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
		fmt.Fprintln(w.stdout, w.receiptLine(r))
	}
	return nil
}

func (w world) receiptLine(r receipt) string {
	note := ""
	if r.Duplicate {
		note = "  (published before under this idempotency key)"
	}
	if at := r.DeliverAt; at != nil && at.After(w.now()) {
		return fmt.Sprintf("%s waits until %s, for %s%s", clean(r.ID), at.In(w.zone).Format("2006-01-02 15:04:05"), clean(r.Subject), note)
	}
	return fmt.Sprintf("stored %s as number %d of the log, on %s%s", clean(r.ID), r.Seq, clean(r.Subject), note)
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
