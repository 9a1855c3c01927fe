package mesh

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// findRole finds whose user this is by the only inbox that it has, where that is not
// known by its name.
func (e *examiner) findRole(ctx context.Context) {
	if e.sure || e.open {
		return
	}
	var own []string
	for _, r := range e.cfg.Roles {
		if denied, err := e.listen(ctx, "_INBOX_"+r+".doctor"); err == nil && denied == nil {
			own = append(own, r)
		}
	}
	if len(own) == 1 {
		e.role = own[0]
	}
}

// ask sends a message and waits for its answer. denied is the server's refusal to let
// this user send it, or listen for the answer; without wait none is waited for.
func (e *examiner) ask(ctx context.Context, subject, body string, header nats.Header, wait bool) (answer *nats.Msg, denied, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	before := e.nc.LastError()
	sub, err := e.nc.SubscribeSync("_INBOX_" + e.role + ".doctor." + rand.Text())
	if err != nil {
		return nil, nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is closed
	if err := e.nc.PublishMsg(&nats.Msg{Subject: subject, Reply: sub.Subject, Header: header, Data: []byte(body)}); err != nil {
		return nil, nil, err
	}
	// The server says what it refuses before it answers the ping of the flush.
	if err := e.nc.FlushWithContext(ctx); err != nil {
		return nil, nil, err
	}
	if denied := e.nc.LastError(); denied != before && errors.Is(denied, nats.ErrPermissionViolation) {
		return nil, denied, nil
	}
	if !wait {
		return nil, nil, nil
	}
	answer, err = sub.NextMsgWithContext(ctx)
	return answer, nil, err
}

// listen subscribes for a moment, to see whether it may.
func (e *examiner) listen(ctx context.Context, subject string) (denied, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	before := e.nc.LastError()
	sub, err := e.nc.SubscribeSync(subject)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection is closed
	if err := e.nc.FlushWithContext(ctx); err != nil {
		return nil, err
	}
	if denied := e.nc.LastError(); denied != before && errors.Is(denied, nats.ErrPermissionViolation) {
		return denied, nil
	}
	return nil, nil
}

const noJetStream = "turn JetStream on in the server (jetstream { store_dir: … }) and for the account of this user"

// noLeader is said by a cluster that is there, and cannot decide anything.
const noLeader = "the cluster has no leader: bring a majority of its servers back, with their disks; each one's log says whom it misses"

// jetStream finds whether there is any. Who may not ask sees it by the log's answer.
func (e *examiner) jetStream(ctx context.Context) bool {
	const check = "nats jetstream"
	answer, denied, err := e.ask(ctx, "$JS.API.INFO", "", nil, true)
	var info struct {
		jetstream.AccountInfo
		Error *jetstream.APIError `json:"error"`
	}
	switch {
	case denied != nil:
		e.skip(check, "this user may not ask; the log's answer below tells")
		return true
	case errors.Is(err, nats.ErrNoResponders):
		e.fail(check, "JetStream is off", noJetStream)
	case err != nil:
		e.fail(check, "JetStream does not answer: "+err.Error(), "look at the server's log: is JetStream on, and has the cluster a leader?")
	case json.Unmarshal(answer.Data, &info) != nil:
		e.fail(check, "JetStream's answer cannot be read", "")
	case info.Error != nil && info.Error.ErrorCode == errNotAvailable:
		e.fail(check, "JetStream: "+info.Error.Description, noLeader)
	case info.Error != nil:
		e.fail(check, "JetStream: "+info.Error.Description, noJetStream)
	default:
		limit := "no limit"
		if n := info.Limits.MaxStore; n > 0 {
			limit = bytesText(n)
			if info.Store > uint64(n)/10*9 {
				e.warn(check, fmt.Sprintf("%d of the %d bytes that the account may store are used", info.Store, n),
					"raise the account's limit, or lower WS_HISTORY_AGE or WS_HISTORY_BYTES: a full log takes nothing more")
			}
		}
		e.ok(check, "%s, storage of the account: %s", count(info.Streams, "stream"), limit)
		return true
	}
	return false
}

// rights tries every subject that the role needs, and some that it must not need.
func (e *examiner) rights(ctx context.Context) {
	check := "nats rights"
	publish, subscribe, err := e.cfg.Rights(e.role)
	if err != nil {
		e.fail(check, err.Error(), "give one of them as --role")
		return
	}
	var missing []string
	tried, untried := 0, 0
	for _, pattern := range publish {
		for _, p := range e.probes(pattern) {
			if !p.safe {
				untried++
				continue
			}
			tried++
			_, denied, err := e.ask(ctx, p.subject, p.body, p.header, false)
			if err != nil {
				e.fail(check, err.Error(), "look at the server's log")
				return
			}
			if denied != nil && !slices.Contains(missing, "publish to "+pattern) {
				missing = append(missing, "publish to "+pattern)
			}
		}
	}
	for _, subject := range subscribe {
		tried++
		denied, err := e.listen(ctx, subject)
		if err != nil {
			e.fail(check, err.Error(), "look at the server's log")
			return
		}
		if denied != nil {
			missing = append(missing, "subscribe to "+subject)
		}
	}
	if len(missing) > 0 {
		e.fail(check, fmt.Sprintf("a user of the role %s must be able to %s", e.role, strings.Join(missing, ", ")),
			"make the credentials anew with `vibemesh credentials` (nats/permissions.json), with --prefix and --partitions as the mesh has them; or say with --role whose credentials these are")
	} else {
		without := ""
		if untried > 0 {
			without = fmt.Sprintf(" (%s that would do something not tried)", count(untried, "subject"))
		}
		e.ok(check, "all %d that the role %s needs%s", tried, e.role, without)
	}
	e.tooMany(ctx, publish, subscribe)
	e.stored(ctx, publish)
}

// probe is a message that finds whether it may be published, and does nothing.
type probe struct {
	subject, body string
	header        nats.Header
	safe          bool // false: there is no way to try it without doing something
}

// probes are what to publish to try a pattern of subjects.
func (e *examiner) probes(pattern string) (all []probe) {
	prefix := e.cfg.Subjects.Prefix()
	fill := func(s string) string {
		tokens := strings.Split(s, ".")
		for i, t := range tokens {
			if t == "*" || t == ">" {
				tokens[i] = rand.Text()
			}
		}
		return strings.Join(tokens, ".")
	}
	switch {
	case pattern == prefix+".ws.>":
		for _, s := range []string{"broadcast", "user.*", "topic.*", "schedule.*"} {
			all = append(all, e.probes(prefix+".ws."+s)...)
		}
		return all
	case strings.HasPrefix(pattern, prefix+".log.*."):
		// What is published is mapped to the partition before it is judged.
		return e.probes(prefix + ".ws." + strings.TrimPrefix(pattern, prefix+".log.*."))
	case strings.HasPrefix(pattern, prefix+".ws."), strings.HasPrefix(pattern, prefix+".log."), strings.HasPrefix(pattern, "$KV."):
		// A stream refuses what is said to be for another.
		return []probe{{fill(pattern), "", nats.Header{jetstream.ExpectedStreamHeader: {rand.Text()}}, true}}
	case strings.HasPrefix(pattern, "$JS.API."):
		// What is not JSON is refused; but where nothing is expected, nobody promises that
		// the body is looked at.
		verb := strings.Split(pattern, ".")
		destroys := slices.ContainsFunc(verb, func(t string) bool { return t == "DELETE" || t == "PURGE" || t == "SNAPSHOT" || t == "RESTORE" }) &&
			verb[len(verb)-1] != "*" // a name of its own, which nothing has
		return []probe{{fill(pattern), "?", nil, !destroys}}
	case strings.HasPrefix(pattern, prefix+".signal."), strings.HasPrefix(pattern, "_INBOX"), strings.HasPrefix(pattern, "$JS.FC."),
		strings.HasPrefix(pattern, "$SRV."), strings.HasPrefix(pattern, "$SYS.REQ.USER."):
		return []probe{{fill(pattern), "", nil, true}}
	}
	return []probe{{subject: pattern}} // others act on it: orders, questions
}

// tooMany warns of rights that the role does not need and that reach everybody's
// messages.
func (e *examiner) tooMany(ctx context.Context, publish, subscribe []string) {
	if e.open {
		return // everybody may do everything, which was said
	}
	const check = "nats rights"
	prefix, m := e.cfg.Subjects.Prefix(), e.mesh
	var extra []string
	has := func(patterns []string, subject string) bool {
		stored := strings.Replace(subject, e.cfg.Subjects.Prefix()+".ws.", e.cfg.Subjects.Prefix()+".log.0.", 1)
		return slices.ContainsFunc(patterns, func(p string) bool { return overlap(p, subject) || overlap(p, stored) })
	}
	for _, s := range []struct{ subject, what string }{
		{prefix + ".ws.>", "read what is published"}, {prefix + ".log.>", "read what is published"}, {"_INBOX.>", "read the answers to others"},
	} {
		if has(subscribe, s.subject) {
			continue
		}
		if denied, err := e.listen(ctx, s.subject); err == nil && denied == nil {
			extra = append(extra, fmt.Sprintf("%s (subscribe to %s)", s.what, s.subject))
		}
	}
	for _, p := range []struct{ subject, what string }{
		{"$JS.API.STREAM.DELETE." + rand.Text(), "delete streams"}, // of a name that none has
		{"$JS.API.STREAM.MSG.GET." + m.streamNameOf(0), "read the log"},
		{prefix + ".ws.user." + rand.Text(), "publish to people"},
	} {
		if has(publish, p.subject) {
			continue
		}
		probes := e.probes(p.subject)
		if strings.Contains(p.subject, "STREAM.DELETE") {
			probes = []probe{{p.subject, "?", nil, true}}
		}
		if _, denied, err := e.ask(ctx, probes[0].subject, probes[0].body, probes[0].header, false); err == nil && denied == nil {
			extra = append(extra, p.what)
		}
	}
	if len(extra) > 0 {
		e.warn(check, fmt.Sprintf("this user may also %s, which the role %s does not need", strings.Join(extra, ", "), e.role),
			"give it credentials of its own role (`vibemesh credentials`); or say with --role whose these are")
	}
}

// stored finds whether something takes messages: it publishes one that the log refuses.
func (e *examiner) stored(ctx context.Context, publish []string) {
	const check = "nats log"
	subject := e.cfg.Subjects.Prefix() + ".ws.user." + rand.Text()
	stored := strings.Replace(subject, ".ws.", ".log.0.", 1) // where it has partitions
	if !slices.ContainsFunc(publish, func(p string) bool { return covers(p, subject) || covers(p, stored) }) {
		return // it is not this role's to publish
	}
	answer, denied, err := e.ask(ctx, subject, "", nats.Header{jetstream.ExpectedStreamHeader: {rand.Text()}}, true)
	var ack struct {
		Error *jetstream.APIError `json:"error"`
	}
	const provision = "create the log with `vibemesh provision`, with the WS_SUBJECT_PREFIX and WS_PARTITIONS that publishers use"
	switch {
	case denied != nil:
		e.skip(check, "this user may not publish to "+e.cfg.Subjects.Prefix()+".ws.user.*")
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
		e.fail(check, "nothing stores what is published to "+e.cfg.Subjects.Prefix()+".ws.>", provision)
	case err != nil:
		e.fail(check, err.Error(), "look at the server's log")
	case json.Unmarshal(answer.Data, &ack) != nil || ack.Error == nil || ack.Error.ErrorCode != errOtherStream:
		e.fail(check, fmt.Sprintf("what answers at %s is not the log: %.100q", subject, answer.Data), "let nothing else subscribe to "+e.cfg.Subjects.Prefix()+".ws.>")
	default:
		e.ok(check, "it answers what is published (a probe that it refuses, so nothing is stored)")
	}
}

// errOtherStream is JetStream's refusal of a message that expects another stream.
const errOtherStream jetstream.ErrorCode = 10060

// clock compares the server's clock with ours, which was read around its answer.
func (e *examiner) clock(theirs, before, after time.Time) {
	const check = "nats clock"
	ours := before.Add(after.Sub(before) / 2)
	off := theirs.Sub(ours).Round(time.Millisecond)
	text := fmt.Sprintf("the server's clock is %v ahead of this machine's", off)
	if off < 0 {
		text = fmt.Sprintf("the server's clock is %v behind this machine's", -off)
	}
	const fix = "set the clocks by NTP (chrony, systemd-timesyncd): schedules, lifetimes and the latency metrics go by them"
	switch off = off.Abs(); {
	case off >= clockFailure:
		e.fail(check, text, fix)
	case off >= clockWarning+after.Sub(before)/2:
		e.warn(check, text, fix)
	default:
		e.ok(check, "the server's and this machine's agree within %v", clockWarning)
	}
}
