package main

import "fmt"

// eventName is what the messages of an event type are called; "" is any type.
func eventName(eventType string) string {
	if eventType == "" {
		return "event"
	}
	return eventType
}

// messages are all messages: frames of sockets, and what NATS carries.
func (b *builder) messages() (all object) {
	types, err := eventTypes()
	b.fail(err)
	add := func(name, title, summary string, payload object, more ...member) {
		all = append(all, member{name, append(object{{"name", name}, {"title", title}, {"summary", summary}, {"payload", payload}}, more...)})
	}
	headers := member{"headers", schemaRef("MessageHeaders")}
	for _, typ := range append(types, "") {
		title, envelope, frame := "An event of any type", schemaRef("Envelope"), schemaRef("EventFrame")
		if typ != "" {
			title = fmt.Sprintf("An event of the type %s", typ)
			narrow := object{{"type", "object"}, {"properties", object{{"type", object{{"const", typ}}}, {"payload", schemaRef(payloadName(typ))}}}}
			envelope = object{{"allOf", []object{envelope, narrow}}}
			frame = object{{"allOf", []object{frame, narrow}}}
		}
		published, received := "a "+typ, typ+" for everybody"
		if typ == "" {
			published, received = "an event of a type of its own", "event of a type of its own"
		}
		add("published."+eventName(typ), title, "As NATS carries it.", envelope, headers,
			b.examples("envelopes.json", named(published), headersOf(member{b.text("HeaderMsgID"), "order-7"}, member{b.text("HeaderTTL"), "24h"})))
		add("server."+eventName(typ), title, "As a client receives it.", frame, b.examples("server_frames.json", named(received)))
	}
	add("scheduled", "An event that waits for its time", "As NATS carries it.", schemaRef("Envelope"), member{"headers", schemaRef("ScheduleHeaders")},
		b.examples("envelopes.json", named("a toast"), headersOf(member{"Nats-Schedule", "@at 2031-05-01T09:00:00Z"}, member{"Nats-Schedule-Target", "sv.ws.user.ada"}, member{b.text("HeaderTTL"), "never"})))
	add("signal", "Something of the moment", "As NATS carries it: not stored.", schemaRef("Envelope"), member{"headers", schemaRef("SignalHeaders")},
		b.examples("envelopes.json", named("a signal"), headersOf(member{b.text("HeaderFrom"), "ada"})))
	add("readState", "What a person has read", "The edges merge and store it. Backends leave it alone.", schemaRef("ReadState"),
		b.examples("read_states.json", named("up to an event")))
	for _, f := range b.serverFrames() {
		add("server."+f.frameType, "The frame "+f.frameType, "From an edge to a client.", schemaRef(f.name), b.examples("server_frames.json", ofType(f.frameType)))
	}
	for _, f := range b.clientFrames() {
		add("client."+f.frameType, "The frame "+f.frameType, "From a client to an edge.", schemaRef(f.name), b.examples("client_frames.json", ofType(f.frameType)))
	}
	return all
}

// headerSchemas are the headers of what NATS carries.
func (b *builder) headerSchemas() object {
	str := func(description string, more ...member) object {
		return append(object{{"type", "string"}, {"description", description}}, more...)
	}
	trace := object{
		{b.text("HeaderTraceparent"), str("The trace that the message belongs to (W3C Trace Context). Written in lower case.",
			member{"pattern", "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"})},
		{b.text("HeaderTracestate"), str("More of that trace.")},
	}
	msgID := member{b.text("HeaderMsgID"), str("Idempotency: another message with the same, to the same partition of the log within two minutes, is not stored.")}
	collapse := member{b.text("HeaderCollapse"), schemaRef("CollapseKey")}
	return object{
		{"MessageHeaders", object{{"type", "object"}, {"properties", append(object{
			msgID,
			{b.text("HeaderTTL"), str("For how long it is shown: whole seconds, or a Go duration of at least a second.", member{"pattern", `^([1-9][0-9]*|([0-9.]+(ns|us|µs|ms|s|m|h))+)$`})},
			collapse,
			{"Nats-Batch-Id", str("An atomic batch (NATS ADR-50): all of its messages are stored or none. All go to one partition of the log.", member{"maxLength", 64})},
			{"Nats-Batch-Sequence", str("Its place in the batch, from 1 to 1000.", member{"pattern", "^[1-9][0-9]{0,3}$"})},
			{"Nats-Batch-Commit", str("On the last message of a batch.", member{"enum", []string{"1"}})},
		}, trace...)}}},
		{"ScheduleHeaders", object{{"type", "object"}, {"required", []string{"Nats-Schedule", "Nats-Schedule-Target"}}, {"properties", append(object{
			{"Nats-Schedule", str("When it is delivered, RFC 3339.", member{"pattern", "^@at [0-9]{4}-[0-9]{2}-[0-9]{2}T"})},
			{"Nats-Schedule-Target", str("The subject that the log stores it under then. With several partitions that of the log, {prefix}.log.<partition>.user.<id>, " +
				"of the partition that the schedule's own subject is mapped to.")},
			{"Nats-Schedule-TTL", str("For how long it is shown from then on: whole seconds.", member{"pattern", "^[1-9][0-9]*$"})},
			{b.text("HeaderTTL"), str("Keeps it until its time has come.", member{"enum", []string{"never"}})},
			msgID, collapse,
		}, trace...)}}},
		{"SignalHeaders", object{{"type", "object"}, {"properties", append(object{
			{b.text("HeaderFrom"), schemaRef("SubjectToken")},
			{b.text("HeaderSession"), str("Which session of that person sent it; a backend leaves it out.")},
		}, trace...)}}},
	}
}
