package wire_test

import (
	"errors"
	"testing"

	"github.com/socialvibes/vibemesh/internal/wire"
)

type idVector struct {
	Name  string  `json:"name"`
	ID    *string `json:"id"`
	Bytes []byte  `json:"id_base64"`
	Parts []part  `json:"parts"`
	Token *string `json:"token"`
}

func (v idVector) id() string {
	if v.ID != nil {
		return *v.ID
	}
	return string(v.Bytes) + join(v.Parts)
}

type subjectVector struct {
	Name    string  `json:"name"`
	Subject *string `json:"subject"`
	Parts   []part  `json:"parts"`
}

type prefixVector struct{ Name, Prefix, Log, Broadcast string }

type subjectVectors struct {
	IDs           []idVector `json:"ids"`
	RefusedIDs    []idVector `json:"refused_ids"`
	RefusedTokens []idVector `json:"refused_tokens"`
	Audiences     []struct {
		Name, Kind, ID, To, Subject string
	} `json:"audiences"`
	RefusedSubjects []subjectVector `json:"refused_subjects"`
	Prefixes        []prefixVector  `json:"prefixes"`
	RefusedPrefixes []prefixVector  `json:"refused_prefixes"`
}

func TestIDVectors(t *testing.T) {
	v := load[subjectVectors](t, "subjects.json")
	for _, c := range v.IDs {
		if token, err := wire.EncodeID(c.id()); err != nil || token != *c.Token {
			t.Errorf("id %q (%s): token %q, error %v; want %q", c.id(), c.Name, token, err, *c.Token)
		}
		if id, err := wire.DecodeID(*c.Token); err != nil || id != c.id() {
			t.Errorf("token %q (%s): id %q, error %v; want %q", *c.Token, c.Name, id, err, c.id())
		}
	}
	for _, c := range v.RefusedIDs {
		if token, err := wire.EncodeID(c.id()); !errors.Is(err, wire.ErrID) {
			t.Errorf("id %s: token %q, error %v; want ErrID", c.Name, token, err)
		}
		for _, kind := range []wire.Kind{wire.KindUser, wire.KindTopic, wire.KindRead} {
			if s, err := new(wire.Subjects).Of(wire.Audience{Kind: kind, ID: c.id()}); !errors.Is(err, wire.ErrID) {
				t.Errorf("kind %d, id %s: subject %q, error %v; want ErrID", kind, c.Name, s, err)
			}
		}
	}
	for _, c := range v.RefusedTokens {
		token := join(c.Parts)
		if c.Token != nil {
			token = *c.Token
		}
		if id, err := wire.DecodeID(token); !errors.Is(err, wire.ErrIDToken) {
			t.Errorf("token %q (%s): id %q, error %v; want ErrIDToken", token, c.Name, id, err)
		}
	}
}

func TestSubjectVectors(t *testing.T) {
	v := load[subjectVectors](t, "subjects.json")
	var subjects wire.Subjects // the zero value is ready
	kinds := map[string]wire.Kind{
		"broadcast": wire.KindBroadcast, "user": wire.KindUser, "topic": wire.KindTopic, "read": wire.KindRead,
	}
	for _, c := range v.Audiences {
		a := wire.Audience{Kind: kinds[c.Kind], ID: c.ID}
		if got, err := subjects.Of(a); err != nil || got != c.Subject {
			t.Errorf("%s: subject %q, error %v; want %q", c.Name, got, err, c.Subject)
		}
		if got, err := subjects.Parse(0, c.Subject); err != nil || got != a {
			t.Errorf("%s: %q is for %+v, error %v; want %+v", c.Name, c.Subject, got, err, a)
		}
		if got := a.To(); got != c.To {
			t.Errorf("%s: to %q, want %q", c.Name, got, c.To)
		}
	}
	for _, c := range v.RefusedSubjects {
		subject := join(c.Parts)
		if c.Subject != nil {
			subject = *c.Subject
		}
		if a, err := subjects.Parse(0, subject); !errors.Is(err, wire.ErrSubject) && !errors.Is(err, wire.ErrIDToken) {
			t.Errorf("subject %q (%s) is for %+v, error %v", subject, c.Name, a, err)
		}
	}
	for _, kind := range []wire.Kind{0, 5, 255} {
		if s, err := subjects.Of(wire.Audience{Kind: kind, ID: "a"}); !errors.Is(err, wire.ErrSubject) {
			t.Errorf("kind %d: subject %q, error %v; want ErrSubject", kind, s, err)
		}
	}
}

func TestPrefixVectors(t *testing.T) {
	v := load[subjectVectors](t, "subjects.json")
	for _, c := range v.Prefixes {
		s, err := wire.NewSubjects(c.Prefix)
		if err != nil || s.Log(0) != c.Log {
			t.Errorf("prefix %q: log %q, error %v; want %q", c.Prefix, s.Log(0), err, c.Log)
		}
		if got, err := s.Of(wire.Broadcast()); err != nil || got != c.Broadcast {
			t.Errorf("prefix %q: broadcast %q, error %v; want %q", c.Prefix, got, err, c.Broadcast)
		}
		if a, err := s.Parse(0, c.Broadcast); err != nil || a != wire.Broadcast() {
			t.Errorf("prefix %q: %q is for %+v, error %v", c.Prefix, c.Broadcast, a, err)
		}
	}
	for _, c := range v.RefusedPrefixes {
		if _, err := wire.NewSubjects(c.Prefix); !errors.Is(err, wire.ErrPrefix) {
			t.Errorf("prefix %q (%s): error %v; want ErrPrefix", c.Prefix, c.Name, err)
		}
	}
}
