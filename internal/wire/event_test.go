package wire_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/wire"
	"pgregory.net/rapid"
)

// anyValue draws a JSON value, its strings escaped in different ways.
func anyValue(t *rapid.T, depth int) []byte {
	kinds := []string{"null", "true", "number", "string"}
	if depth > 0 {
		kinds = append(kinds, "list", "object")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "true":
		return []byte("true")
	case "number":
		return []byte(rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number"))
	case "string":
		return anyString(t)
	case "list":
		out := []byte{'['}
		for i := range rapid.IntRange(0, 3).Draw(t, "items") {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, anyValue(t, depth-1)...)
		}
		return append(out, ']')
	case "object":
		return anyObject(t, depth-1)
	}
	return []byte("null")
}

func anyString(t *rapid.T) []byte {
	s := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"<b>&", "\u2028\u2029", `"\/`, "\x00\x7f", "🎈"})).Draw(t, "string")
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(rapid.Bool().Draw(t, "escaped"))
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

func anyObject(t *rapid.T, depth int) []byte {
	out := []byte{'{'}
	for i := range rapid.IntRange(0, 4).Draw(t, "members") {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(append(out, anyString(t)...), ':')
		out = append(out, anyValue(t, depth)...)
	}
	return append(out, '}')
}

var anyEntry = rapid.Custom(func(t *rapid.T) *wire.Entry {
	typ := rapid.StringMatching(`[a-z][a-z0-9_.-]{0,20}`).
		Filter(func(s string) bool { return wire.CheckEventType(s) == nil }).Draw(t, "type")
	env, err := wire.ParseEnvelope(append(append([]byte(`{"type":"`+typ+`","payload":`), anyObject(t, 3)...), '}'))
	if err != nil {
		t.Fatal(err)
	}
	id := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	return &wire.Entry{
		Partition: rapid.IntRange(0, wire.MaxPartitions-1).Draw(t, "partition"),
		Position:  wire.Position{Life: rapid.Uint64().Draw(t, "life"), Seq: rapid.Uint64().Draw(t, "seq")},
		Time:      time.UnixMilli(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "ms")).Add(time.Duration(rapid.IntRange(0, 999_999).Draw(t, "ns"))),
		Audience:  wire.Audience{Kind: wire.Kind(rapid.IntRange(1, 4).Draw(t, "audience")), ID: id.Draw(t, "id")},
		Envelope:  env,
	}
})

var anyCursor = rapid.Map(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) wire.Position {
	return wire.Position{Life: rapid.Uint64().Draw(t, "life"), Seq: rapid.Uint64().Draw(t, "seq")}
}), 1, 5), func(p []wire.Position) wire.Cursor { return p })

// The frame written by hand says what encoding/json says of the same event, and
// carries the payload as it stands.
func TestAppendEventSaysWhatEncodingJSONSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, cursor := anyEntry.Draw(t, "entry"), anyCursor.Draw(t, "cursor")
		before := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "before")
		out := wire.AppendEvent(bytes.Clone(before), e, cursor)
		got, kept := bytes.CutPrefix(out, before)
		if !kept {
			t.Fatal("what dst held is changed")
		}
		if !utf8.Valid(got) || !json.Valid(got) {
			t.Fatalf("not JSON in UTF-8: %q", got)
		}
		if !bytes.HasSuffix(got, append([]byte(`,"payload":`), append(bytes.Clone(e.Payload), '}')...)) {
			t.Fatalf("the payload is not at the end, as it stands: %s", got)
		}
		want, err := json.Marshal(e.Event(cursor))
		if err != nil {
			t.Fatal(err)
		}
		value := func(text []byte) (v any) {
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber()
			if err := d.Decode(&v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		if diff := cmp.Diff(value(want), value(got)); diff != "" {
			t.Fatalf("(-encoding/json +AppendEvent):\n%s", diff)
		}
	})
}

func TestCursorAndEventIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCursor.Draw(t, "cursor")
		if got, err := wire.ParseCursor(c.String()); err != nil || !cmp.Equal(got, c) {
			t.Fatalf("cursor %v is read as %v, error %v", c, got, err)
		}
		id := anyEntry.Draw(t, "entry").ID()
		if got, err := wire.ParseEventID(id.String()); err != nil || got != id {
			t.Fatalf("event id %v is read as %v, error %v", id, got, err)
		}
	})
}

// The largest cursor there may be is read, one more partition is not.
func TestCursorPartitions(t *testing.T) {
	c := make(wire.Cursor, wire.MaxPartitions)
	for i := range c {
		c[i] = wire.Position{Life: ^uint64(0), Seq: ^uint64(0)}
	}
	if got, err := wire.ParseCursor(c.String()); err != nil || !cmp.Equal(got, c) {
		t.Errorf("%d partitions: error %v", len(c), err)
	}
	for _, c := range []wire.Cursor{append(c, c[0]), nil} {
		if _, err := wire.ParseCursor(c.String()); err == nil {
			t.Errorf("%d partitions are read", len(c))
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	e := &wire.Entry{
		Position: wire.Position{Life: 1764000000000, Seq: 1234567}, Time: time.UnixMilli(1764000000000), Audience: wire.User("alice"),
		Envelope: wire.Envelope{Type: wire.TypeToast, Payload: json.RawMessage(
			`{"title":"Ann liked your photo","teaser":"and 7 others","action_url":"sv://photos/81723","action_label":"Look"}`)},
	}
	cursor := wire.Cursor{e.Position}
	b.Run("by_hand", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 512)
		for b.Loop() {
			buf = wire.AppendEvent(buf[:0], e, cursor)
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(e.Event(cursor)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
