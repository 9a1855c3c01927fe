package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Edges reaches every edge. complete says that all of them have answered in time.
// Errors wrap wire.ErrUnavailable when they are out of reach.
type Edges interface {
	// Presence is how many sessions each user has, by node.
	Presence(ctx context.Context, uids []string) (sessions []map[string]int, complete bool, err error)
	// Members is how many sessions a topic has.
	Members(ctx context.Context, topic string) (members int, complete bool, err error)
	// Disconnect ends a user's sessions, and says how many they were, by node.
	Disconnect(ctx context.Context, uid, reason string) (sessions map[string]int, complete bool, err error)
	// Revoke refuses a user's tokens that were issued before a time, and returns the
	// time that counts: an earlier one takes nothing back.
	Revoke(ctx context.Context, uid string, before time.Time) (time.Time, error)
	Statuses
}

const (
	maxPresence = 100 // users of one question
	maxReason   = 120 // bytes of a close frame's reason
)

// edgesProblem is the answer when the edges cannot be asked.
func (a *API) edgesProblem(ctx context.Context, doing string, err error) *Problem {
	return a.logProblem(ctx, doing, err, "The edges are out of reach. Try again.")
}

// person reads the field "user" of a body.
func person(f *faults, body object) string {
	if body["user"] == nil {
		f.add("body.user", "is required", nil)
		return ""
	}
	if ids := parseIDs(f, wire.User, "body.user", body["user"]); ids != nil {
		return ids[0].ID
	}
	return ""
}

// ordered reads what every order begins with: who gives it, and the body.
func (a *API) ordered(r *http.Request) (object, *Problem) {
	if _, p := a.publisher(r); p != nil {
		return nil, p
	}
	return readBody(r)
}

// Disconnected is the answer to a disconnect.
type Disconnected struct {
	Sessions int      `json:"sessions" doc:"How many sessions were ended." example:"2"`
	Edges    []string `json:"edges" nullable:"false" doc:"The edges that had some."`
	Complete bool     `json:"complete" doc:"Every edge has answered."`
}

type disconnectAnswer struct{ Body Disconnected }

// postDisconnect ends the sessions of a person.
func (a *API) postDisconnect(ctx context.Context, q *request) (*disconnectAnswer, error) {
	body, p := a.ordered(q.r)
	if p != nil {
		return nil, p
	}
	var f faults
	body.unknown(&f, "body", "user", "reason")
	uid, reason := person(&f, body), ""
	if raw := body["reason"]; raw != nil {
		var ok bool
		if reason, ok = asString(raw); !ok || len(reason) > maxReason {
			f.add("body.reason", fmt.Sprintf("must be a text of at most %d bytes", maxReason), raw)
		}
	}
	if p := f.problem(); p != nil {
		return nil, p
	}
	sessions, complete, err := a.edges.Disconnect(ctx, uid, reason)
	if err != nil {
		return nil, a.edgesProblem(ctx, "disconnecting", err)
	}
	n, edges := sum(sessions)
	return &disconnectAnswer{Disconnected{n, edges, complete}}, nil
}

// RevokedTokens is the answer to a revocation.
type RevokedTokens struct {
	User   string `json:"user"`
	Before string `json:"before" doc:"Tokens issued before this time are refused." format:"date-time"`
}

type revokeAnswer struct{ Body RevokedTokens }

// postRevoke refuses the older tokens of a person, and so ends the sessions that they
// were for.
func (a *API) postRevoke(ctx context.Context, q *request) (*revokeAnswer, error) {
	body, p := a.ordered(q.r)
	if p != nil {
		return nil, p
	}
	var f faults
	body.unknown(&f, "body", "user", "before")
	uid, before := person(&f, body), time.Now()
	if raw := body["before"]; raw != nil {
		var ok bool
		if before, ok = parseTime(raw); !ok || before.After(time.Now().Add(maxAhead)) {
			f.add("body.before", "must be a time that is not in the future, as 2026-01-31T12:00:00Z or in seconds since 1970", raw)
		}
	}
	if p := f.problem(); p != nil {
		return nil, p
	}
	before, err := a.edges.Revoke(ctx, uid, before)
	if err != nil {
		return nil, a.edgesProblem(ctx, "revoking", err)
	}
	return &revokeAnswer{RevokedTokens{uid, before.UTC().Format(time.RFC3339Nano)}}, nil
}

// maxAhead is how far a caller's clock may be ahead of ours.
const maxAhead = time.Minute

// parseTime reads RFC 3339 or seconds since 1970.
func parseTime(raw []byte) (time.Time, bool) {
	if s, ok := asString(raw); ok {
		t, err := time.Parse(time.RFC3339, s)
		return t, err == nil
	}
	s, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || s < 0 || s > 1e11 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(s * 1000)), true
}

// mayAsk finds whether the caller may ask for the presence of some users, or, if there
// are none, of a topic: who publishes may ask for anybody, everybody for themselves.
func (a *API) mayAsk(r *http.Request, uids []string) *Problem {
	if len(r.Header.Values(a.cfg.SecretHeader)) > 0 {
		_, p := a.publisher(r)
		return p
	}
	id, p := a.reader(r)
	if p != nil || id.MayPublish || len(uids) == 1 && uids[0] == id.UID {
		return p
	}
	p = problem(http.StatusForbidden, "Without the publish claim one may ask for oneself only.")
	return p.with("WWW-Authenticate", `Bearer realm="vibemesh", error="insufficient_scope"`)
}

// presenceOf reads whom a question is about.
func presenceOf(query url.Values) (uids []string, topic string, p *Problem) {
	var f faults
	for name := range query {
		if name != "user" && name != "topic" && name != "token" {
			f.add("query."+shortName(name), "is not a known parameter; known are user and topic", nil)
		}
	}
	uids = query["user"]
	if query.Has("topic") {
		topic = query.Get("topic")
		if !isID(topic) || len(query["topic"]) != 1 {
			f.add("query.topic", fmt.Sprintf("must be one name of 1 to %d bytes of UTF-8", wire.MaxIDLen), nil)
		}
	}
	if len(uids) > 0 == query.Has("topic") {
		f.add("query", "must have either user, once or more, or topic", nil)
	}
	if len(uids) > maxPresence {
		f.add("query.user", fmt.Sprintf("is there %d times; at most %d users can be asked for at once", len(uids), maxPresence), nil)
		uids = nil
	}
	for _, uid := range uids {
		if !isID(uid) {
			f.add("query.user", fmt.Sprintf("must have 1 to %d bytes of UTF-8", wire.MaxIDLen), nil)
		}
	}
	return uids, topic, f.problem()
}

// isID reports whether the text of a query, which may be any bytes, is an id.
func isID(text string) bool {
	_, err := wire.EncodeID(text)
	return err == nil && utf8.ValidString(text)
}
