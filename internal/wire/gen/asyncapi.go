package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// asyncAPIFile describes, for machines, all that goes over NATS and over sockets.
const asyncAPIFile = "asyncapi.json"

// asyncAPI writes the document from the Go types of the contract, errors.json and the
// schemas of payloads.
func asyncAPI(reg registry) ([]byte, error) {
	src, err := readSource()
	if err != nil {
		return nil, err
	}
	b := builder{src: src, reg: reg}
	doc, err := b.document()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", asyncAPIFile, err)
	}
	text, err := plainJSON(doc)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// builder makes the document; the first error stays.
type builder struct {
	src *source
	reg registry
	err error
}

func (b *builder) number(name string) int64 {
	n, err := b.src.number(name)
	b.fail(err)
	return n
}

func (b *builder) text(name string) string {
	text, err := b.src.text(name)
	b.fail(err)
	return text
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *builder) document() (object, error) {
	payloads, err := payloadSchemas()
	if err != nil {
		return nil, err
	}
	doc := object{
		{"asyncapi", "3.0.0"},
		{"info", object{
			{"title", "Vibemesh"},
			{"version", "1.0.0"},
			{"description", "What goes over NATS between backends and a Vibemesh, and over WebSockets between it and the apps. " +
				"The application that this describes is the mesh: it receives what backends publish, and sends frames to clients. " +
				"The HTTP API is described at /openapi.json. Unknown fields are ignored, but for those of a readState; what JSON Schema cannot say, " +
				"such as lengths in bytes, stands in descriptions."},
			{"license", object{{"name", "Apache-2.0"}}},
		}},
		{"defaultContentType", "application/json"},
		{"servers", servers()},
		{"channels", b.channels()},
		{"operations", b.operations()},
		{"components", object{
			{"messages", b.messages()},
			{"schemas", append(append(b.schemas(), b.headerSchemas()...), payloads...)},
			{"securitySchemes", securitySchemes()},
		}},
	}
	return doc, b.err
}

// payloadSchemas are those of the event types that have one, as <Title>Payload.
func payloadSchemas() (all object, err error) {
	files, err := filepath.Glob("schemas/*.json")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		members, err := readObject(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		var schema object
		for _, m := range members {
			if !strings.HasPrefix(m.name, "$") { // of another dialect, and another document
				schema = append(schema, m)
			}
		}
		all = append(all, member{payloadName(strings.TrimSuffix(filepath.Base(file), ".json")), schema})
	}
	return all, nil
}

func payloadName(eventType string) string { return camel(eventType) + "Payload" }

// readObject reads an object, with its members in their order.
func readObject(data []byte) (members object, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		members = append(members, member{fmt.Sprint(name), value})
	}
	return members, nil
}

// eventTypes are the types that have a schema.
func eventTypes() ([]string, error) {
	files, err := filepath.Glob("schemas/*.json")
	for i := range files {
		files[i] = strings.TrimSuffix(filepath.Base(files[i]), ".json")
	}
	return files, err
}
