package mesh_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/credentials"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// natsServer runs a nats-server of a configuration file's text, with its files in dir.
func natsServer(t *testing.T, dir, text string) (url string) {
	t.Helper()
	file := filepath.Join(dir, "server.conf")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:-1\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := natsd.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoLog, opts.NoSigs = true, true
	s, err := natsd.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(15 * time.Second) {
		t.Fatal("the nats-server does not start")
	}
	return s.ClientURL()
}

// storage is the part of a configuration that turns JetStream on.
func storage(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("jetstream { store_dir: %q, max_file_store: 1GB, max_memory_store: 64MB }\n", t.TempDir())
}

// findings of an examination; change says what is unusual.
func examine(t *testing.T, url string, change func(*mesh.Examination)) (all []mesh.Finding) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	e := mesh.Examination{URLs: []string{url}, Now: time.Now, Timeout: 2 * time.Second}
	if change != nil {
		change(&e)
	}
	roles, err := credentials.Roles()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		e.Roles = append(e.Roles, r.Name)
	}
	e.Rights = func(role string) (publish, subscribe []string, err error) {
		a, err := credentials.Permissions(role, e.Subjects)
		return a.Publish, a.Subscribe, err
	}
	mesh.Examine(ctx, e, func(f mesh.Finding) { all = append(all, f) })
	return all
}

// found looks for the finding of a check, whose name begins so.
func found(t *testing.T, all []mesh.Finding, check, state, text, fix string) {
	t.Helper()
	for _, f := range all {
		if strings.HasPrefix(f.Check, check) && f.State == state && strings.Contains(f.Text, text) && strings.Contains(f.Fix, fix) {
			return
		}
	}
	t.Errorf("no %s of %s with %q and %q in:%s", state, check, text, fix, listed(all))
}

// none finds that nothing has failed or warned but some checks.
func none(t *testing.T, all []mesh.Finding, but ...string) {
	t.Helper()
	for _, f := range all {
		bad := f.State == mesh.FindingWarn || f.State == mesh.FindingFail
		for _, b := range but {
			bad = bad && !strings.HasPrefix(f.Check, b)
		}
		if bad {
			t.Errorf("%s of %s: %s; all of them:%s", f.State, f.Check, f.Text, listed(all))
		}
	}
}

func listed(all []mesh.Finding) string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "\n%-4s %-20s %s → %s", f.State, f.Check, f.Text, f.Fix)
	}
	return b.String()
}

// host is the name of the check that is of a server.
func host(url string) string { return "nats " + strings.TrimPrefix(url, "nats://") }

func TestExamineWell(t *testing.T) {
	s := server(t, t.TempDir(), "127.0.0.1:0")
	m := connectTo(t, mesh.Config{Server: s})
	provision(t, m, mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, MaxBytes: 1 << 30, ReadMirror: true})
	all := examine(t, s.URL(), nil)
	none(t, all, host(s.URL()))
	found(t, all, host(s.URL()), mesh.FindingWarn, "it asks nobody", "vibemesh credentials") // it is the embedded server
	for _, check := range []string{
		host(s.URL()), "nats jetstream", "nats rights", "nats log", "nats clock", "nats stream SV_LOG", "nats stream SV_LOG_READ", "nats stream KV_SV_REVOKED",
	} {
		found(t, all, check, mesh.FindingOK, "", "")
	}
	// Nothing was stored, and the settings count where they are known.
	_, js := raw(t, s.URL())
	if log := streams(t, js)["SV_LOG"]; log.State.LastSeq != 0 {
		t.Errorf("the log has stored %d messages", log.State.LastSeq)
	}
	all = examine(t, s.URL(), func(e *mesh.Examination) {
		e.Log = mesh.LogSettings{Replicas: 1, MaxAge: 2 * time.Hour, MaxBytes: 1 << 30}
	})
	found(t, all, "nats stream SV_LOG", mesh.FindingWarn, "max_age: 1h0m0s → 2h0m0s", "vibemesh provision --dry-run")
	none(t, all, host(s.URL()), "nats stream SV_LOG")
}

func TestExamineNobody(t *testing.T) {
	for _, tc := range []struct{ url, fix string }{
		{"nats://no-such-host.invalid:4222", "no such host name"},
		{"nats://127.0.0.1:1", "is nats-server running there"},
	} {
		all := examine(t, tc.url, nil)
		found(t, all, host(tc.url), mesh.FindingFail, "", tc.fix)
		found(t, all, "nats streams", mesh.FindingSkip, "", "")
	}
}

// Of two servers, each is examined.
func TestExamineEach(t *testing.T) {
	url := natsServer(t, t.TempDir(), storage(t))
	all := examine(t, url, func(e *mesh.Examination) { e.URLs = []string{"nats://127.0.0.1:1", url} })
	found(t, all, "nats 127.0.0.1:1", mesh.FindingFail, "", "")
	found(t, all, host(url), mesh.FindingOK, "", "")
	found(t, all, "nats jetstream", mesh.FindingOK, "", "")
}

func TestExamineWithoutJetStream(t *testing.T) {
	all := examine(t, natsServer(t, t.TempDir(), ""), nil)
	found(t, all, "nats jetstream", mesh.FindingFail, "JetStream is off", "jetstream {")
	found(t, all, "nats streams", mesh.FindingSkip, "", "")
	all = examine(t, natsServer(t, t.TempDir(), storage(t)+`accounts { A { users: [{user: a, password: a}] } }`), func(e *mesh.Examination) {
		e.URLs[0] = strings.Replace(e.URLs[0], "nats://", "nats://a:a@", 1)
	})
	found(t, all, "nats jetstream", mesh.FindingFail, "not enabled for account", "for the account")
}

func TestExamineWithoutLog(t *testing.T) {
	all := examine(t, natsServer(t, t.TempDir(), storage(t)), nil)
	found(t, all, "nats log", mesh.FindingFail, "nothing stores what is published to sv.ws.>", "vibemesh provision")
	found(t, all, "nats stream SV_LOG", mesh.FindingFail, "it is not there", "vibemesh provision")
	found(t, all, "nats stream KV_SV_REVOKED", mesh.FindingFail, "it is not there", "")
	found(t, all, "nats clock", mesh.FindingSkip, "", "")
}

func TestExamineSmallPayloads(t *testing.T) {
	url := natsServer(t, t.TempDir(), storage(t)+"max_payload: 64KB\n")
	found(t, examine(t, url, nil), host(url), mesh.FindingFail, "max_payload is 65536 bytes", "131072 or more")
}

func TestExamineWrongStreams(t *testing.T) {
	for _, tc := range []struct {
		name             string
		cfg              jetstream.StreamConfig
		state, text, fix string
	}{
		{"no direct reads", jetstream.StreamConfig{AllowDirect: false, AllowMsgTTL: true, AllowRollup: true}, mesh.FindingFail, "allow_direct: false → true", "provision"},
		{"no lifetimes", jetstream.StreamConfig{AllowDirect: true, AllowRollup: true}, mesh.FindingFail, "allow_msg_ttl: false → true", "provision"},
		{"work queue", jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy}, mesh.FindingFail, "workqueue retention", "dry-run"},
		{"in memory", jetstream.StreamConfig{Storage: jetstream.MemoryStorage}, mesh.FindingFail, "its storage is memory", "dry-run"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			url := natsServer(t, t.TempDir(), storage(t))
			_, js := raw(t, url)
			tc.cfg.Name, tc.cfg.Subjects = "SV_LOG", []string{"sv.ws.>"}
			create(t, js, tc.cfg)
			all := examine(t, url, nil)
			found(t, all, "nats stream SV_LOG", tc.state, tc.text, tc.fix)
			found(t, all, "nats log", mesh.FindingOK, "", "")
		})
	}
}

// TestExamineRepublished: what somebody who could change streams once has left behind is
// found, by who examines and by who provisions.
func TestExamineRepublished(t *testing.T) {
	s := server(t, t.TempDir(), "127.0.0.1:0")
	m := connectTo(t, mesh.Config{Server: s})
	provision(t, m, anHour)
	_, js := raw(t, s.URL())
	cfg := streams(t, js)["SV_LOG"].Config
	cfg.RePublish = &jetstream.RePublish{Source: ">", Destination: "elsewhere.>"}
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	found(t, examine(t, s.URL(), nil), "nats stream SV_LOG", mesh.FindingWarn, "sent to elsewhere.>", "--no-republish")
	if p := plan(t, m, anHour); p.Err() != nil || !strings.Contains(p.String(), "note: what it stores is sent to elsewhere.> as well") {
		t.Errorf("%v\n%s", p.Err(), p)
	}
}

func TestExaminePartitions(t *testing.T) {
	m, js := partitioned(t, 2)
	provision(t, m, anHour)
	url := js.Conn().ConnectedUrl()
	all := examine(t, url, func(e *mesh.Examination) { e.Subjects = wire.Subjects{}.Partitioned(2) })
	none(t, all, host(url))
	found(t, all, "nats stream SV_LOG_1", mesh.FindingOK, "", "")
	all = examine(t, url, nil)
	found(t, all, "nats streams", mesh.FindingFail, "the log has 2 partitions, and was said to have 1", "--partitions 2")
}

func TestExamineClock(t *testing.T) {
	s := server(t, t.TempDir(), "127.0.0.1:0")
	provision(t, connectTo(t, mesh.Config{Server: s}), anHour)
	for off, state := range map[time.Duration]string{-2 * time.Minute: mesh.FindingFail, 20 * time.Second: mesh.FindingWarn} {
		all := examine(t, s.URL(), func(e *mesh.Examination) { e.Now = func() time.Time { return time.Now().Add(off) } })
		found(t, all, "nats clock", state, "this machine's", "NTP")
		none(t, all, "nats clock", host(s.URL()))
	}
}

// A user of plain accounts, who has been given too little, too much, and what is right.
func TestExamineRights(t *testing.T) {
	const right = `publish: ["sv.ws.>", "sv.signal.>"], subscribe: ["_INBOX_backend.>"]`
	for _, tc := range []struct {
		name, rights     string
		state, text, fix string
		but              []string
	}{
		{"right", right, mesh.FindingOK, "all 6 that the role backend needs", "", nil},
		{"no topics", `publish: {allow: ["sv.ws.>", "sv.signal.>"], deny: ["sv.ws.topic.>"]}, subscribe: ["_INBOX_backend.>"]`, mesh.FindingFail, "able to publish to sv.ws.>", "vibemesh credentials", []string{"nats rights"}},
		{"no signals", `publish: ["sv.ws.>"], subscribe: ["_INBOX_backend.>"]`, mesh.FindingFail, "able to publish to sv.signal.>", "", []string{"nats rights"}},
		{"another inbox", `publish: ["sv.ws.>", "sv.signal.>"], subscribe: ["_INBOX_other.>"]`, mesh.FindingFail, "subscribe to _INBOX_backend.>", "--role", []string{"nats rights", "nats log"}},
		{"reads everybody's", `publish: ["sv.ws.>", "sv.signal.>"], subscribe: [">"]`, mesh.FindingWarn, "read what is published (subscribe to sv.ws.>)", "of its own role", []string{"nats rights"}},
		{"deletes streams", `publish: ["sv.ws.>", "sv.signal.>", "$JS.API.>"], subscribe: ["_INBOX_backend.>"]`, mesh.FindingWarn, "delete streams, read the log", "of its own role", []string{"nats rights"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			url := natsServer(t, dir, storage(t)+fmt.Sprintf(
				`accounts { A { jetstream: enabled, users: [{user: all, password: all}, {user: b, password: "s3cret", permissions: {%s}}] } }`, tc.rights))
			provision(t, connectTo(t, mesh.Config{URLs: []string{strings.Replace(url, "nats://", "nats://all:all@", 1)}}), anHour)
			all := examine(t, strings.Replace(url, "nats://", "nats://b:s3cret@", 1), nil)
			found(t, all, "nats rights", tc.state, tc.text, tc.fix)
			none(t, all, tc.but...)
			if text := listed(all); strings.Contains(text, "s3cret") {
				t.Errorf("the password is shown:%s", text)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		url := natsServer(t, t.TempDir(), storage(t)+`accounts { A { users: [{user: a, password: a}] } }`)
		found(t, examine(t, url, nil), host(url), mesh.FindingFail, "", "does not know this user")
	})
}

// Each role's own credentials are well, and nothing too much.
func TestExamineCredentials(t *testing.T) {
	for _, partitions := range []int{1, 3} {
		subjects := wire.Subjects{}.Partitioned(partitions)
		dir := filepath.Join(t.TempDir(), "nats")
		if _, err := credentials.Make(dir, credentials.Log{Subjects: subjects}, 20*24*time.Hour, time.Now()); err != nil {
			t.Fatal(err)
		}
		url := natsServer(t, dir, storage(t)+"include ./accounts.conf\n")
		m := connectTo(t, mesh.Config{URLs: []string{url}, Creds: filepath.Join(dir, "run.creds"), Partitions: partitions})
		provision(t, m, anHour)
		roles, err := credentials.Roles()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range roles {
			t.Run(fmt.Sprintf("%s of %d", r.Name, partitions), func(t *testing.T) {
				as := func(e *mesh.Examination) { e.Creds, e.Subjects = filepath.Join(dir, r.Name+".creds"), subjects }
				all := examine(t, url, as)
				none(t, all)
				found(t, all, "nats creds", mesh.FindingOK, "those of "+r.Name, "")
				found(t, all, "nats rights", mesh.FindingOK, "that the role "+r.Name+" needs", "")
				if r.Name == "operator" || r.Name == "run" {
					found(t, all, "nats stream "+strings.TrimPrefix(m.StreamName(), " "), mesh.FindingOK, "", "")
					found(t, all, "nats clock", mesh.FindingOK, "", "")
				}
				// As another role it can too much, or too little.
				other := "backend"
				if r.Name == other {
					other = "edge"
				}
				all = examine(t, url, func(e *mesh.Examination) { as(e); e.Role = other })
				found(t, all, "nats rights", mesh.FindingFail, "a user of the role "+other, "--role")
			})
		}
		t.Run("a user of another name", func(t *testing.T) {
			file, err := credentials.AddUser(filepath.Join(dir, credentials.KeysDir), "backend", "orders", t.TempDir(), 5*24*time.Hour, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			all := examine(t, url, func(e *mesh.Examination) { e.Creds, e.Subjects = file.Path, subjects })
			found(t, all, "nats creds", mesh.FindingWarn, "of orders end on", "vibemesh credentials")
			found(t, all, "nats rights", mesh.FindingOK, "the role backend", "")
			all = examine(t, url, func(e *mesh.Examination) {
				e.Creds, e.Subjects, e.Now = file.Path, subjects, func() time.Time { return time.Now().Add(6 * 24 * time.Hour) }
			})
			found(t, all, "nats creds", mesh.FindingFail, "the credentials of orders ended on", "make a new one")
		})
	}
}

func TestExamineBadCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.creds")
	all := examine(t, "nats://127.0.0.1:1", func(e *mesh.Examination) { e.Creds = file })
	found(t, all, "nats creds", mesh.FindingFail, "no such file", "--creds")
	if err := os.WriteFile(file, []byte("SUAM…"), 0o600); err != nil {
		t.Fatal(err)
	}
	all = examine(t, "nats://127.0.0.1:1", func(e *mesh.Examination) { e.Creds = file })
	found(t, all, "nats creds", mesh.FindingFail, "is no credentials file", "vibemesh credentials")
}

// The very check of rights must not touch a log: not one with messages, not its consumers.
func TestExamineChangesNothing(t *testing.T) {
	s := server(t, t.TempDir(), "127.0.0.1:0")
	m := connectTo(t, mesh.Config{Server: s})
	provision(t, m, mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, ReadMirror: true})
	publish(t, m, message(wire.User("ada"), "one"), message(wire.Broadcast(), "two"))
	nc, js := raw(t, s.URL())
	if _, err := nc.Subscribe("sv.ctl.>", func(msg *nats.Msg) { t.Errorf("an order: %s %s", msg.Subject, msg.Data) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	before := streams(t, js)
	roles, err := credentials.Roles()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		examine(t, s.URL(), func(e *mesh.Examination) { e.Role = r.Name })
	}
	after := streams(t, js)
	for name, was := range before {
		is := after[name]
		if strings.HasSuffix(name, "_READ") && is != nil { // it may have been on its way behind the log
			is.State.Msgs, is.State.LastSeq = was.State.Msgs, was.State.LastSeq
		}
		if is == nil || is.Created != was.Created || is.State.Msgs != was.State.Msgs || is.State.LastSeq != was.State.LastSeq || is.State.Consumers != was.State.Consumers {
			t.Errorf("%s was %+v, is %+v", name, was.State, is)
		}
	}
	if len(after) != len(before) {
		t.Errorf("streams were %v, are %v", names(before), names(after))
	}
}
