package mesh

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Field is a part of a stream's configuration that changes, under the name that
// JetStream has for it. Values are as people write them.
type Field struct{ Name, Old, New string }

// differences are the fields in which two configurations differ, sorted by name.
func differences(from, to jetstream.StreamConfig) ([]Field, error) {
	before, err := asFields(from)
	if err != nil {
		return nil, err
	}
	after, err := asFields(to)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	delete(names, "name")
	var all []Field
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f := Field{name, readable(name, before[name]), readable(name, after[name])}
		if f.Old != f.New {
			all = append(all, f)
		}
	}
	return all, nil
}

func asFields(c jetstream.StreamConfig) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	return fields, json.Unmarshal(text, &fields)
}

// readable is a value as people write it. JetStream leaves out what is not set.
func readable(name string, v json.RawMessage) string {
	text := string(v)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		switch {
		case strings.HasPrefix(name, "max_") && n <= 0:
			return "no limit"
		case name == "max_age", name == "duplicate_window":
			return time.Duration(n).String()
		case name == "max_bytes", name == "max_msg_size":
			return bytesText(n)
		}
		return text
	}
	switch {
	case text == "" && (strings.HasPrefix(name, "allow_") || strings.HasPrefix(name, "deny_") || name == "no_ack"):
		return "false"
	case text == "" && strings.HasPrefix(name, "max_"):
		return "no limit"
	case text == "", text == "null", text == "{}":
		return "none"
	}
	if name == "mirror" {
		return mirrorText(v)
	}
	var plain string
	if json.Unmarshal(v, &plain) == nil {
		return plain
	}
	var pairs map[string]string
	if json.Unmarshal(v, &pairs) == nil {
		return pairsText(pairs)
	}
	var list []string
	if json.Unmarshal(v, &list) == nil {
		return strings.Join(list, ", ")
	}
	return text
}

// mirrorText is the stream that is mirrored, and the subjects if not all are.
func mirrorText(v json.RawMessage) string {
	var of jetstream.StreamSource
	if json.Unmarshal(v, &of) != nil || len(of.SubjectTransforms) == 0 {
		return of.Name
	}
	var subjects []string
	for _, s := range of.SubjectTransforms {
		subjects = append(subjects, s.Source)
	}
	return fmt.Sprintf("%s (%s)", of.Name, strings.Join(subjects, ", "))
}

// pairsText leaves out what the server itself has put into metadata.
func pairsText(pairs map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(pairs)) {
		if !strings.HasPrefix(k, "_nats.") {
			all = append(all, k+"="+pairs[k])
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

func bytesText(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d%s", n/u.size, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// summary is what changes, in one line.
func (c *Change) summary() string {
	var all []string
	for _, f := range c.Fields {
		if c.Action == Update {
			all = append(all, fmt.Sprintf("%s: %s → %s", f.Name, f.Old, f.New))
		}
	}
	return strings.Join(all, "; ")
}
