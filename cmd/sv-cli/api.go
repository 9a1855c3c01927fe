package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer, in bytes: a page of history can
// hold many payloads of 64 KiB.
const maxAnswer = 32 << 20

// problemError is a problem document (RFC 9457), or what could be made of an answer
// that should have been one.
type problemError struct {
	Type   string       `json:"type,omitempty"`
	Title  string       `json:"title,omitempty"`
	Status int          `json:"status"`
	Detail string       `json:"detail,omitempty"`
	Errors []fieldError `json:"errors,omitempty"`

	RetryAfter string `json:"retry_after,omitempty"` // of the header
}

type fieldError struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty"`
	Value    any    `json:"value,omitempty"`
}

func (p *problemError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the server answered %d %s", p.Status, clean(p.Title))
	if p.Detail != "" && p.Detail != p.Title {
		b.WriteString(": " + clean(p.Detail))
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "\n  %s: %s", clean(e.Location), clean(e.Message))
		if e.Value != nil {
			if v, err := json.Marshal(e.Value); err == nil {
				fmt.Fprintf(&b, " (got %s)", clip(clean(string(v)), 80))
			}
		}
	}
	if p.RetryAfter != "" {
		b.WriteString("\n  try again in " + clean(p.RetryAfter) + " s")
	}
	switch p.Status {
	case http.StatusUnauthorized:
		b.WriteString("\n  check --secret (SV_SECRET) or --token (SV_TOKEN)")
	case http.StatusNotFound:
		if p.Type != "" { // of a Vibemesh
			break
		}
		b.WriteString("\n  is --url (SV_URL) the base URL of a Vibemesh?")
	}
	return b.String()
}

// parseProblem reads the body of a refusal.
func parseProblem(status int, header http.Header, body []byte) *problemError {
	p := &problemError{}
	if json.Unmarshal(body, p) != nil { // a proxy's page, perhaps
		p = &problemError{Detail: clip(strings.TrimSpace(string(body)), 200)}
	}
	p.Status = status
	if p.Title == "" {
		p.Title = http.StatusText(status)
	}
	p.RetryAfter = header.Get("Retry-After")
	return p
}

// credentials authorise a request; the first that is set counts.
type credentials struct {
	secret, secretHeader string
	token                string
}

func (c credentials) set(h http.Header) {
	switch {
	case c.secret != "":
		h.Set(c.secretHeader, c.secret)
	case c.token != "":
		h.Set("Authorization", "Bearer "+c.token)
	}
}

// call makes one request below /api/v1. Its error is a *problemError for every answer
// that is not 2xx, and carries exitUnreachable when there was no answer.
func call(ctx context.Context, g globals, method, path string, cred credentials, header http.Header, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		raw, err := marshal(body)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(g.URL, "/")+"/api/v1"+path, reader)
	if err != nil {
		return nil, err
	}
	if header != nil {
		req.Header = header
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	cred.set(req.Header)
	// A redirect would take the secret to wherever it points.
	hc := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, unreachable(ctx, g, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, unreachable(ctx, g, err)
	case len(raw) > maxAnswer:
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, parseProblem(resp.StatusCode, resp.Header, raw)
	}
	return raw, nil
}

// unreachable says that no answer came, and what to look at.
func unreachable(ctx context.Context, g globals, err error) error {
	if ue, ok := err.(*url.Error); ok { // it repeats method and URL
		err = ue.Err
	}
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("no answer within %v", g.Timeout.Round(time.Millisecond))
	}
	return exitError{
		fmt.Errorf("cannot reach %s: %w\n  is the server running, and --url (SV_URL) right?", g.URL, err),
		exitUnreachable,
	}
}

// marshal is encoding/json without its escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(b.Bytes(), "\n"), err
}
