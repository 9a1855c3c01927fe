package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// asyncDoc is the AsyncAPI document, with its schemas compiled.
type asyncDoc struct {
	Channels map[string]struct {
		Address  string
		Messages map[string]any
	}
	Components struct {
		Messages map[string]any
		Schemas  map[string]struct{ Pattern string }
	}
	compiler *jsonschema.Compiler
}

func readAsyncDoc(t *testing.T) *asyncDoc {
	t.Helper()
	text, err := os.ReadFile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	d := &asyncDoc{compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	d.compiler.DefaultDraft(jsonschema.Draft7) // what AsyncAPI's schemas are
	if err := d.compiler.AddResource("mem:///asyncapi.json", value); err != nil {
		t.Fatal(err)
	}
	return d
}

// at compiles the schema at a place of the document.
func (d *asyncDoc) at(t *testing.T, place string) *jsonschema.Schema {
	t.Helper()
	s, err := d.compiler.Compile("mem:///asyncapi.json#/" + place)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// payloads are the schemas of the messages whose names begin with a word.
func (d *asyncDoc) payloads(t *testing.T, prefix string) map[string]*jsonschema.Schema {
	t.Helper()
	all := map[string]*jsonschema.Schema{}
	for name := range d.Components.Messages {
		if strings.HasPrefix(name, prefix) {
			all[name] = d.at(t, "components/messages/"+name+"/payload")
		}
	}
	return all
}

// describedBy are the messages whose schemas accept a text; none for what is no JSON,
// which is UTF-8 (RFC 8259, 8.1).
func describedBy(messages map[string]*jsonschema.Schema, text []byte) (names []string) {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil || !utf8.Valid(text) {
		return nil
	}
	for name, schema := range messages {
		if schema.Validate(value) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// vectorCheck holds vectors against messages.
type vectorCheck struct {
	messages map[string]*jsonschema.Schema
	seen     map[string]bool // messages that some vector is described by
	beyond   map[string]bool // malformed vectors that JSON Schema cannot tell: their names
}

func newVectorCheck(messages map[string]*jsonschema.Schema, beyond ...string) *vectorCheck {
	c := &vectorCheck{messages, map[string]bool{}, map[string]bool{}}
	for _, name := range beyond {
		c.beyond[name] = true
	}
	return c
}

// good: the document describes the vector.
func (c *vectorCheck) good(t *testing.T, in input) (names []string) {
	t.Helper()
	names = describedBy(c.messages, in.bytes(t))
	if len(names) == 0 {
		t.Errorf("%s: no message of the document describes %.200s", in.Name, in.bytes(t))
	}
	for _, name := range names {
		c.seen[name] = true
	}
	return names
}

// bad: the document describes it as nothing, or the vector is known to be beyond schemas.
func (c *vectorCheck) bad(t *testing.T, in input) {
	t.Helper()
	names := describedBy(c.messages, in.bytes(t))
	switch known := c.beyond[in.Name]; {
	case len(names) > 0 && !known:
		t.Errorf("%s: the document describes it as %v: %.200s", in.Name, names, in.bytes(t))
	case len(names) == 0 && known:
		t.Errorf("%s: the document does tell it; take it from the list", in.Name)
	}
	delete(c.beyond, in.Name)
}

// complete: each message has a vector, and each exception was met.
func (c *vectorCheck) complete(t *testing.T) {
	t.Helper()
	for name := range c.messages {
		if !c.seen[name] {
			t.Errorf("no vector is a message %s of the document", name)
		}
	}
	for name := range c.beyond {
		t.Errorf("there is no vector %q", name)
	}
}

func TestAsyncAPIFrames(t *testing.T) {
	d := readAsyncDoc(t)
	server := load[struct {
		Good      []frameVector `json:"good"`
		Tolerated []frameVector `json:"tolerated"`
		Malformed []input       `json:"malformed"`
	}](t, "server_frames.json")
	client := load[struct {
		Good      []frameVector `json:"good"`
		Tolerated []frameVector `json:"tolerated"`
		Refused   []struct {
			input
			Code string `json:"code"`
		} `json:"refused"`
	}](t, "client_frames.json")

	check := newVectorCheck(d.payloads(t, "server."))
	for _, v := range slices.Concat(server.Good, server.Tolerated) {
		var frame struct{ Type string }
		if err := json.Unmarshal(v.Frame, &frame); err != nil {
			t.Fatal(err)
		}
		names := check.good(t, v.input)
		want := "server." + frame.Type
		if _, own := check.messages[want]; !own {
			want = "server.event"
		}
		// A toast is an event, too, and one without a title is no more than that.
		names = slices.DeleteFunc(names, func(n string) bool { return n == "server.event" })
		if len(names) > 1 || len(names) == 1 && names[0] != want {
			t.Errorf("%s: it is described as %v", v.Name, names)
		}
	}
	for _, v := range server.Malformed {
		check.bad(t, v)
	}
	check.complete(t)

	check = newVectorCheck(d.payloads(t, "client."),
		"topic of 129 bytes in 43 characters", "signal whose payload is too large", // a schema counts no bytes
	)
	for _, v := range slices.Concat(client.Good, client.Tolerated) {
		if names := check.good(t, v.input); len(names) != 1 {
			t.Errorf("%s: it is described as %v", v.Name, names)
		}
	}
	for _, v := range client.Refused {
		check.bad(t, v.input)
	}
	check.complete(t)
}

func TestAsyncAPIOfNATS(t *testing.T) {
	d := readAsyncDoc(t)
	envelopes := load[struct {
		Good []struct {
			input
			Type         string  `json:"type"`
			Payload      *string `json:"payload"`
			PayloadParts []part  `json:"payload_parts"`
		} `json:"good"`
		Malformed []struct {
			input
			Error string `json:"error"`
		} `json:"malformed"`
	}](t, "envelopes.json")
	messages := d.payloads(t, "published.")
	maps.Copy(messages, d.payloads(t, "scheduled"))
	maps.Copy(messages, d.payloads(t, "signal"))
	check := newVectorCheck(messages, "one byte too large", "too large, all of it white space", // a schema counts no bytes
		"one level too deep", "one level too deep, of objects") // and no levels
	for _, v := range envelopes.Good {
		check.good(t, v.input)
	}
	for _, v := range envelopes.Malformed {
		check.bad(t, v.input)
	}
	check.complete(t)

	states := load[readStateVectors](t, "read_states.json")
	check = newVectorCheck(d.payloads(t, "readState"), beyondStates...)
	for _, v := range states.Good {
		check.good(t, v.input)
	}
	for _, v := range states.Tolerated {
		check.good(t, v.input)
	}
	for _, v := range states.Malformed {
		check.bad(t, v)
	}
	check.complete(t)
	frames := newVectorCheck(d.payloads(t, "server.read"))
	for _, v := range states.Frames {
		text := string(wire.AppendFrame(nil, v.Frame))
		frames.good(t, input{Name: v.Name, Text: &text})
	}
}

// beyondStates are read states that are refused for what a schema does not see.
var beyondStates = []string{"both read and unread", "too long"}

// TestAsyncAPIWords: the patterns of cursors and ids are as near to the truth as they can be.
func TestAsyncAPIWords(t *testing.T) {
	d := readAsyncDoc(t)
	for _, tt := range []struct {
		file, schema string
		beyond       []string
	}{
		{"cursors.json", "Cursor", []string{ // a pattern does not see through base64
			"trailing bits that are not zero", "life without sequence", "second partition without sequence", "varint cut short",
			"varint padded with a zero", "zero in two bytes", "varint beyond 64 bits", "varint of eleven bytes", "257 partitions",
		}},
		{"event_ids.json", "EventID", []string{"sequence beyond 64 bits", "life beyond 64 bits"}},
	} {
		v := load[struct {
			Good []struct {
				input
				Positions []positionVector `json:"positions"`
				Partition int              `json:"partition"`
				positionVector
			} `json:"good"`
			Malformed []input `json:"malformed"`
		}](t, tt.file)
		check := newVectorCheck(map[string]*jsonschema.Schema{tt.schema: d.at(t, "components/schemas/"+tt.schema)}, tt.beyond...)
		quoted := func(in input) input {
			text, err := json.Marshal(string(in.bytes(t)))
			if err != nil {
				t.Fatal(err)
			}
			return input{Name: in.Name, Base64: text}
		}
		for _, v := range v.Good {
			check.good(t, quoted(v.input))
		}
		for _, v := range v.Malformed {
			check.bad(t, quoted(v))
		}
		check.complete(t)
	}
}

// TestAsyncAPIAddresses: the subjects of the contract are those of the channels.
func TestAsyncAPIAddresses(t *testing.T) {
	d := readAsyncDoc(t)
	v := load[subjectVectors](t, "subjects.json")
	token := strings.Trim(d.Components.Schemas["SubjectToken"].Pattern, "^$")
	parameter := regexp.MustCompile(`\\\{[a-z]+\\\}`)
	channels := map[string]*regexp.Regexp{}
	for name, c := range d.Channels {
		if _, isNATS := strings.CutPrefix(c.Address, "{prefix}."); isNATS {
			pattern := strings.Replace(regexp.QuoteMeta(c.Address), `\{prefix\}`, "sv", 1)
			channels[name] = regexp.MustCompile("^" + parameter.ReplaceAllLiteralString(pattern, token) + "$")
		}
	}
	of := func(subject string) (names []string) {
		for name, re := range channels {
			if re.MatchString(subject) {
				names = append(names, name)
			}
		}
		return names
	}
	kinds := map[string]string{"broadcast": "broadcast", "user": "user", "topic": "topic", "read": "readState"}
	for _, a := range v.Audiences {
		if got := of(a.Subject); len(got) != 1 || got[0] != kinds[a.Kind] {
			t.Errorf("%s is of the channels %v, want %s", a.Subject, got, kinds[a.Kind])
		}
	}
	// What a pattern cannot say: that an encoded id needs to be, and is so in one way only.
	beyond := []string{"encoding of a plain id", "trailing bits", "a signal"}
	for _, s := range v.RefusedSubjects {
		subject := join(s.Parts)
		if s.Subject != nil {
			subject = *s.Subject
		}
		if got := of(subject); (len(got) > 0) != slices.Contains(beyond, s.Name) {
			t.Errorf("%s: %q is of the channels %v", s.Name, subject, got)
		}
	}
	for _, a := range []wire.Audience{wire.Broadcast(), wire.User("a.b"), wire.Topic("news")} {
		subject, err := wire.Subjects{}.Signal(a)
		if got := of(subject); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "signal") {
			t.Errorf("%s is of the channels %v (%v)", subject, got, err)
		}
	}
	schedule, err := wire.Subjects{}.Schedule(wire.User("a"), "x.y")
	if got := of(schedule); err != nil || fmt.Sprint(got) != "[schedule]" {
		t.Errorf("%s is of the channels %v (%v)", schedule, got, err)
	}
}

// TestAsyncAPICloses: the document has the codes of errors.json.
func TestAsyncAPICloses(t *testing.T) {
	text, err := os.ReadFile("asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Channels struct {
			Session struct {
				Closes json.RawMessage `json:"x-close-codes"`
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	want := readRegistry(t).Close
	got := want[:0:0]
	if err := json.Unmarshal(doc.Channels.Session.Closes, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors.json (-), asyncapi.json (+)\n%s", diff)
	}
}

// TestAsyncAPIExamples: every message has an example, which is what its schemas say; but
// for events of a type that no vector is of.
func TestAsyncAPIExamples(t *testing.T) {
	d := readAsyncDoc(t)
	for name := range d.Components.Messages {
		var message struct {
			Headers  any
			Examples []struct{ Payload, Headers any }
		}
		text, err := json.Marshal(d.Components.Messages[name])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &message); err != nil {
			t.Fatal(err)
		}
		_, typ, _ := strings.Cut(name, ".")
		_, err = os.Stat("schemas/" + typ + ".json")
		if ofItsOwn := err == nil && typ != wire.TypeToast; len(message.Examples) == 0 && !ofItsOwn {
			t.Errorf("%s has no example", name)
		}
		for i, example := range message.Examples {
			place := "components/messages/" + name
			if err := d.at(t, place+"/payload").Validate(example.Payload); err != nil {
				t.Errorf("%s, example %d: %v", name, i, err)
			}
			if (message.Headers == nil) != (example.Headers == nil) {
				t.Errorf("%s, example %d: headers %v", name, i, example.Headers)
			} else if message.Headers != nil && d.at(t, place+"/headers").Validate(example.Headers) != nil {
				t.Errorf("%s, example %d: the headers are not as described", name, i)
			}
		}
	}
}
