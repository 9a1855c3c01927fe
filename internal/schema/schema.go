// Package schema checks the payload of an event against the JSON Schema of its
// type, wire.Schemas, and says in plain words what is wrong with it.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// FieldError is one thing that is wrong with a payload.
type FieldError struct {
	Field   string // path inside the payload, such as "image_url" or "lines[2].text"; empty: the payload itself
	Message string // what the field must be, in plain English
}

func (e FieldError) Error() string {
	if e.Field == "" {
		return "the payload " + e.Message
	}
	return e.Field + " " + e.Message
}

// Registry holds the compiled schemas. It is read-only and safe for any number
// of goroutines.
type Registry struct{ types map[string]eventType }

type eventType struct {
	full  *jsonschema.Schema
	quick *quick // nil: the schema uses more than quick understands
	raw   json.RawMessage
}

// New compiles every schema of wire.Schemas, once for the life of the program.
func New() (*Registry, error) { return load(wire.Schemas) }

// load compiles the files schemas/<type>.json of a file system.
func load(files fs.FS) (*Registry, error) {
	names, err := fs.Glob(files, "schemas/*.json")
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	r := &Registry{types: make(map[string]eventType, len(names))}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		typ := strings.TrimSuffix(path.Base(name), ".json")
		if r.types[typ], err = compile(raw); err != nil {
			return nil, fmt.Errorf("schema: %s: %w", name, err)
		}
	}
	return r, nil
}

func compile(raw []byte) (eventType, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return eventType{}, err
	}
	const url = "mem:///schema.json" // where relative references start; nothing is fetched
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(url, doc); err != nil {
		return eventType{}, err
	}
	full, err := c.Compile(url)
	if err != nil {
		return eventType{}, err
	}
	return eventType{full: full, quick: newQuick(raw), raw: raw}, nil
}

// noLoader keeps a schema from reaching outside of itself.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, errors.New("a schema may not refer to another document: " + url)
}

// Types lists the event types that have a schema, sorted.
func (r *Registry) Types() []string {
	types := make([]string, 0, len(r.types))
	for t := range r.types {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// JSON is the schema of an event type as it stands in wire.Schemas, nil when
// the type has none. It must not be changed.
func (r *Registry) JSON(eventType string) json.RawMessage { return r.types[eventType].raw }

// Check finds everything that is wrong with a payload, ordered by field; nil
// means nothing is. A type without schema may have any payload.
func (r *Registry) Check(eventType string, payload []byte) []FieldError {
	t, ok := r.types[eventType]
	if !ok || t.quick != nil && t.quick.accepts(payload) {
		return nil
	}
	return t.check(payload)
}

// check is the whole truth: every keyword of the schema, every error found.
func (t eventType) check(payload []byte) []FieldError {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		return []FieldError{{Message: "is not valid JSON"}}
	}
	err = t.full.Validate(value)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []FieldError{{Message: "could not be checked: " + err.Error()}}
	}
	found := collect(nil, invalid, value)
	slices.SortFunc(found, func(a, b FieldError) int {
		return strings.Compare(a.Field+"\x00"+a.Message, b.Field+"\x00"+b.Message)
	})
	return slices.Compact(found)
}
