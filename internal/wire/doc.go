// Package wire is the contract: every name, shape and code that Vibemesh shares
// with the world outside this repository. It imports the standard library only.
//
// # The conversation
//
// A backend publishes an [Envelope] to a subject of [Subjects], by NATS or by
// the REST API, and JetStream stores it in the log:
//
//	sv.ws.broadcast            {"type":"toast","payload":{"title":"Hi"}}
//	sv.ws.user.<uid>           the same, for one person
//	sv.ws.topic.<topic>        the same, for the members of a topic
//
// A client opens a WebSocket. It signs in with a Firebase ID token and may say
// where it left off:
//
//	GET /api/v1/ws?token=<ID token>[&cursor=<cursor>][&topics=a,b][&replay=N]
//
// The edge answers with text frames of JSON. The first is always hello:
//
//	{"type":"hello","session":"…","node":"…","cursor":"…","resumed":true,"ping":60,"expires":1764000000}
//
// hello's cursor is the position from which this session is continued: for a
// new client the head of the log, for a resuming one the position it gave.
// Then come the events, those missed first, in the order of the log:
//
//	{"type":"toast","id":"…","cursor":"…","ts":1764000000000,"to":"user","payload":{"title":"Hi"}}
//
// A client stores the cursor of the last frame it has handled, whatever the
// frame's type, and gives it back when it reconnects, to whichever edge. What
// cannot be replayed is said, before anything newer is sent:
//
//	{"type":"gap","reason":"retention","cursor":"…"}
//
// Clients may send {"type":"ping"}, answered by {"type":"pong","cursor":"…"};
// {"type":"auth","token":"…"} to replace the token of a live session, answered
// by another hello; {"type":"subscribe","topic":"a"} and "unsubscribe",
// answered by {"type":"subscribed","topics":["a"],"cursor":"…"}. A client frame
// that makes no sense is answered by {"type":"error","code":"…","message":"…"}
// and the session goes on. Before an edge stops it sends
// {"type":"reconnect","after_ms":…}; the client comes back, to another edge,
// after that delay.
//
// A connection ends with a close code of errors.json. Codes 4000–4399 mean
// come back with backoff, 4400–4499 come back only after something changed
// (4401: another token).
//
// # Where things are
//
// Subjects and the encoding of ids are in subject.go, what NATS carries in
// envelope.go, what sockets carry in frame.go and client_frame.go, positions in
// cursor.go, codes in errors.json (and codes_gen.go), the payload of each event
// type in schemas/, and golden vectors for all of them in testdata/vectors. From all
// this gen writes asyncapi.json, which describes it for machines.
package wire

//go:generate go run ./gen
