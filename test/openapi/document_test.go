// Package openapi_test holds the OpenAPI document against what is served, both ways: what
// the document promises was answered, and what was answered is in the document.
package openapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const location = "mem:///openapi.json"

// document is an OpenAPI document, taken apart as far as requests and answers need it.
type document struct {
	raw        map[string]any
	compiler   *jsonschema.Compiler
	compiled   map[string]*jsonschema.Schema // by pointer
	operations []*operation
}

type operation struct {
	name       string // such as "GET /api/v1/ws/schedule/{id}"
	method     string
	path       *regexp.Regexp
	parameters []parameter
	security   [][]scheme        // any of these, each of which is all of those
	body       string            // pointer to the schema of the request's body, or empty
	answers    map[string]answer // by status
}

// scheme is a way to show who one is: a header or a parameter of the query.
type scheme struct{ name, in, param string }

type parameter struct {
	name, in, schema string
	required         bool
}

type answer struct {
	headers map[string]bool   // whether each is always there
	content map[string]string // pointer to the schema by media type; empty: any text
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is a place in the document.
func pointer(parts ...string) string {
	var p strings.Builder
	p.WriteString("#")
	for _, part := range parts {
		p.WriteString("/" + escape.Replace(part))
	}
	return p.String()
}

func parse(t testing.TB, text []byte) *document {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	closeAnswers(value)
	d := &document{raw: value.(map[string]any), compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(location, value); err != nil {
		t.Fatal(err)
	}
	paths := object(d.raw["paths"])
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, method := range slices.Sorted(maps.Keys(object(paths[path]))) {
			d.operations = append(d.operations, d.operation(path, method))
		}
	}
	return d
}

// closeAnswers has the schemas that say nothing of other fields let none pass. Clients have
// to take fields that are added; a test has to find those that are not described.
func closeAnswers(raw any) {
	for _, s := range object(object(object(raw)["components"])["schemas"]) {
		if schema := object(s); schema["properties"] != nil && schema["additionalProperties"] == nil {
			schema["additionalProperties"] = false
		}
	}
}

// object is v as an object, empty when it is none.
func object(v any) map[string]any {
	o, _ := v.(map[string]any)
	return o
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

var placeholder = regexp.MustCompile(`\\\{(\w+)\\\}`)

func (d *document) operation(path, method string) *operation {
	raw := object(object(object(d.raw["paths"])[path])[method])
	op := &operation{
		name: strings.ToUpper(method) + " " + path, method: strings.ToUpper(method), answers: map[string]answer{},
		path: regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(path), `(?P<$1>[^/]+)`) + "$"),
	}
	for i, p := range list(raw["parameters"]) {
		p := object(p)
		op.parameters = append(op.parameters, parameter{
			name: text(p["name"]), in: text(p["in"]), required: p["required"] == true,
			schema: pointer("paths", path, method, "parameters", fmt.Sprint(i), "schema"),
		})
	}
	for _, needs := range list(raw["security"]) {
		var all []scheme
		for name := range object(needs) {
			all = append(all, d.scheme(name))
		}
		op.security = append(op.security, all)
	}
	if body := object(raw["requestBody"]); body != nil {
		op.body = pointer("paths", path, method, "requestBody", "content", "application/json", "schema")
	}
	for status, response := range object(raw["responses"]) {
		a := answer{headers: map[string]bool{}, content: map[string]string{}}
		for name, h := range object(object(response)["headers"]) {
			a.headers[http.CanonicalHeaderKey(name)] = object(h)["required"] == true
		}
		for typ, media := range object(object(response)["content"]) {
			a.content[typ] = ""
			if object(media)["schema"] != nil {
				a.content[typ] = pointer("paths", path, method, "responses", status, "content", typ, "schema")
			}
		}
		op.answers[status] = a
	}
	return op
}

func (d *document) scheme(name string) scheme {
	s := object(object(object(d.raw["components"])["securitySchemes"])[name])
	if s["type"] == "http" {
		return scheme{name, "header", "Authorization"}
	}
	return scheme{name, text(s["in"]), text(s["name"])}
}

// at finds what is at a pointer, following references.
func (d *document) at(p string) (where string, value any) {
	value = d.raw
	for part := range strings.SplitSeq(strings.TrimPrefix(p, "#/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			var i int
			fmt.Sscan(part, &i) //nolint:errcheck // pointers are made here
			value = v[i]
		}
	}
	if ref := text(object(value)["$ref"]); ref != "" {
		return d.at(ref)
	}
	return p, value
}

// validate says what is wrong with a value by the schema at a pointer.
func (d *document) validate(p string, value any) error {
	if d.compiled[p] == nil {
		schema, err := d.compiler.Compile(location + p)
		if err != nil {
			return err
		}
		d.compiled[p] = schema
	}
	return d.compiled[p].Validate(value)
}

// value is JSON as the validator has it.
func value(t []byte) (any, error) { return jsonschema.UnmarshalJSON(bytes.NewReader(t)) }

// edited is a copy of a document that a test has changed.
func edited(t *testing.T, d *document, edit func(raw map[string]any)) *document {
	t.Helper()
	text, err := json.Marshal(d.raw)
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	edit(raw)
	if text, err = json.Marshal(raw); err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// compile says whether there is a schema at a pointer.
func (d *document) compile(p string) error {
	_, err := d.compiler.Compile(location + p)
	return err
}
