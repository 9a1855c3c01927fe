package main

import (
	"fmt"
	"slices"
	"strings"
)

// The parts of the schema of a frame or an envelope that Go's types do not say, by struct
// and field. A field that is here and nowhere else is an error.
func (b *builder) rules() map[string]object {
	ids := object{{"type", "array"}, {"items", schemaRef("EventID")}}
	sent := ids.with(member{"maxItems", b.number("MaxReadIDs")})
	var codes []string
	for _, c := range b.reg.Frame {
		codes = append(codes, c.Code)
	}
	return map[string]object{
		"Hello.cursor": schemaRef("Cursor"), "Event.cursor": schemaRef("Cursor"), "Gap.cursor": schemaRef("Cursor"),
		"Read.cursor": schemaRef("Cursor"), "Subscribed.cursor": schemaRef("Cursor"), "Pong.cursor": schemaRef("Cursor"),
		"Hello.ping":   {{"type", "integer"}, {"minimum", 0}},
		"Hello.unread": {{"type", "integer"}, {"minimum", 0}},
		"Event.type":   schemaRef("EventType"), "Event.id": schemaRef("EventID"),
		"Event.to": schemaRef("To"), "Event.collapse": schemaRef("CollapseKey"),
		"Gap.reason": {{"type", "string"}, {"enum", b.src.texts("Gap")}},
		"Read.up_to": ids, "Read.read": ids, "Read.unread": ids,
		"Subscribed.topics":  {{"type", "array"}, {"items", schemaRef("Topic")}, {"maxItems", b.number("MaxTopics")}},
		"Error.code":         {{"type", "string"}, {"enum", codes}},
		"Reconnect.after_ms": {{"type", "integer"}, {"minimum", 0}},
		"Signal.name":        schemaRef("EventType"), "Signal.to": schemaRef("To"), "Signal.from": {{"type", "string"}, {"minLength", 1}},

		"ClientFrame.token": {{"type", "string"}, {"minLength", 1}}, "ClientFrame.topic": schemaRef("Topic"),
		"ClientFrame.up_to": schemaRef("EventID"), "ClientFrame.read": sent, "ClientFrame.unread": sent,
		"ClientFrame.at": {{"type", "integer"}, {"minimum", 0}}, "ClientFrame.name": schemaRef("EventType"),

		"Envelope.type": schemaRef("EventType"),

		"readStateText.read":   {{"type", "object"}, {"propertyNames", schemaRef("EventID")}, {"additionalProperties", schemaRef("Milliseconds")}},
		"readStateText.unread": {{"type", "object"}, {"propertyNames", schemaRef("EventID")}, {"additionalProperties", schemaRef("Milliseconds")}},
		"readStateText.marks":  {{"type", "array"}, {"items", schemaRef("ReadMark")}, {"maxItems", b.number("MaxReadMarks")}},
		"readMarkText.at":      schemaRef("Milliseconds"), "readMarkText.up_to": schemaRef("Cursor"),
	}
}

// frames are the frames of the protocol itself: by the name of the schema, the struct,
// the type, and of a client's, which fields belong to it; those that end in "!" must be there.
type frame struct {
	name, of, frameType string
	fields              []string
}

func (b *builder) serverFrames() (all []frame) {
	for _, name := range []string{"Hello", "Gap", "Read", "Subscribed", "Error", "Reconnect", "Pong", "Auth", "Signal"} {
		all = append(all, frame{name + "Frame", name, b.text("Frame" + name), nil})
	}
	return all
}

func (b *builder) clientFrames() (all []frame) {
	for _, f := range []struct{ name, fields string }{
		{"Ping", ""},
		{"Auth", "token!"},
		{"Subscribe", "topic!"},
		{"Unsubscribe", "topic!"},
		{"Read", "up_to all read unread at"},
		{"Signal", "topic! name! payload"},
	} {
		all = append(all, frame{"Client" + f.name + "Frame", "ClientFrame", b.text("Frame" + f.name), append([]string{}, strings.Fields(f.fields)...)})
	}
	return all
}

// schemas are all schemas but those of payloads.
func (b *builder) schemas() (all object) {
	rules := b.rules()
	used := map[string]bool{}
	all = b.words()
	for _, f := range append(b.serverFrames(), b.clientFrames()...) {
		all = append(all, member{f.name, b.structSchema(f, rules, used)})
	}
	for _, f := range []frame{
		{"EventFrame", "Event", "", nil},
		{"Envelope", "Envelope", "", nil},
		{"ReadState", "readStateText", "", nil},
		{"ReadMark", "readMarkText", "", nil},
	} {
		all = append(all, member{f.name, b.structSchema(f, rules, used)})
	}
	for rule := range rules {
		if !used[rule] {
			b.fail(fmt.Errorf("no struct has the field %s that there is a rule for", rule))
		}
	}
	return all
}

// structSchema is the schema of a struct, or of those of its fields that belong to a frame.
func (b *builder) structSchema(f frame, rules map[string]object, used map[string]bool) object {
	fields, err := b.src.fields(f.of)
	b.fail(err)
	var properties object
	required := []string{}
	for _, field := range fields {
		must, rule := !field.optional, rules[f.of+"."+field.name]
		if rule != nil {
			used[f.of+"."+field.name] = true
		}
		if f.fields != nil && field.name != "type" {
			must = slices.Contains(f.fields, field.name+"!")
			if !must && !slices.Contains(f.fields, field.name) {
				continue
			}
		}
		if field.name == "type" && f.frameType != "" {
			rule = object{{"const", f.frameType}}
			field.doc = ""
		} else if rule == nil {
			rule = b.goType(f.of+"."+field.name, field.typ)
		}
		if field.doc != "" && rule[0].name != "$ref" { // what stands beside a $ref is ignored
			rule = rule.with(member{"description", field.doc})
		}
		properties = append(properties, member{field.name, rule})
		if must {
			required = append(required, field.name)
		}
	}
	schema := object{{"type", "object"}}
	if doc := b.src.docs[f.of]; doc != "" && f.of != "ClientFrame" {
		schema = append(schema, member{"description", doc})
	}
	if len(required) > 0 {
		schema = append(schema, member{"required", required})
	}
	if strings.HasSuffix(f.of, "Text") { // who does not know a field would lose it when it writes the state again
		schema = append(schema, member{"additionalProperties", false})
	}
	return schema.with(member{"properties", properties})
}

// goType is the schema of a type of Go.
func (b *builder) goType(field, typ string) object {
	switch typ {
	case "string":
		return object{{"type", "string"}}
	case "bool":
		return object{{"type", "boolean"}}
	case "int", "int64", "*int":
		return object{{"type", "integer"}}
	case "json.RawMessage":
		return object{{"type", "object"}}
	}
	b.fail(fmt.Errorf("%s: the type %s has no schema", field, typ))
	return object{{"type", typ}}
}

// words are the values that several schemas speak of.
func (b *builder) words() object {
	var reserved []string
	for _, name := range b.src.texts("Frame") {
		if !slices.Contains(reserved, name) {
			reserved = append(reserved, name)
		}
	}
	maxID := b.number("MaxIDLen")
	str := object{{"type", "string"}}
	return object{
		{"Cursor", str.with(
			member{"description", "The last position a client has seen. Opaque to clients: keep it, give it back."},
			member{"pattern", "^A[Q-Za-f][A-Za-z0-9_-]{2,}$"}, member{"maxLength", (1 + b.number("MaxPartitions")*20) * 4 / 3}, member{"examples", []string{"AYDQ37SrMyo"}})},
		{"EventID", str.with(
			member{"description", "Names one entry of the log, for ever."},
			member{"pattern", "^([0-9a-z]|[1-6][0-9a-z]|7[0-3])-(0|[1-9a-z][0-9a-z]{0,12})-(0|[1-9a-z][0-9a-z]{0,12})$"}, member{"examples", []string{"0-midc1z40-16"}})},
		{"EventType", str.with(
			member{"description", "The type of an event, or the name of a signal; never that of a frame of the protocol."},
			member{"pattern", "^[a-z][a-z0-9_.-]{0,63}$"}, member{"not", object{{"enum", reserved}}}, member{"examples", []string{"toast", "order.shipped"}})},
		{"CollapseKey", str.with(
			member{"description", "An event takes the place of earlier ones with the same key and audience."},
			member{"pattern", fmt.Sprintf("^[A-Za-z0-9_.:/-]{1,%d}$", b.number("MaxCollapse"))})},
		{"To", str.with(
			member{"description", "Whom an event or a signal is for, as its receivers see it."},
			member{"pattern", "^(user|broadcast|topic:[\\s\\S]+)$"}, member{"examples", []string{"user", "topic:club.7"}})},
		{"Topic", str.with(
			member{"description", fmt.Sprintf("The name of a topic, of 1 to %d bytes of UTF-8.", maxID)},
			member{"minLength", 1}, member{"maxLength", maxID})},
		{"SubjectToken", str.with(
			member{"description", fmt.Sprintf("A user id or topic in a subject. One of [A-Za-z0-9_-]{1,%d} stands for itself; any other, of 1 to %[1]d bytes, "+
				"is = and its unpadded base64url.", maxID)},
			member{"pattern", fmt.Sprintf("^([A-Za-z0-9_-]{1,%d}|=[A-Za-z0-9_-]{2,%d})$", maxID, (maxID*4+2)/3)},
			member{"examples", []string{"ada", "=YWRhQGV4YW1wbGUuY29t"}})},
		{"Milliseconds", object{{"type", "integer"}, {"description", "Since 1970."}, {"minimum", 1}, {"maximum", int64(1) << 53}}},
	}
}
