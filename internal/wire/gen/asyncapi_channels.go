package main

import (
	"fmt"
	"strings"
)

const (
	natsServer   = "nats"
	socketServer = "edge"
)

func servers() object {
	return object{
		{natsServer, object{
			{"host", "nats.example.com:4222"},
			{"protocol", "nats"},
			{"description", "The NATS of the mesh, with JetStream. For backends."},
			{"security", []object{ref("components/securitySchemes/credentials")}},
		}},
		{socketServer, object{
			{"host", "mesh.example.com"},
			{"protocol", "wss"},
			{"description", "An edge of the mesh. For apps."},
			{"security", []object{
				ref("components/securitySchemes/bearer"), ref("components/securitySchemes/query"), ref("components/securitySchemes/subprotocol"),
			}},
		}},
	}
}

func securitySchemes() object {
	return object{
		{"credentials", object{{"type", "userPassword"}, {"description", "The credentials file of the role backend, which `vibemesh credentials` makes: a JWT and a key of NATS."}}},
		{"bearer", object{{"type", "http"}, {"scheme", "bearer"}, {"bearerFormat", "JWT"}, {"description", "A Firebase ID token."}}},
		{"query", object{{"type", "httpApiKey"}, {"in", "query"}, {"name", "token"}, {"description", "The same; it ends up in the logs of proxies."}}},
		{"subprotocol", object{
			{"type", "httpApiKey"},
			{"in", "header"},
			{"name", "Sec-WebSocket-Protocol"},
			{"description", "The same, for browsers: `vibemesh.v1, bearer.<token>`."},
		}},
	}
}

// channel is a subject, or the path of the sockets.
type channel struct {
	name, server, address, summary string
	parameters                     []string
	messages                       []string
}

// subjects are the channels on NATS.
func (b *builder) subjects() []channel {
	types, err := eventTypes()
	b.fail(err)
	var published []string
	for _, typ := range append(types, "") {
		published = append(published, "published."+eventName(typ))
	}
	signal := []string{"signal"}
	return []channel{
		{"broadcast", natsServer, "{prefix}.ws.broadcast", "To everybody. Publish it to JetStream and wait for the acknowledgement.", nil, published},
		{"user", natsServer, "{prefix}.ws.user.{user}", "To one person.", []string{"user"}, published},
		{"topic", natsServer, "{prefix}.ws.topic.{topic}", "To the members of a topic.", []string{"topic"}, published},
		{"schedule", natsServer, "{prefix}.ws.schedule.{name}", "To be delivered later. Another one under the same name takes its place.", []string{"name"}, []string{"scheduled"}},
		{"readState", natsServer, "{prefix}.ws.read.{user}", "What a person has read, for the edges.", []string{"user"}, []string{"readState"}},
		{"signalBroadcast", natsServer, "{prefix}.signal.broadcast", "A signal to everybody. Publish it with core NATS.", nil, signal},
		{"signalUser", natsServer, "{prefix}.signal.user.{user}", "A signal to one person.", []string{"user"}, signal},
		{"signalTopic", natsServer, "{prefix}.signal.topic.{topic}", "A signal to the members of a topic.", []string{"topic"}, signal},
	}
}

func (b *builder) channels() (all object) {
	parameters := map[string]object{
		"prefix": {{"description", "What every subject of the mesh begins with: WS_SUBJECT_PREFIX."}, {"default", "sv"}},
		"user":   {{"description", "The person's id as a SubjectToken."}, {"examples", []string{"ada", "=YWRhQGV4YW1wbGUuY29t"}}},
		"topic":  {{"description", "The topic as a SubjectToken."}, {"examples", []string{"news", "=Y2x1Yi43"}}},
		"name":   {{"description", "A name of your choice, as a SubjectToken. With several partitions of the log it decides which of them the schedule is in."}},
	}
	for _, c := range b.subjects() {
		own := object{{"prefix", parameters["prefix"]}}
		for _, p := range c.parameters {
			own = append(own, member{p, parameters[p]})
		}
		all = append(all, member{c.name, object{
			{"address", c.address},
			{"summary", c.summary},
			{"servers", []object{ref("servers/" + c.server)}},
			{"parameters", own},
			{"messages", messageRefs(c.messages)},
		}})
	}
	return append(all, member{"session", b.session()})
}

// session is the channel of the sockets.
func (b *builder) session() object {
	str := func(description string, more ...member) object {
		return append(object{{"type", "string"}, {"description", description}}, more...)
	}
	one := member{"enum", []string{"1"}}
	query := object{{"type", "object"}, {"properties", object{
		{"token", str("The ID token, if it is not in a header.")},
		{"cursor", schemaRef("Cursor")},
		{"topics", str(fmt.Sprintf("Up to %d topics to follow, separated by commas.", b.number("MaxTopics")))},
		{"replay", str("Without a cursor: begin with the last so many events.", member{"pattern", "^[0-9]+$"})},
		{"unread", str("Count in hello what is unread.", one)},
		{"signals", str("Receive signals.", one)},
	}}}
	var closes []object
	for _, c := range b.reg.Close {
		closes = append(closes, object{{"code", c.Code}, {"name", c.Name}, {"retry", c.Retry}, {"text", c.Text}})
	}
	return object{
		{"address", "/api/v1/ws"},
		{"summary", "A session of a signed-in person: frames of JSON, one in each text message."},
		{"description", fmt.Sprintf("The first frame of an edge is hello. A client keeps the cursor of the last frame it has handled and gives it back when it "+
			"reconnects. A message of a client has at most %d bytes. `x-close-codes` says how a session ends, and when a client may come back: "+
			"with backoff, after something has changed, or never.", b.number("MaxClientFrame"))},
		{"servers", []object{ref("servers/" + socketServer)}},
		{"messages", messageRefs(append(b.sent(), b.received()...))},
		{"bindings", object{{"ws", object{{"method", "GET"}, {"query", query}, {"bindingVersion", "0.1.0"}}}}},
		{"x-close-codes", closes},
	}
}

// sent are the messages that an edge sends, received those of its clients.
func (b *builder) sent() (all []string) {
	types, err := eventTypes()
	b.fail(err)
	for _, f := range b.serverFrames() {
		all = append(all, "server."+f.frameType)
	}
	for _, typ := range append(types, "") {
		all = append(all, "server."+eventName(typ))
	}
	return all
}

func (b *builder) received() (all []string) {
	for _, f := range b.clientFrames() {
		all = append(all, "client."+f.frameType)
	}
	return all
}

// messageRefs are messages of a channel, under the names that they have everywhere.
func messageRefs(names []string) (refs object) {
	for _, name := range names {
		refs = append(refs, member{name, ref("components/messages/" + name)})
	}
	return refs
}

func (b *builder) operations() (all object) {
	add := func(name, action, channel, summary string, messages []string) {
		var list []object
		for _, m := range messages {
			list = append(list, ref("channels/"+channel+"/messages/"+m))
		}
		all = append(all, member{name, object{
			{"action", action}, {"channel", ref("channels/" + channel)}, {"summary", summary}, {"messages", list},
		}})
	}
	for _, c := range b.subjects() {
		add("take"+strings.ToUpper(c.name[:1])+c.name[1:], "receive", c.name, c.summary, c.messages)
	}
	add("sendFrames", "send", "session", "An edge sends frames to its clients.", b.sent())
	add("receiveFrames", "receive", "session", "Clients send frames to their edge.", b.received())
	return all
}
