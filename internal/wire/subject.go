package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// DefaultPrefix is the first token of every subject unless configured otherwise.
const DefaultPrefix = "sv"

// MaxIDLen is the largest length of a user id or topic name, in bytes.
const MaxIDLen = 128

// Kind says to whom an entry of the log is addressed.
type Kind uint8

// The kinds of audience. KindRead is what a person has read: it is addressed to
// that person's own devices.
const (
	KindBroadcast Kind = iota + 1
	KindUser
	KindTopic
	KindRead
)

// Audience is who a message is for: everybody, one user, or one topic's members.
type Audience struct {
	Kind Kind
	ID   string // user id or topic, decoded; empty for a broadcast
}

// Broadcast, User and Topic make the audiences a publisher can choose.
func Broadcast() Audience         { return Audience{Kind: KindBroadcast} }
func User(uid string) Audience    { return Audience{Kind: KindUser, ID: uid} }
func Topic(topic string) Audience { return Audience{Kind: KindTopic, ID: topic} }

// To is the audience as an event frame names it. It does not repeat the user's
// id: a frame addressed to a user only ever reaches that user.
func (a Audience) To() string {
	switch a.Kind {
	case KindUser, KindRead:
		return "user"
	case KindTopic:
		return "topic:" + a.ID
	default:
		return "broadcast"
	}
}

// Errors of the subject grammar.
var (
	ErrID      = errors.New("wire: an id has 1 to 128 bytes")
	ErrIDToken = errors.New("wire: not an encoded id")
	ErrSubject = errors.New("wire: not a subject of the log")
	ErrPrefix  = errors.New("wire: a subject prefix is one or more tokens of [A-Za-z0-9_-], separated by dots")
)

// EncodeID turns an id into one subject token. An id of [A-Za-z0-9_-]{1,128}
// stands for itself; any other becomes '=' and unpadded base64url, so that no id
// can inject a dot or a wildcard into a subject.
func EncodeID(id string) (string, error) {
	if len(id) == 0 || len(id) > MaxIDLen {
		return "", ErrID
	}
	if plainID(id) {
		return id, nil
	}
	return "=" + base64.RawURLEncoding.EncodeToString([]byte(id)), nil
}

// DecodeID is the inverse of EncodeID. It refuses every token that EncodeID does
// not make, so an id has exactly one subject.
func DecodeID(token string) (string, error) {
	enc, encoded := strings.CutPrefix(token, "=")
	if !encoded {
		if len(token) == 0 || len(token) > MaxIDLen || !plainID(token) {
			return "", ErrIDToken
		}
		return token, nil
	}
	raw, err := decodeBase64(enc)
	if err != nil || len(raw) == 0 || len(raw) > MaxIDLen || plainID(string(raw)) {
		return "", ErrIDToken
	}
	return string(raw), nil
}

// decodeBase64 accepts only what RawURLEncoding makes. Strict alone would skip
// line feeds, so one value would have many texts.
func decodeBase64(text string) ([]byte, error) {
	if i := strings.IndexAny(text, "\r\n"); i >= 0 {
		return nil, base64.CorruptInputError(i)
	}
	return base64.RawURLEncoding.Strict().DecodeString(text)
}

func plainID(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Subjects names the subjects below one prefix. The zero value uses DefaultPrefix
// and a log of one partition.
type Subjects struct {
	prefix     string
	partitions int // 0 and 1: one
}

// NewSubjects checks a prefix; an empty one means DefaultPrefix.
func NewSubjects(prefix string) (Subjects, error) {
	for token := range strings.SplitSeq(prefix, ".") {
		if prefix != "" && (token == "" || !plainID(token)) {
			return Subjects{}, fmt.Errorf("%w: %q", ErrPrefix, prefix)
		}
	}
	return Subjects{prefix: prefix}, nil
}

// Prefix is the configured prefix.
func (s Subjects) Prefix() string {
	if s.prefix == "" {
		return DefaultPrefix
	}
	return s.prefix
}

// Partitioned is s with a log of so many partitions.
func (s Subjects) Partitioned(partitions int) Subjects {
	s.partitions = partitions
	return s
}

// Partitions is how many partitions the log has.
func (s Subjects) Partitions() int { return max(s.partitions, 1) }

// Log is the wildcard of all that one partition of the log stores. A log of one
// partition stores messages under the subjects that they are published to; NATS maps
// these subjects to those of a partition when there are several:
//
//	sv.ws.broadcast  sv.log.0.broadcast
//	sv.ws.user.ada   sv.log.<Partition>.user.ada
func (s Subjects) Log(partition int) string { return s.stem(partition) + ">" }

// stem is what the subjects of a partition begin with.
func (s Subjects) stem(partition int) string {
	if s.Partitions() == 1 {
		return s.Prefix() + ".ws."
	}
	return s.Prefix() + ".log." + strconv.Itoa(partition) + "."
}

// Partition is the partition of the log that holds what is addressed to an audience:
// of all that a person or a topic has, the same. It is what the function partition()
// of NATS's subject mapping says: FNV-1a of the id's token. Broadcasts are in 0.
func (s Subjects) Partition(a Audience) int {
	token, err := EncodeID(a.ID)
	if s.Partitions() == 1 || a.Kind == KindBroadcast || err != nil {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(token)) //nolint:errcheck // never fails
	return int(h.Sum32() % uint32(s.Partitions()))
}

// Of is the subject an audience is published to, or ErrID.
func (s Subjects) Of(a Audience) (string, error) {
	return a.under(s.Prefix() + ".ws.")
}

// Stored is the subject under which the log holds what is addressed to an audience.
func (s Subjects) Stored(a Audience) (string, error) {
	return a.under(s.stem(s.Partition(a)))
}

// Signal is the subject of what is not stored: an audience of broadcast, user or topic.
func (s Subjects) Signal(a Audience) (string, error) {
	if a.Kind == KindRead {
		return "", fmt.Errorf("%w: what was read is no signal", ErrSubject)
	}
	return a.under(s.Prefix() + ".signal.")
}

func (a Audience) under(stem string) (string, error) {
	if a.Kind == KindBroadcast {
		return stem + "broadcast", nil
	}
	word := a.Kind.token()
	if word == "" {
		return "", fmt.Errorf("%w: unknown kind %d", ErrSubject, a.Kind)
	}
	id, err := EncodeID(a.ID)
	if err != nil {
		return "", err
	}
	return stem + word + "." + id, nil
}

// Schedule is the subject in the partition of an audience that keeps a message for
// it until its time has come. Nobody follows these.
func (s Subjects) Schedule(a Audience, id string) (string, error) {
	token, err := EncodeID(id)
	if err != nil {
		return "", err
	}
	return s.stem(s.Partition(a)) + "schedule." + token, nil
}

// Control is the subject of orders to the edges: prefix.ctl.name.
func (s Subjects) Control(name string) string { return s.Prefix() + ".ctl." + name }

// TopicGate is where a service of the backend answers who may join which topic.
func (s Subjects) TopicGate() string { return s.Prefix() + ".auth.topic" }

func (k Kind) token() string {
	switch k {
	case KindUser:
		return "user"
	case KindTopic:
		return "topic"
	case KindRead:
		return "read"
	default:
		return ""
	}
}

// ErrSchedule: a message that waits for its time; it is for nobody yet.
var ErrSchedule = errors.New("wire: a scheduled message")

// Parse finds the audience of a subject stored in a partition of the log. Subjects
// such as "sv.ws.user.*" can be published to and are stored by NATS; they are refused
// here. Its error for a subject of Schedule is ErrSchedule.
func (s Subjects) Parse(partition int, subject string) (Audience, error) {
	rest, ok := strings.CutPrefix(subject, s.stem(partition))
	if !ok {
		return Audience{}, ErrSubject
	}
	if strings.HasPrefix(rest, "schedule.") {
		return Audience{}, ErrSchedule
	}
	return parseAudience(rest)
}

// ParseSignal finds the audience of a signal's subject.
func (s Subjects) ParseSignal(subject string) (Audience, error) {
	rest, ok := strings.CutPrefix(subject, s.Prefix()+".signal.")
	if !ok {
		return Audience{}, ErrSubject
	}
	a, err := parseAudience(rest)
	if a.Kind == KindRead {
		return Audience{}, ErrSubject
	}
	return a, err
}

func parseAudience(rest string) (Audience, error) {
	if rest == "broadcast" {
		return Broadcast(), nil
	}
	word, token, ok := strings.Cut(rest, ".")
	if !ok {
		return Audience{}, ErrSubject
	}
	var kind Kind
	switch word {
	case "user":
		kind = KindUser
	case "topic":
		kind = KindTopic
	case "read":
		kind = KindRead
	default:
		return Audience{}, ErrSubject
	}
	id, err := DecodeID(token)
	if err != nil {
		return Audience{}, fmt.Errorf("%w: %q", err, token)
	}
	return Audience{Kind: kind, ID: id}, nil
}
