package credentials

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
	definitions "github.com/socialvibes/vibemesh/nats"
)

// Role is a row of nats/permissions.json.
type Role struct {
	Name      string     `json:"name"`
	What      string     `json:"what"`    // it does
	Account   string     `json:"account"` // "backends": that apart; empty: that of the log
	Publish   []rule     `json:"publish"`
	Subscribe []rule     `json:"subscribe"`
	Responses *responses `json:"responses"`
	As        []string   `json:"as"` // all that these roles may, but for their inboxes
}

type rule struct {
	Subject string `json:"subject"`
	When    string `json:"when"` // "several": for a log of several partitions only
	Why     string `json:"why"`
}

// responses lets a role answer on the reply subject of what it was sent.
type responses struct {
	Max     int      `json:"max"`
	Expires duration `json:"expires"`
	Why     string   `json:"why"`
}

type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

// Allowed is what a role may say to NATS, and hear from it. All else is refused.
type Allowed struct {
	Publish, Subscribe []string

	// Answers is how many messages may go to each reply subject that the role was sent,
	// and AnswersFor for how long; 0: none.
	Answers    int
	AnswersFor time.Duration
}

// Roles are all roles, in the order of the file.
func Roles() ([]Role, error) {
	var file struct {
		Comment []string `json:"comment"`
		Roles   []Role   `json:"roles"`
	}
	dec := json.NewDecoder(strings.NewReader(string(definitions.Permissions)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("nats/permissions.json: %w", err)
	}
	return file.Roles, nil
}

// find is a role by its name. Its error lists the roles that there are.
func find(name string) (Role, error) {
	all, err := Roles()
	if err != nil {
		return Role{}, err
	}
	var names []string
	for _, r := range all {
		if r.Name == name {
			return r, nil
		}
		names = append(names, r.Name)
	}
	return Role{}, fmt.Errorf("no role is called %q: they are %s", name, strings.Join(names, ", "))
}

// Permissions are those of a role, for a log under some subjects.
func Permissions(role string, s wire.Subjects) (Allowed, error) {
	return permissions(role, role, s)
}

// permissions are those of a role in the name of another, whose inbox it has.
func permissions(name, as string, s wire.Subjects) (a Allowed, err error) {
	r, err := find(name)
	if err != nil {
		return a, err
	}
	for _, other := range r.As {
		part, err := permissions(other, as, s)
		if err != nil {
			return a, err
		}
		a.Publish, a.Subscribe = append(a.Publish, part.Publish...), append(a.Subscribe, part.Subscribe...)
	}
	for _, p := range r.Publish {
		a.Publish = append(a.Publish, p.subjects(as, s)...)
	}
	for _, p := range r.Subscribe {
		a.Subscribe = append(a.Subscribe, p.subjects(as, s)...)
	}
	if r.Responses != nil {
		a.Answers, a.AnswersFor = r.Responses.Max, time.Duration(r.Responses.Expires)
	}
	slices.Sort(a.Publish)
	slices.Sort(a.Subscribe)
	a.Publish, a.Subscribe = slices.Compact(a.Publish), slices.Compact(a.Subscribe)
	return a, nil
}

// subjects are those of a rule: several, where it names each stream of the log.
func (p *rule) subjects(role string, s wire.Subjects) []string {
	several := s.Partitions() > 1
	if p.When == "several" && !several {
		return nil
	}
	base := strings.ToUpper(strings.ReplaceAll(s.Prefix(), ".", "_"))
	stored := s.Prefix() + ".ws"
	suffixes := []string{""}
	if several {
		stored = s.Prefix() + ".log.*"
		suffixes = nil
		for i := range s.Partitions() {
			suffixes = append(suffixes, "_"+strconv.Itoa(i))
		}
		if strings.Contains(p.Subject, "STREAM.DELETE") {
			suffixes = append(suffixes, "") // the empty log of one partition that was there before
		}
	}
	subject := strings.NewReplacer("{role}", role, "{prefix}", s.Prefix(), "{stored}", stored, "{revoked}", base+"_REVOKED").Replace(p.Subject)
	var all []string
	for _, suffix := range suffixes {
		named := strings.NewReplacer("{log}", base+"_LOG"+suffix, "{mirror}", base+"_LOG_READ"+suffix).Replace(subject)
		if !slices.Contains(all, named) {
			all = append(all, named)
		}
	}
	return all
}
