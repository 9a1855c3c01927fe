package openapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// unspoken are the headers that belong to HTTP, CORS or the safety of browsers, and not to
// what an operation promises.
var unspoken = []string{
	"Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Security-Policy", "Content-Type", "Cross-Origin-Opener-Policy",
	"Date", "Referrer-Policy", "Sec-Websocket-Extensions", "Sec-Websocket-Protocol", "Vary",
	"X-Content-Type-Options", "X-Frame-Options",
}

// judge is the verdict on a document and what was exchanged.
type judge struct {
	doc     *document
	wrong   []string        // what was answered and is not in the document, or otherwise than it says
	covered map[string]bool // what the document promises and was seen, by name
	open    map[string]bool // object schemas of answers that do not say that there is nothing else
}

// verdict lists everything that is wrong, first what was answered, then what was promised.
func verdict(doc *document, of []exchange) (wrong, missing []string) {
	j := &judge{doc: doc, covered: map[string]bool{}, open: map[string]bool{}}
	for i := range of {
		j.exchange(&of[i])
	}
	for name := range j.promises() {
		if !j.covered[name] {
			missing = append(missing, name)
		}
	}
	for p := range j.open {
		j.fail("the schema at %s lets any field pass", p)
	}
	slices.Sort(j.wrong)
	slices.Sort(missing)
	return slices.Compact(j.wrong), missing
}

func (j *judge) fail(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
}

// exchange judges one answer.
func (j *judge) exchange(x *exchange) {
	var op *operation
	for _, o := range j.doc.operations {
		if o.path.MatchString(x.path) && (o.method == x.method || o.method == http.MethodGet && x.method == http.MethodHead) {
			op = o
		}
	}
	if op == nil {
		j.undescribed(x)
		return
	}
	status := strconv.Itoa(x.status)
	name := op.name + " " + status
	promised, ok := op.answers[status]
	if !ok {
		j.fail("%s was answered, which the document does not say", name)
		return
	}
	j.covered[name] = true
	for h, always := range promised.headers {
		switch {
		case x.header.Get(h) != "":
			j.covered[name+" header "+h] = true
		case always:
			j.fail("%s lacks the header %s", name, h)
		}
	}
	for h := range x.header {
		if _, known := promised.headers[h]; !known && !slices.Contains(unspoken, h) {
			j.fail("%s has the header %s, which the document does not say", name, h)
		}
	}
	j.answer(name, promised, x)
	j.request(op, x)
}

// undescribed judges an answer where the document has nothing: it must be that there is
// nothing, or not by this method.
func (j *judge) undescribed(x *exchange) {
	here := slices.ContainsFunc(j.doc.operations, func(o *operation) bool { return o.path.MatchString(x.path) })
	switch {
	case here && (x.status != http.StatusMethodNotAllowed || x.header.Get("Allow") == ""):
		j.fail("%s %s answers %d, which the document does not say", x.method, x.path, x.status)
	case !here && x.status != http.StatusNotFound:
		j.fail("%s answers %d and is not in the document", x.path, x.status)
	case x.method == http.MethodHead:
	default:
		v, err := value(x.answer)
		if err == nil {
			err = j.doc.validate(pointer("components", "schemas", "Problem"), v)
		}
		if err != nil || x.header.Get("X-Request-Id") == "" {
			j.fail("%s %s: %d is no problem document with a request id: %v", x.method, x.path, x.status, err)
		}
	}
}

// answer judges a body.
func (j *judge) answer(name string, promised answer, x *exchange) {
	if len(x.answer) == 0 {
		if len(promised.content) > 0 && x.method != http.MethodHead {
			j.fail("%s has no body", name)
		}
		return
	}
	typ := x.header.Get("Content-Type")
	p, ok := promised.content[typ]
	if !ok {
		j.fail("%s is %s, which the document does not say", name, typ)
		return
	}
	j.covered[name+" "+typ] = true
	if p == "" {
		return
	}
	v, err := value(x.answer)
	if err == nil {
		err = j.doc.validate(p, v)
	}
	if err != nil {
		j.fail("%s is not as described: %s\n%v", name, x.answer, err)
		return
	}
	j.walk(p, v, true)
}

// request judges what was sent and was taken: it must be as the document allows.
func (j *judge) request(op *operation, x *exchange) {
	if x.status >= 400 {
		return
	}
	known := map[string]bool{}
	for _, p := range op.parameters {
		known[p.in+" "+p.name] = true
		given := j.given(op, p, x)
		if given == nil {
			if p.required {
				j.fail("%s was taken without %s", op.name, p.name)
			}
			continue
		}
		j.covered[op.name+" parameter "+p.name] = true
		if err := j.doc.validate(p.schema, given); err != nil {
			j.fail("%s took %s=%v: %v", op.name, p.name, given, err)
		}
	}
	for i, all := range op.security {
		shown := len(all) > 0
		for _, s := range all {
			known[s.in+" "+s.param] = true
			shown = shown && (s.in == "header" && x.sent.Get(s.param) != "" || s.in == "query" && x.query.Has(s.param))
		}
		if shown {
			j.covered[op.name+" security "+strconv.Itoa(i)] = true
		}
	}
	for name := range x.query {
		if !known["query "+name] {
			j.fail("%s took the parameter %s, which the document does not say", op.name, name)
		}
	}
	if op.body == "" {
		return
	}
	v, err := value(x.body)
	if err == nil {
		err = j.doc.validate(op.body, v)
	}
	if err != nil {
		j.fail("%s took a body that is not as described: %s\n%v", op.name, x.body, err)
		return
	}
	j.walk(op.body, v, false)
}

// given is what a request has of a parameter, as its schema reads it; nil: nothing.
func (j *judge) given(op *operation, p parameter, x *exchange) any {
	var texts []string
	switch p.in {
	case "query":
		texts = x.query[p.name]
	case "header":
		texts = x.sent.Values(p.name)
	case "path":
		texts = op.path.FindStringSubmatch(x.path)[op.path.SubexpIndex(p.name):][:1]
	}
	if len(texts) == 0 {
		return nil
	}
	_, schema := j.doc.at(p.schema)
	switch object(schema)["type"] {
	case "array":
		var items []any
		for _, t := range texts {
			items = append(items, t)
		}
		return items
	case "integer":
		if v, err := value([]byte(texts[0])); err == nil {
			return v
		}
	}
	return texts[0]
}

// walk notes which fields and branches of a schema a value has.
func (j *judge) walk(p string, v any, answered bool) {
	p, raw := j.doc.at(p)
	schema := object(raw)
	j.covered[p] = true
	for _, word := range []string{"oneOf", "anyOf", "allOf"} {
		for i := range list(schema[word]) {
			branch := p + "/" + word + "/" + strconv.Itoa(i)
			if j.doc.validate(branch, v) == nil {
				j.covered[branch] = true
				j.walk(branch, v, answered)
			}
		}
	}
	if schema["if"] != nil && j.doc.validate(p+"/if", v) == nil && schema["then"] != nil {
		j.walk(p+"/then", v, answered)
	}
	if len(list(schema["type"])) > 0 {
		j.covered[p+" "+kind(v)] = true
	}
	switch v := v.(type) {
	case map[string]any:
		fields := object(schema["properties"])
		if answered && len(fields) > 0 && schema["additionalProperties"] != false {
			j.open[p] = true
		}
		for name := range v {
			if fields[name] != nil {
				j.covered[p+"/properties/"+name] = true
				j.walk(p+"/properties/"+name, v[name], answered)
			}
		}
	case []any:
		for _, item := range v {
			if schema["items"] != nil {
				j.walk(p+"/items", item, answered)
			}
		}
	}
}
