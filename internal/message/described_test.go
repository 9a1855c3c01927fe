package message_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestHeadersAreDescribed: the AsyncAPI document knows every header that is sent, and
// refuses values that none of them has.
func TestHeadersAreDescribed(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(wire.AsyncAPI))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	if err := c.AddResource("mem:///asyncapi.json", doc); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]time.Time{"MessageHeaders": {}, "ScheduleHeaders": time.Now().Add(time.Hour)} {
		schema, err := c.Compile("mem:///asyncapi.json#/components/schemas/" + name)
		if err != nil {
			t.Fatal(err)
		}
		msg := toast(wire.User("ada"))
		msg.MsgID, msg.TTL, msg.Collapse, msg.At = "id", time.Hour, "taxi:17", at
		out, err := message.New(wire.Subjects{}, message.Stored, msg)
		if err != nil {
			t.Fatal(err)
		}
		headers := map[string]any{wire.HeaderTraceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", wire.HeaderTracestate: "vendor=1"}
		for header := range out.Header {
			headers[header] = out.Header.Get(header)
		}
		if err := schema.Validate(headers); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for header := range headers {
			if schema.Properties[header] == nil {
				t.Errorf("%s has no %s", name, header)
			}
		}
		for header, wrong := range map[string]string{wire.HeaderTTL: "soon", wire.HeaderCollapse: "a b", wire.HeaderTraceparent: "00"} {
			good := headers[header]
			headers[header] = wrong
			if schema.Validate(headers) == nil {
				t.Errorf("%s: %s may be %q", name, header, wrong)
			}
			headers[header] = good
		}
	}
}
