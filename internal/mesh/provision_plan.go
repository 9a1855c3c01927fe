package mesh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Action is what provisioning does to a stream.
type Action string

// The actions. Replace removes a mirror of an earlier log and makes one of this log.
const (
	Create  Action = "create"
	Update  Action = "update"
	Keep    Action = "up to date"
	Remove  Action = "remove"
	Replace Action = "replace"
)

// Plan is what provisioning would do.
type Plan struct {
	Changes []Change
	Refused []string // what concerns no single stream

	first    wire.LogState // of the first partition, as it was found
	messages uint64        // in all partitions
}

// Change is what provisioning would do to one stream.
type Change struct {
	Stream  string
	Action  Action
	Fields  []Field
	Notes   []string // what to know about it
	Refused []string // why it is not done, and what to do instead

	config jetstream.StreamConfig
}

// Plan says what Provision would do, and changes nothing.
func (m *Mesh) Plan(ctx context.Context, cfg LogConfig) (*Plan, error) {
	refused, err := m.checkMapping(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := m.planStreams(ctx, cfg)
	if err != nil {
		return nil, err
	}
	plan.Refused = append(plan.Refused, refused...)
	return plan, nil
}

func (m *Mesh) planStreams(ctx context.Context, cfg LogConfig) (*Plan, error) {
	found, err := m.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking at the streams: %w", unavailable(err))
	}
	plan := &Plan{}
	plan.otherPartitions(m, found)
	targets := m.targets(cfg)
	wanted := map[string]bool{}
	for i := range targets {
		c, err := m.change(&targets[i], found)
		if err != nil {
			return nil, err
		}
		plan.Changes = append(plan.Changes, c)
		wanted[c.Stream] = true
		if info := found[c.Stream]; info != nil && targets[i].partitions > 0 && targets[i].mirrors == "" {
			plan.messages += info.State.Msgs
		}
	}
	if info := found[m.streamNameOf(0)]; info != nil {
		plan.first = stateOf(info)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !wanted[name] {
			if c, ours := m.leftover(found, name, cfg); ours {
				plan.Changes = append(plan.Changes, c)
			}
		}
	}
	return plan, nil
}

// find looks at the streams that are ours by name, and at those that store what the
// log is to store. Mirrors come first: what they hold, the log held before.
func (m *Mesh) find(ctx context.Context) (map[string]*jetstream.StreamInfo, error) {
	all, err := m.names(ctx)
	if err != nil {
		return nil, err
	}
	neighbours, err := m.names(ctx, jetstream.WithStreamListSubject(m.stored()))
	if err != nil {
		return nil, err
	}
	var mirrors, rest []string
	for _, name := range all {
		switch _, mirror, ours := m.partOf(name); {
		case ours && mirror:
			mirrors = append(mirrors, name)
		case ours, name == "KV_"+m.RevokedBucket(), slices.Contains(neighbours, name):
			rest = append(rest, name)
		}
	}
	found := map[string]*jetstream.StreamInfo{}
	for _, name := range append(mirrors, rest...) {
		info, err := m.info(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // just removed
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found[name] = info
	}
	return found, nil
}

func (m *Mesh) names(ctx context.Context, opts ...jetstream.StreamListOpt) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var all []string
	list := m.pub.js.StreamNames(ctx, opts...)
	for name := range list.Name() {
		all = append(all, name)
	}
	return all, list.Err()
}

func (m *Mesh) info(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	s, err := m.pub.js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// change compares a stream with what it is to be like.
func (m *Mesh) change(t *target, found map[string]*jetstream.StreamInfo) (c Change, err error) {
	c = Change{Stream: t.name, Action: Create}
	info := found[t.name]
	var from jetstream.StreamConfig
	if info != nil {
		from = info.Config
		c.Action = Update
	}
	if info != nil && t.mirrors != "" && t.isMirror(info.Config) && stale(info, found[t.mirrors]) {
		c.Action = Replace
		if info.State.Msgs > 0 {
			c.lose(t.cfg, fmt.Sprintf("it holds %s of a log that %s no longer is", count(info.State.Msgs, "message"), t.mirrors),
				"keep them by restoring the log from it")
		}
		from = jetstream.StreamConfig{}
	}
	if c.config, err = t.config(from); err != nil {
		return c, err
	}
	if c.Fields, err = differences(from, c.config); err != nil {
		return c, err
	}
	if c.Action == Update {
		if len(c.Fields) == 0 {
			c.Action = Keep
		}
		t.judge(&c, info)
	}
	if c.Action == Create {
		t.judgeNeighbours(&c, found)
	}
	return c, nil
}

// otherPartitions refuses to change the number of partitions of a log that holds
// messages: those of a person would be looked for where they are not.
func (p *Plan) otherPartitions(m *Mesh, found map[string]*jetstream.StreamInfo) {
	want := m.cfg.Subjects.Partitions()
	var held []string
	var messages uint64
	had := 0
	for _, name := range slices.Sorted(maps.Keys(found)) {
		part, mirror, ok := m.partOf(name)
		if !ok || mirror || !m.isLog(found[name]) {
			continue
		}
		n := partitionsOf(part, found[name])
		if n == want || n == 0 || found[name].State.Msgs == 0 {
			continue
		}
		had = n
		held = append(held, name)
		messages += found[name].State.Msgs
	}
	if len(held) > 0 {
		p.Refused = append(p.Refused, fmt.Sprintf("WS_PARTITIONS is %d, but a log of %s holds %s (%s), and with another number a person's would be "+
			"looked for in the wrong place: set WS_PARTITIONS=%d; or begin an empty log under another WS_SUBJECT_PREFIX; or remove the old one and all "+
			"that it holds with `nats stream rm`", want, count(had, "partition"), count(messages, "message"), strings.Join(held, ", "), had))
	}
}

// leftover says what becomes of a stream of ours that the settings do not ask for: a
// mirror that was switched off, an empty log of another number of partitions.
func (m *Mesh) leftover(found map[string]*jetstream.StreamInfo, name string, cfg LogConfig) (c Change, ours bool) {
	part, mirror, ok := m.partOf(name)
	info := found[name]
	c = Change{Stream: name, Action: Remove}
	switch {
	case !ok:
		return c, false
	case mirror:
		of := strings.Replace(name, "_LOG_READ", "_LOG", 1)
		if info.Config.Mirror == nil || info.Config.Mirror.Name != of {
			return c, false // another's, or one that somebody has made a log of
		}
		c.Notes = append(c.Notes, "a mirror that the settings do not ask for; what it holds is a copy")
		if info.State.Msgs > 0 && stale(info, found[of]) {
			c.Notes = nil
			c.lose(cfg, fmt.Sprintf("it holds %s that %s does not have", count(info.State.Msgs, "message"), of), "keep them by restoring the log from it")
		}
		return c, true
	case !m.isLog(info) || info.State.Msgs > 0 || partitionsOf(part, info) == 0:
		return c, false // if it is of a log of ours, otherPartitions has refused
	default:
		c.Notes = append(c.Notes, fmt.Sprintf("it is empty, and of a log of %s", count(partitionsOf(part, info), "partition")))
		return c, true
	}
}

// UpToDate reports whether there is nothing to do.
func (p *Plan) UpToDate() bool {
	return !slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action != Keep })
}

// Err is nil if nothing is refused; otherwise it wraps ErrRefused and says why.
func (p *Plan) Err() error {
	errs := make([]error, 0, len(p.Refused))
	for _, r := range p.Refused {
		errs = append(errs, errors.New(r))
	}
	for _, c := range p.Changes {
		for _, r := range c.Refused {
			errs = append(errs, fmt.Errorf("%s: %s", c.Stream, r))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRefused, errors.Join(errs...))
}

// String is the plan for people: a line for each stream, and what changes below it. Of
// a partition only that is said in which it differs from the one before.
func (p *Plan) String() string {
	var b strings.Builder
	for _, r := range p.Refused {
		fmt.Fprintf(&b, "refused: %s\n", r)
	}
	var full *Change // the last one whose fields were all said
	for i := range p.Changes {
		c := &p.Changes[i]
		fields := c.Fields
		fmt.Fprintf(&b, "%s: %s", c.Stream, c.Action)
		if full != nil && full.like(c) {
			fmt.Fprintf(&b, ", like %s", full.Stream)
			fields = slices.DeleteFunc(slices.Clone(fields), func(f Field) bool { return slices.Contains(full.Fields, f) })
		} else if len(fields) > 0 {
			full = c
		}
		b.WriteString("\n")
		for _, f := range fields {
			if c.Action == Create || c.Action == Replace {
				fmt.Fprintf(&b, "  %s: %s\n", f.Name, f.New)
			} else {
				fmt.Fprintf(&b, "  %s: %s → %s\n", f.Name, f.Old, f.New)
			}
		}
		for _, n := range c.Notes {
			fmt.Fprintf(&b, "  note: %s\n", n)
		}
		for _, r := range c.Refused {
			fmt.Fprintf(&b, "  refused: %s\n", r)
		}
	}
	return b.String()
}

// like reports whether two changes differ at most in which partition they are of.
func (c *Change) like(other *Change) bool {
	return c.Action == other.Action && len(c.Fields) > 0 && slices.EqualFunc(c.Fields, other.Fields, func(a, b Field) bool {
		return a == b || a.Name == b.Name && (a.Name == "subjects" || a.Name == "mirror")
	})
}

func count[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
