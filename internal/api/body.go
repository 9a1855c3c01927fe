package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// maxUsers is how many people one "to" may name, and how many messages one
// request may make.
const maxUsers = 1000

// object is a JSON object whose values are not decoded yet. Of two fields with
// one name the last counts, as everywhere in JSON.
type object map[string]json.RawMessage

// names lists the fields in a fixed order, so that answers are the same each time.
func (o object) names() []string { return slices.Sorted(maps.Keys(o)) }

// unknown adds every field that is not one of the known.
func (o object) unknown(f *faults, location string, known ...string) {
	for _, name := range o.names() {
		if !slices.Contains(known, name) {
			f.add(location+"."+shortName(name), "is not a known field; known are "+strings.Join(known, ", "), o[name])
		}
	}
}

func shortName(name string) string {
	if len(name) > 100 {
		return strings.ToValidUTF8(name[:100], "") + "…"
	}
	return name
}

// readBody reads a JSON object of at most wire.MaxEnvelope bytes.
func readBody(r *http.Request) (object, *Problem) {
	if r.ContentLength > wire.MaxEnvelope { // said beforehand: none of it is asked for
		return nil, tooLarge().with("Connection", "close")
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, problem(http.StatusBadRequest, "The body is compressed or encoded; send it as it is, without Content-Encoding.")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, wire.MaxEnvelope))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return nil, tooLarge().with("Connection", "close")
	case err != nil:
		return nil, problem(http.StatusBadRequest, "The body did not arrive whole and in time.").with("Connection", "close")
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, problem(http.StatusBadRequest, "The body is empty; send a JSON object.")
	case !utf8.Valid(raw):
		return nil, problem(http.StatusBadRequest, "The body is not valid UTF-8.")
	}
	var syntax *json.SyntaxError
	var o object
	if err := json.Unmarshal(raw, &o); errors.As(err, &syntax) {
		return nil, problem(http.StatusBadRequest, fmt.Sprintf("The body is not valid JSON: %s, at byte %d.", syntax.Error(), syntax.Offset))
	}
	if o == nil { // valid JSON of another type, or null
		return nil, faults{{Location: "body", Message: "must be a JSON object"}}.problem()
	}
	return o, nil
}

func tooLarge() *Problem {
	return problem(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body may have at most %d bytes.", wire.MaxEnvelope))
}

// asObject is raw as an object, nil when it is none.
func asObject(raw json.RawMessage) object {
	var o object
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o
}

// asString is raw as a string; ok is false when it is none.
func asString(raw json.RawMessage) (s string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// parseTo reads whom a message is for. Only an absent "to" means everybody: null
// is refused, since a backend's missing value must not become a broadcast.
// several tells "users", which is answered with a list, from the others.
func parseTo(f *faults, location string, raw json.RawMessage) (to []wire.Audience, several bool) {
	if raw == nil {
		return []wire.Audience{wire.Broadcast()}, false
	}
	o := asObject(raw)
	if o == nil {
		f.add(location, `must be an object such as {"user":"ada"}; leave it out to address everybody`, raw)
		return nil, false
	}
	o.unknown(f, location, "user", "users", "topic")
	user, users, topic := o["user"], o["users"], o["topic"]
	given := 0
	for _, v := range []json.RawMessage{user, users, topic} {
		if v != nil {
			given++
		}
	}
	switch {
	case given != 1:
		f.add(location, "must have exactly one of user, users and topic", nil)
		return nil, false
	case user != nil:
		return parseIDs(f, wire.User, location+".user", user), false
	case topic != nil:
		return parseIDs(f, wire.Topic, location+".topic", topic), false
	}
	return parseUsers(f, location+".users", users), true
}

// parseIDs reads one id.
func parseIDs(f *faults, audience func(string) wire.Audience, location string, raw json.RawMessage) []wire.Audience {
	id, ok := asString(raw)
	if !ok {
		f.add(location, "must be a string", raw)
		return nil
	}
	if _, err := wire.EncodeID(id); err != nil {
		f.add(location, fmt.Sprintf("must have 1 to %d bytes", wire.MaxIDLen), raw)
		return nil
	}
	return []wire.Audience{audience(id)}
}

func parseUsers(f *faults, location string, raw json.RawMessage) []wire.Audience {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		f.add(location, "must be an array of user ids", raw)
		return nil
	}
	if n := len(items); n < 1 || n > maxUsers {
		f.add(location, fmt.Sprintf("has %d user ids; 1 to %d are allowed", n, maxUsers), nil)
		return nil
	}
	to := make([]wire.Audience, 0, len(items))
	first := make(map[string]int, len(items))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", location, i)
		a := parseIDs(f, wire.User, at, item)
		if a == nil {
			continue
		}
		if j, twice := first[a[0].ID]; twice {
			f.add(at, fmt.Sprintf("is the same as [%d]", j), item)
			continue
		}
		first[a[0].ID] = i
		to = append(to, a[0])
	}
	return to
}
