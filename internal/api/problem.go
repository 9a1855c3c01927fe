package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/socialvibes/vibemesh/internal/schema"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const problemType = "application/problem+json"

// maxErrors bounds the errors of one answer: a body of 64 KiB has room for
// thousands of unknown fields.
const maxErrors = 100

// Problem is an RFC 9457 problem document, and the error of every handler.
type Problem struct {
	Type   string       `json:"type" doc:"A URI that names the kind of problem; about:blank when the status says it all." format:"uri-reference" example:"https://socialvibes.dev/problems/invalid"`
	Title  string       `json:"title" doc:"The HTTP status in words." example:"Unprocessable Entity"`
	Status int          `json:"status" doc:"The HTTP status." example:"422"`
	Detail string       `json:"detail" doc:"What happened and what to do, in English." example:"One field is wrong: see errors. Nothing was done."`
	Errors []WrongField `json:"errors,omitempty" nullable:"false" doc:"Every wrong field of the request, at most 100."`

	header http.Header
}

// WrongField is one wrong field of a request.
type WrongField struct {
	Location string `json:"location" doc:"Where it is: body, query or header, and the path inside of it." example:"body.image_url"`
	Message  string `json:"message" doc:"What it must be." example:"must be an https URL"`
	Value    any    `json:"value,omitempty" doc:"What it was, if that is short."`
}

// problem makes the document of a status.
func problem(status int, detail string) *Problem {
	p := &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail}
	if code := wire.ProblemOf(status); code != "" {
		p.Type = wire.ProblemTypePrefix + code
	}
	return p
}

// with adds a header to the answer.
func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = make(http.Header)
	}
	p.header.Set(name, value)
	return p
}

// Error, GetStatus, GetHeaders and ContentType are what Huma asks of an error.
func (p *Problem) Error() string             { return p.Detail }
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) GetHeaders() http.Header   { return p.header }
func (p *Problem) ContentType(string) string { return problemType }

// write answers with the problem where Huma is not involved.
func (p *Problem) write(w http.ResponseWriter) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(p) //nolint:errcheck // the client is gone
}

// faults gathers everything that is wrong with a request.
type faults []WrongField

func (f *faults) add(location, message string, value json.RawMessage) {
	*f = append(*f, WrongField{Location: location, Message: message, Value: short(value)})
}

// addSchema adds what an event's schema found in its payload.
func (f *faults) addSchema(location string, found []schema.FieldError, payload object) {
	for _, e := range found {
		at := location
		if e.Field != "" {
			at += "." + e.Field
		}
		f.add(at, e.Message, payload[e.Field])
	}
}

// problem is the 422 that lists them, nil when there are none.
func (f faults) problem() *Problem {
	if len(f) == 0 {
		return nil
	}
	detail := "One field is wrong: see errors. Nothing was done."
	if n := len(f); n > 1 {
		detail = fmt.Sprintf("%d fields are wrong: see errors. Nothing was done.", n)
	}
	if len(f) > maxErrors {
		detail += fmt.Sprintf(" The first %d are listed.", maxErrors)
	}
	p := problem(http.StatusUnprocessableEntity, detail)
	p.Errors = slices.Clone(f[:min(len(f), maxErrors)])
	return p
}

// short is a value as an answer repeats it: a scalar of a few bytes, or nothing.
func short(raw json.RawMessage) any {
	if len(raw) == 0 || len(raw) > 128 || raw[0] == '{' || raw[0] == '[' {
		return nil
	}
	var v any
	if json.Unmarshal(raw, &v) != nil || v == nil {
		return nil // null, or a number that no client could read
	}
	return raw
}
