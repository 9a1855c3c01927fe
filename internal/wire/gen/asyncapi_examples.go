package main

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// vector is a golden vector, as far as examples are made of it.
type vector struct {
	Name string
	Text string
}

// maxExamples of one message are enough to see what it looks like.
const maxExamples = 2

// examples are the first good vectors of a file that are of a message: the documents show
// what the tests hold. A type of event needs none: its schema is all it takes.
func (b *builder) examples(file string, of func(vector) bool, headers ...member) member {
	found := []object{}
	for _, v := range b.vectors(file) {
		if len(found) == maxExamples || !of(v) {
			continue
		}
		found = append(found, object{{"name", v.Name}, {"payload", json.RawMessage(v.Text)}}.with(headers...))
	}
	return member{"examples", found}
}

func (b *builder) vectors(file string) []vector {
	data, err := os.ReadFile(filepath.Join("testdata", "vectors", file))
	b.fail(err)
	var all struct{ Good []vector }
	if err == nil {
		b.fail(json.Unmarshal(data, &all))
	}
	return all.Good
}

// ofType are the vectors of a type of frame or event.
func ofType(messageType string) func(vector) bool {
	return func(v vector) bool {
		var typed struct{ Type string }
		return json.Unmarshal([]byte(v.Text), &typed) == nil && typed.Type == messageType
	}
}

func named(name string) func(vector) bool {
	return func(v vector) bool { return v.Name == name }
}

// headersOf is what an example on NATS has as headers.
func headersOf(headers ...member) member { return member{"headers", object(headers)} }
