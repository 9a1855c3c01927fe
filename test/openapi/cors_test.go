package openapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// words are the parts of a header that is a comma list, in lower case.
func words(h http.Header, name string) (w []string) {
	for part := range strings.SplitSeq(h.Get(name), ",") {
		w = append(w, strings.ToLower(strings.TrimSpace(part)))
	}
	return w
}

// TestPagesOfAllowedOrigins: a page of an allowed origin can do all that the document
// describes, and read every header of an answer; another page can read nothing.
func TestPagesOfAllowedOrigins(t *testing.T) {
	const app, other = "https://app.example.com", "https://other.example.com"
	run := start(t, "run", "WS_ALLOWED_ORIGINS="+app+",https://second.example.com")
	r := &record{t: t}
	doc := parse(t, r.call(run.url, "GET", "/openapi.json", "").answer)
	for _, op := range doc.operations {
		_, path, _ := strings.Cut(op.name, " ")
		if !strings.HasPrefix(path, "/api/v1/ws/") {
			continue // the document and its page are read by their own origin, and sockets have their own rule
		}
		needs := []string{"content-type", "x-request-id", "traceparent"}
		for _, p := range op.parameters {
			if p.in == "header" {
				needs = append(needs, strings.ToLower(p.name))
			}
		}
		for _, all := range op.security {
			for _, s := range all {
				if s.in == "header" {
					needs = append(needs, strings.ToLower(s.param))
				}
			}
		}
		h := r.call(run.url, "OPTIONS", path, "", "Origin: "+app, "Access-Control-Request-Method: "+op.method,
			"Access-Control-Request-Headers: "+strings.Join(needs, ",")).is(t, http.StatusNoContent).header
		if h.Get("Access-Control-Allow-Origin") != app || !slices.Contains(words(h, "Access-Control-Allow-Methods"), strings.ToLower(op.method)) {
			t.Errorf("%s may not be asked for: %v", op.name, h)
		}
		for _, need := range needs {
			if !slices.Contains(words(h, "Access-Control-Allow-Headers"), need) {
				t.Errorf("%s may not be sent the header %s", op.name, need)
			}
		}
		h = r.call(run.url, op.method, path, "", "Origin: "+app).header
		for status, a := range op.answers {
			for name := range a.headers {
				if !slices.Contains(words(h, "Access-Control-Expose-Headers"), strings.ToLower(name)) {
					t.Errorf("a page cannot read %s of %s %s", name, op.name, status)
				}
			}
		}
		for _, method := range []string{op.method, http.MethodOptions} {
			h = r.call(run.url, method, path, "", "Origin: "+other, "Access-Control-Request-Method: "+op.method).header
			for name := range h {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s %s tells another origin %s: %s", method, path, name, h.Get(name))
				}
			}
		}
	}
}
