package auth

import (
	"encoding/base64"
	"encoding/json"
	"strings"
)

// maxPatterns is how many patterns of a token's claim count; the others are passed over.
const maxPatterns = 256

// Topics is which topics a token lets its person join: names, and beginnings of names
// as patterns with a "*" at the end. It is one string, in which the length of each
// pattern stands before it, so that very many can be remembered.
type Topics string

// NewTopics makes Topics of names and patterns. One that no topic could fit, being
// longer than a topic's name or empty, is left out.
func NewTopics(patterns ...string) Topics {
	var all []byte
	for _, p := range patterns[:min(len(patterns), maxPatterns)] {
		if len(p) > 0 && len(p) <= 129 { // a topic's name and a star
			all = append(append(all, byte(len(p))), p...)
		}
	}
	return Topics(all)
}

// Allow reports whether a topic fits any of the patterns.
func (t Topics) Allow(topic string) bool {
	for len(t) > 0 {
		n := int(t[0]) + 1
		pattern := string(t[1:n])
		t = t[n:]
		begin, open := strings.CutSuffix(pattern, "*")
		if pattern == topic || open && strings.HasPrefix(topic, begin) {
			return true
		}
	}
	return false
}

// topicsOf reads a claim of a token whose claims were checked: a list of names and
// patterns. A claim of any other shape allows nothing.
func topicsOf(token, claim string) Topics {
	_, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return ""
	}
	var all map[string]json.RawMessage
	var patterns []string
	if json.Unmarshal(text, &all) != nil || json.Unmarshal(all[claim], &patterns) != nil {
		return ""
	}
	return NewTopics(patterns...)
}
