package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// allowLoss is what to set for a loss that is meant.
const allowLoss = "to lose them nevertheless, set WS_ALLOW_DATA_LOSS=true for this one run"

// refuse says why a change is not made, and what to do instead.
func (c *Change) refuse(why, instead string) {
	c.Refused = append(c.Refused, why+": "+instead)
}

// lose refuses a change that loses messages, unless that is meant.
func (c *Change) lose(cfg LogConfig, what, instead string) {
	if cfg.AllowLoss {
		c.Notes = append(c.Notes, "stored messages are lost, as WS_ALLOW_DATA_LOSS says: "+what)
		return
	}
	c.refuse(what, instead+"; "+allowLoss)
}

// judge refuses what loses messages or is not possible, and says what else is to be
// known of an update.
func (t *target) judge(c *Change, info *jetstream.StreamInfo) {
	from := info.Config
	if t.judgeOwner(c, from); len(c.Refused) > 0 {
		return // what is not ours need not be compared with the settings
	}
	t.judgeFixed(c, from)
	t.judgeRetention(c, info)
	if to := c.config.RePublish; to != nil {
		c.Notes = append(c.Notes, fmt.Sprintf("what it stores is sent to %s as well, which is left as it is: whoever may hear that reads it", to.Destination))
	}
	if had, has := from.Replicas, c.config.Replicas; has < had {
		c.Notes = append(c.Notes, fmt.Sprintf("fewer replicas: nothing that is stored is lost by it, but then it takes the failure of %s to stop it, not of %d",
			count((has+1)/2, "server"), (had+1)/2))
	}
}

// judgeOwner refuses a stream that has our name and is another's.
func (t *target) judgeOwner(c *Change, from jetstream.StreamConfig) {
	var others []string
	for _, s := range from.Subjects {
		if !slices.ContainsFunc(t.subjects, func(ours string) bool { return covers(ours, s) }) {
			others = append(others, s)
		}
	}
	is := ""
	switch {
	case t.mirrors != "" && !t.isMirror(from):
		is = "is no mirror of " + t.mirrors
	case t.mirrors == "" && from.Mirror != nil:
		is = "is a mirror of " + from.Mirror.Name
	case len(from.Sources) > 0 || from.SubjectTransform != nil:
		is = "sources or transforms messages"
	case from.Retention != jetstream.LimitsPolicy:
		is = fmt.Sprintf("has %s retention, and so removes what was consumed", strings.ToLower(from.Retention.String()))
	case len(others) > 0:
		is = fmt.Sprintf("stores %s, which would not be stored any more", strings.Join(others, ", "))
	default:
		return
	}
	remedy := "choose another WS_SUBJECT_PREFIX, or remove the stream with `nats stream rm` if nobody needs it"
	// A standby's copy of the log, or one that is a mirror no longer: then NATS has given it
	// its name for a subject. It may be all that is left of the log.
	if t.mirrors == "" && (from.Mirror != nil && from.Mirror.Name == from.Name || slices.Equal(others, []string{from.Name})) {
		remedy = fmt.Sprintf("if this copy is to be the log from now on: `nats stream edit %s --no-mirror --subjects '%s'`, and provision again", from.Name, strings.Join(t.subjects, "' --subjects '"))
	}
	c.refuse("there is a stream of this name that "+is, remedy)
}

// judgeFixed refuses what JetStream cannot change in a stream that exists.
func (t *target) judgeFixed(c *Change, from jetstream.StreamConfig) {
	const instead = "copy the stream with `nats stream backup`, remove it, and provision anew"
	to := c.config
	if from.Storage != to.Storage {
		c.refuse(fmt.Sprintf("its storage is %s and is to be %s, which cannot be changed without losing what it holds",
			strings.ToLower(from.Storage.String()), strings.ToLower(to.Storage.String())), instead)
	}
	for _, f := range []struct {
		name    string
		is, was bool
	}{{"sealed", to.Sealed, from.Sealed}, {"deny_delete", to.DenyDelete, from.DenyDelete}, {"deny_purge", to.DenyPurge, from.DenyPurge}} {
		if f.was && (!f.is || f.name == "sealed") {
			c.refuse("it was made with "+f.name+", which JetStream does not take back, and which does not go with what it is for", instead)
		}
	}
	if from.AllowMsgCounter {
		c.refuse("it was made for counters, which JetStream does not take back", instead)
	}
}

// judgeAge finds whether a shorter age would remove messages. What is older than the log
// keeps them waits for its time, is not removed, and says nothing of the others: those may be
// as old as they are kept.
func (t *target) judgeAge(c *Change, info *jetstream.StreamInfo) {
	kept, to, first := info.Config.MaxAge, c.config.MaxAge, info.State.FirstTime
	age := serverTime(info).Sub(first)
	if !shrinks(int64(kept), int64(to)) || age <= to {
		return
	}
	what := fmt.Sprintf("max_age %v would remove messages: the oldest is of %s", to, first.UTC().Format(time.RFC3339))
	enough := age.Truncate(time.Second) + time.Hour
	if kept > 0 && age > kept {
		what = fmt.Sprintf("max_age %v may remove messages: they are kept for %v, and the oldest, of %s, waits for its time and stays", to, kept, first.UTC().Format(time.RFC3339))
	}
	if kept > 0 {
		enough = min(enough, kept)
	}
	c.lose(t.cfg, what, fmt.Sprintf("set WS_HISTORY_AGE to %v or more", enough))
}

// judgeRetention finds what an update would remove of what is stored.
func (t *target) judgeRetention(c *Change, info *jetstream.StreamInfo) {
	from, to, state := info.Config, c.config, &info.State
	if state.Msgs == 0 {
		return
	}
	t.judgeAge(c, info)
	if shrinks(from.MaxBytes, to.MaxBytes) && state.Bytes > uint64(to.MaxBytes) {
		c.lose(t.cfg, fmt.Sprintf("max_bytes %s would remove messages: it holds %d bytes", bytesText(to.MaxBytes), state.Bytes),
			fmt.Sprintf("set WS_HISTORY_BYTES to %d or more", state.Bytes*uint64(max(t.partitions, 1))))
	}
	if shrinks(from.MaxMsgs, to.MaxMsgs) && state.Msgs > uint64(to.MaxMsgs) {
		c.lose(t.cfg, fmt.Sprintf("max_msgs %d would remove messages: it holds %d", to.MaxMsgs, state.Msgs), "leave the definition as it was")
	}
	if shrinks(from.MaxMsgsPerSubject, to.MaxMsgsPerSubject) && state.Msgs > state.NumSubjects*uint64(to.MaxMsgsPerSubject) {
		c.lose(t.cfg, fmt.Sprintf("max_msgs_per_subject %d would remove messages: it holds %d of %s", to.MaxMsgsPerSubject, state.Msgs, count(state.NumSubjects, "subject")),
			"leave the definition as it was")
	}
}

// shrinks compares two limits, of which 0 and below are none.
func shrinks(from, to int64) bool { return to > 0 && (from <= 0 || to < from) }

// judgeNeighbours refuses to create a stream whose subjects others store already, which
// JetStream does not allow.
func (t *target) judgeNeighbours(c *Change, found map[string]*jetstream.StreamInfo) {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		for _, theirs := range found[name].Config.Subjects {
			if slices.ContainsFunc(t.subjects, func(ours string) bool { return overlap(ours, theirs) }) {
				c.refuse(fmt.Sprintf("the stream %s stores %s already", name, theirs),
					"take that from its subjects, or choose another WS_SUBJECT_PREFIX")
			}
		}
	}
}

func (t *target) isMirror(c jetstream.StreamConfig) bool {
	return c.Mirror != nil && c.Mirror.Name == t.mirrors
}

// stale reports whether a mirror is of an earlier life of its log: it never catches
// up, and answers reads with what the log does not hold.
func stale(mirror, log *jetstream.StreamInfo) bool {
	return mirror.State.LastSeq > 0 &&
		(log == nil || mirror.Created.Before(log.Created) || mirror.State.LastSeq > log.State.LastSeq)
}

// covers reports whether a pattern of subjects has all of another.
func covers(pattern, other string) bool {
	p, o := strings.Split(pattern, "."), strings.Split(other, ".")
	for i, token := range p {
		switch {
		case i >= len(o):
			return false
		case token == ">":
			return true
		case o[i] == ">", token != "*" && token != o[i]:
			return false
		}
	}
	return len(p) == len(o)
}

// overlap reports whether a subject can be in both of two patterns.
func overlap(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		switch {
		case x[i] == ">", y[i] == ">":
			return true
		case x[i] != "*" && y[i] != "*" && x[i] != y[i]:
			return false
		}
	}
	return len(x) == len(y)
}
