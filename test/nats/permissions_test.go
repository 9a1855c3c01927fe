package nats_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/credentials"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// row says which roles may do something, and so that all others may not.
type row struct {
	subject string // {log} and {mirror}: of a stream of the log
	roles   string // that may; with several partitions those of several, unless that is empty
	several string
}

// nobody stands in for no roles in row.several, which is otherwise like row.roles.
const nobody = "-"

// published is all that somebody could want to publish.
var published = []row{
	// The log, under the subjects that publishers know and under those that it stores.
	{"sv.ws.broadcast", "backend api run", "backend api run provision"},
	{"sv.ws.user.ada", "backend api run", ""},
	{"sv.ws.topic.news", "backend api run", ""},
	{"sv.ws.schedule.id", "backend api run", ""},
	{"sv.ws.read.ada", "backend edge api run", ""},
	{"sv.ws.probe.id", "backend provision run", ""},
	{"sv.ws.other.id", "backend", ""},
	{"sv.ws.user", "backend", ""},
	{"sv.ws.user.ada.more", "backend", ""},
	{"sv.log.0.broadcast", "", "api run provision"},
	{"sv.log.2.user.ada", "", "api run"},
	{"sv.log.2.topic.news", "", "api run"},
	{"sv.log.2.schedule.id", "", "api run"},
	{"sv.log.2.read.ada", "", "edge api run"},
	{"sv.log.2.other.id", "", nobody},
	{"sv.log.2.probe.id", "", "provision run"},
	{"sv.log.x", "", nobody},
	{"tv.ws.user.ada", "", ""},
	{"anything", "", ""},

	// What is not stored.
	{"sv.signal.broadcast", "backend edge run", ""},
	{"sv.signal.user.ada", "backend edge run", ""},
	{"sv.signal.topic.news", "backend edge run", ""},
	{"sv.ctl.presence", "api run operator", ""},
	{"sv.ctl.disconnect", "api run operator", ""},
	{"sv.ctl.status", "api run operator", ""},
	{"sv.ctl.edges", "edge run", ""},
	{"sv.ctl.other", "", ""},
	{"sv.auth.topic", "edge run", ""},
	{"sv.auth.other", "", ""},
	{"sv.other", "", ""},

	// Others' inboxes: edges answer orders.
	{"_INBOX.x", "", ""},
	{"_INBOX_backend.x", "", ""},
	{"_INBOX_topics.x", "", ""},
	{"_INBOX_edge.signal.x", "", ""},
	{"_INBOX_api.signal.x.y", "edge run", ""},
	{"_INBOX_api.publish.x.y", "", ""},
	{"_INBOX_api.read.x.y", "", ""},
	{"_INBOX_run.signal.x.y", "edge run", ""},
	{"_INBOX_run.tail.x.y", "", ""},
	{"_INBOX_provision.publish.x", "", ""},
	{"_INBOX_operator.x.y", "edge run", ""},
	{"_INBOX_backup.x", "", ""},

	// JetStream: streams.
	{"$JS.API.INFO", "operator", ""},
	{"$JS.API.STREAM.NAMES", "provision run operator backup", ""},
	{"$JS.API.STREAM.LIST", "operator backup", ""},
	{"$JS.API.STREAM.INFO.{log}", "edge api provision run operator backup", ""},
	{"$JS.API.STREAM.INFO.KV_SV_REVOKED", "edge api provision run operator backup", ""},
	{"$JS.API.STREAM.INFO.{mirror}", "provision run operator backup", ""},
	{"$JS.API.STREAM.INFO.OTHER", "provision run operator backup", ""},
	{"$JS.API.STREAM.CREATE.{log}", "provision run", ""},
	{"$JS.API.STREAM.CREATE.{mirror}", "provision run", ""},
	{"$JS.API.STREAM.CREATE.KV_SV_REVOKED", "provision run", ""},
	{"$JS.API.STREAM.CREATE.OTHER", "", ""},
	{"$JS.API.STREAM.UPDATE.{log}", "provision run", ""},
	{"$JS.API.STREAM.UPDATE.{mirror}", "provision run", ""},
	{"$JS.API.STREAM.UPDATE.KV_SV_REVOKED", "provision run", ""},
	{"$JS.API.STREAM.UPDATE.OTHER", "", ""},
	{"$JS.API.STREAM.DELETE.{log}", "provision run backup", ""},
	{"$JS.API.STREAM.DELETE.{mirror}", "provision run backup", ""},
	{"$JS.API.STREAM.DELETE.SV_LOG", "provision run backup", ""}, // with several partitions: an empty one of before
	{"$JS.API.STREAM.DELETE.SV_LOG_READ", "provision run backup", ""},
	{"$JS.API.STREAM.DELETE.KV_SV_REVOKED", "backup", ""},
	{"$JS.API.STREAM.DELETE.OTHER", "", ""},
	{"$JS.API.STREAM.PURGE.{log}", "", ""},
	{"$JS.API.STREAM.PURGE.KV_SV_REVOKED", "", ""},
	{"$JS.API.STREAM.SNAPSHOT.{log}", "backup", ""},
	{"$JS.API.STREAM.SNAPSHOT.{mirror}", "", ""},
	{"$JS.API.STREAM.SNAPSHOT.KV_SV_REVOKED", "backup", ""},
	{"$JS.API.STREAM.RESTORE.{log}", "backup", ""},
	{"$JS.API.STREAM.RESTORE.KV_SV_REVOKED", "backup", ""},
	{"$JS.API.STREAM.RESTORE.OTHER", "", ""},
	{"$JS.SNAPSHOT.ACK.{log}.x.1024.1", "backup", ""},
	{"$JS.SNAPSHOT.ACK.KV_SV_REVOKED.x.1024.1", "backup", ""},
	{"$JS.SNAPSHOT.RESTORE.{log}.x", "backup", ""},
	{"$JS.SNAPSHOT.RESTORE.KV_SV_REVOKED.x", "backup", ""},
	{"$JS.API.STREAM.MSG.GET.{log}", "edge api run", ""},
	{"$JS.API.STREAM.MSG.GET.{mirror}", "", ""},
	{"$JS.API.STREAM.MSG.GET.KV_SV_REVOKED", "", ""},
	{"$JS.API.STREAM.MSG.DELETE.{log}", "api run", ""},
	{"$JS.API.STREAM.MSG.DELETE.KV_SV_REVOKED", "", ""},
	{"$JS.API.STREAM.PEER.REMOVE.{log}", "", ""},
	{"$JS.API.STREAM.LEADER.STEPDOWN.{log}", "", ""},
	{"$JS.API.DIRECT.GET.{log}", "edge api run", ""},
	{"$JS.API.DIRECT.GET.{log}.sv.ws.user.ada", "", ""},
	{"$JS.API.DIRECT.GET.{mirror}", "", ""},
	{"$JS.API.DIRECT.GET.KV_SV_REVOKED", "", ""},
	{"$JS.API.DIRECT.GET.KV_SV_REVOKED.$KV.SV_REVOKED.ada", "api run", ""},
	{"$JS.API.DIRECT.GET.OTHER", "", ""},

	// JetStream: consumers.
	{"$JS.API.CONSUMER.CREATE.{log}.c", "edge run", ""},
	{"$JS.API.CONSUMER.CREATE.{log}", "", ""},
	{"$JS.API.CONSUMER.CREATE.{log}.c.sv.ws.user.ada", "", ""},
	{"$JS.API.CONSUMER.CREATE.{mirror}.c", "", ""},
	{"$JS.API.CONSUMER.DURABLE.CREATE.{log}.c", "", ""},
	{"$JS.API.CONSUMER.CREATE.KV_SV_REVOKED.c", "", ""},
	{"$JS.API.CONSUMER.CREATE.KV_SV_REVOKED.c.$KV.SV_REVOKED.>", "edge api run", ""},
	{"$JS.API.CONSUMER.DELETE.{log}.c", "edge run", ""},
	{"$JS.API.CONSUMER.DELETE.KV_SV_REVOKED.c", "edge api run", ""},
	{"$JS.API.CONSUMER.MSG.NEXT.{log}.c", "edge run", ""},
	{"$JS.API.CONSUMER.MSG.NEXT.KV_SV_REVOKED.c", "", ""},
	{"$JS.API.CONSUMER.INFO.{log}.c", "operator", ""},
	{"$JS.API.CONSUMER.INFO.KV_SV_REVOKED.c", "operator", ""},
	{"$JS.API.CONSUMER.NAMES.{log}", "operator", ""},
	{"$JS.API.CONSUMER.LIST.{log}", "operator", ""},
	{"$JS.API.CONSUMER.PAUSE.{log}.c", "", ""},
	{"$JS.API.CONSUMER.RESET.{log}.c", "", ""},
	{"$JS.API.CONSUMER.UNPIN.{log}.c", "", ""},
	{"$JS.API.CONSUMER.LEADER.STEPDOWN.{log}.c", "", ""},
	{"$JS.ACK.{log}.c.1.1.1.1.1", "", ""},
	{"$JS.FC.{log}.c.x", "", ""},
	{"$JS.FC.KV_SV_REVOKED.c.x", "edge api run", ""},

	// The bucket of refused tokens, and others.
	{"$KV.SV_REVOKED.ada", "api run", ""},
	{"$KV.SV_REVOKED.ada.more", "", ""},
	{"$KV.OTHER.ada", "", ""},
	{"$O.OTHER.C.x", "", ""},

	// Services, servers, accounts.
	{"$SRV.PING", "operator", ""},
	{"$SRV.PING.vibemesh-edge", "api run operator", ""},
	{"$SRV.PING.other", "operator", ""},
	{"$SRV.PING.vibemesh-edge.id", "operator", ""},
	{"$SRV.INFO", "operator", ""},
	{"$SRV.INFO.vibemesh-edge", "operator", ""},
	{"$SRV.STATS", "operator", ""},
	{"$SRV.STATS.vibemesh-edge", "operator", ""},
	{"$SRV.OTHER", "", ""},
	{"$JS.API.META.LEADER.STEPDOWN", "", ""},
	{"$JS.API.SERVER.REMOVE", "", ""},
	{"$JS.API.ACCOUNT.PURGE.x", "", ""},
	{"$JS.API.ACCOUNT.STREAM.MOVE.x.{log}", "", ""},
	{"$SYS.REQ.USER.INFO", "operator", ""},
	{"$SYS.REQ.SERVER.PING", "", ""},
	{"$SYS.REQ.SERVER.PING.JSZ", "", ""},
	{"$SYS.REQ.ACCOUNT.PING.CONNZ", "", ""},
	{"$SYS.REQ.CLAIMS.UPDATE", "", ""},
}

// heard is all that somebody could want to subscribe to.
var heard = []row{
	{">", "", ""},
	{"*", "", ""},
	{"*.>", "", ""},
	{"sv.>", "", ""},
	{"sv.ws.>", "", ""},
	{"sv.ws.broadcast", "", ""},
	{"sv.ws.user.ada", "", ""},
	{"sv.ws.read.*", "", ""},
	{"sv.log.>", "", ""},
	{"sv.log.0.broadcast", "", "provision run"},
	{"sv.log.*.broadcast", "", nobody},
	{"sv.log.2.user.ada", "", nobody},
	{"sv.log.*.probe.*", "provision run", ""},
	{"sv.log.2.probe.id", "provision run", ""},
	{"sv.signal.>", "edge run", ""},
	{"sv.signal.user.ada", "edge run", ""},
	{"sv.ctl.>", "", ""},
	{"sv.ctl.*", "", ""},
	{"sv.ctl.presence", "edge run", ""},
	{"sv.ctl.disconnect", "edge run", ""},
	{"sv.ctl.status", "edge run", ""},
	{"sv.ctl.edges", "api run operator", ""},
	{"sv.auth.>", "", ""},
	{"sv.auth.topic", "topics", ""},
	{"$SRV.>", "", ""},
	{"$SRV.*", "", ""},
	{"$SRV.*.*", "", ""},
	{"$SRV.OTHER", "", ""},
	{"$SRV.PING", "edge run", ""},
	{"$SRV.INFO", "edge run", ""},
	{"$SRV.STATS", "edge run", ""},
	{"$SRV.PING.vibemesh-edge", "edge run", ""},
	{"$SRV.STATS.vibemesh-edge.id", "edge run", ""},
	{"$SRV.PING.other", "", ""},
	{"$KV.>", "", ""},
	{"$KV.SV_REVOKED.*", "", ""},
	{"$JS.>", "", ""},
	{"$JS.API.>", "", ""},
	{"$JS.EVENT.>", "", ""},
	{"$JS.EVENT.ADVISORY.>", "", ""},
	{"$JS.FC.>", "", ""},
	{"$JS.SNAPSHOT.>", "", ""},
	{"$SYS.>", "", ""},
	{"$SYS.REQ.USER.INFO", "", ""},
	{"_INBOX.>", "", ""},
	{"_INBOX_backend.>", "backend", ""},
	{"_INBOX_backend.x.*", "backend", ""},
	{"_INBOX_topics.>", "", ""}, // it asks nothing,
	{"_INBOX_edge.>", "edge", ""},
	{"_INBOX_edge.tail.x.*", "edge", ""},
	{"_INBOX_api.>", "api", ""},
	{"_INBOX_api.signal.x.*", "api", ""},
	{"_INBOX_provision.>", "provision", ""},
	{"_INBOX_run.>", "run", ""},
	{"_INBOX_run.read.x.*", "run", ""},
	{"_INBOX_operator.>", "operator", ""},
	{"_INBOX_backup.>", "backup", ""},
}

// may is which roles may do what a row says, for a number of partitions.
func (r row) may(partitions int) string {
	switch {
	case partitions == 1 || r.several == "":
		return r.roles
	case r.several == nobody:
		return ""
	default:
		return r.several
	}
}

func (r row) named(partitions int) string {
	suffix := ""
	if partitions > 1 {
		suffix = fmt.Sprintf("_%d", partitions-1)
	}
	return strings.NewReplacer("{log}", "SV_LOG"+suffix, "{mirror}", "SV_LOG_READ"+suffix).Replace(r.subject)
}

// TestEachRoleMayDoNothingElse tries all of it as every role, at a server that has no
// streams: so nothing is done by what may be done.
func TestEachRoleMayDoNothingElse(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			dir, url, _ := single(t, partitions)
			conns := map[string]*nats.Conn{}
			for _, role := range roles(t) {
				conns[role] = as(t, dir, url, role)
			}
			try := func(verb string, r row, act func(nc *nats.Conn, subject string) error) {
				var could []string
				for role, nc := range conns {
					if !denied(t, nc, func() error { return act(nc, r.named(partitions)) }) {
						could = append(could, role)
					}
				}
				if want := sorted(strings.Fields(r.may(partitions))); sorted(could) != want {
					t.Errorf("%s %s: allowed to %q, want %q", verb, r.named(partitions), sorted(could), want)
				}
			}
			for _, r := range published {
				try("publish", r, func(nc *nats.Conn, subject string) error { return nc.Publish(subject, nil) })
			}
			for _, r := range heard {
				try("subscribe", r, func(nc *nats.Conn, subject string) error {
					_, err := nc.SubscribeSync(subject)
					return err
				})
				try("subscribe as one of a queue", r, func(nc *nats.Conn, subject string) error {
					_, err := nc.QueueSubscribeSync(subject, "queue")
					return err
				})
			}
		})
	}
}

// denied reports whether the server refuses what act does.
func denied(t *testing.T, nc *nats.Conn, act func() error) bool {
	t.Helper()
	before := nc.LastError()
	if err := act(); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	after := nc.LastError()
	return after != before && errors.Is(after, nats.ErrPermissionViolation)
}

// TestEveryAllowanceIsStated: whatever nats/permissions.json allows, the rows above try
// and say so. So a new allowance fails here, until somebody has thought about who else
// might have it.
func TestEveryAllowanceIsStated(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		s := wire.Subjects{}.Partitioned(partitions)
		for _, role := range roles(t) {
			allowed, err := credentials.Permissions(role, s)
			if err != nil {
				t.Fatal(err)
			}
			for verb, list := range map[string]struct {
				allowed []string
				rows    []row
			}{"publish": {allowed.Publish, published}, "subscribe": {allowed.Subscribe, heard}} {
				for _, pattern := range list.allowed {
					if strings.Contains(pattern, "_LOG_") && !strings.HasSuffix(strings.NewReplacer(".*", "", ".>", "").Replace(pattern), "_3") {
						continue // the rows are about the last partition
					}
					if !slices.ContainsFunc(list.rows, func(r row) bool {
						return covers(pattern, mapped(r.named(partitions), partitions)) && slices.Contains(strings.Fields(r.may(partitions)), role)
					}) {
						t.Errorf("%d partition(s): no row says that %s may %s %s", partitions, role, verb, pattern)
					}
				}
			}
		}
	}
}

// mapped is what a server makes of a subject before it looks at what may be published.
func mapped(subject string, partitions int) string {
	tokens := strings.Split(subject, ".")
	if partitions == 1 || len(tokens) < 3 || tokens[0] != "sv" || tokens[1] != "ws" {
		return subject
	}
	if subject == "sv.ws.broadcast" {
		return "sv.log.0.broadcast"
	}
	if len(tokens) == 4 {
		return "sv.log.1." + tokens[2] + "." + tokens[3]
	}
	return subject
}

// covers reports whether a pattern allows a subject, or pattern.
func covers(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i := range p {
		if p[i] == ">" {
			return len(s) > i
		}
		if i >= len(s) || p[i] != "*" && p[i] != s[i] {
			return false
		}
	}
	return len(p) == len(s)
}
