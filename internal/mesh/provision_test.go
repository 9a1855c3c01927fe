package mesh_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

var anHour = mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}

// partitioned is a mesh over an embedded server with so many partitions, not yet
// provisioned, and a connection past it.
func partitioned(t *testing.T, partitions int) (*mesh.Mesh, jetstream.JetStream) {
	t.Helper()
	cfg := natsserver.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Node: "test", Subjects: wire.Subjects{}.Partitioned(partitions)}
	s, err := natsserver.Start(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	_, js := raw(t, s.URL())
	return connectTo(t, mesh.Config{Server: s, Partitions: partitions}), js
}

func provision(t *testing.T, m *mesh.Mesh, cfg mesh.LogConfig) wire.LogState {
	t.Helper()
	state, err := m.Provision(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func plan(t *testing.T, m *mesh.Mesh, cfg mesh.LogConfig) *mesh.Plan {
	t.Helper()
	p, err := m.Plan(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// streams is every stream that a server has, with when it was created and what it
// holds.
func streams(t *testing.T, js jetstream.JetStream) map[string]*jetstream.StreamInfo {
	t.Helper()
	all := map[string]*jetstream.StreamInfo{}
	list := js.ListStreams(t.Context())
	for info := range list.Info() {
		info.TimeStamp = time.Time{}
		info.Cluster = nil
		info.Mirror = nil // its lag
		all[info.Config.Name] = info
	}
	if err := list.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func names(all map[string]*jetstream.StreamInfo) (names []string) {
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func create(t *testing.T, js jetstream.JetStream, cfg jetstream.StreamConfig) {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func store(t *testing.T, js jetstream.JetStream, subjects ...string) {
	t.Helper()
	for _, s := range subjects {
		if _, err := js.Publish(t.Context(), s, []byte(`{"type":"toast","payload":{"title":"x"}}`)); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestProvisionAgain: a plan changes nothing, provisioning does what the plan said,
// and the second time there is nothing to do.
func TestProvisionAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		partitions int
		mirror     bool
		want       []string
	}{
		"one partition":   {1, false, []string{"KV_SV_REVOKED", "SV_LOG"}},
		"with its mirror": {1, true, []string{"KV_SV_REVOKED", "SV_LOG", "SV_LOG_READ"}},
		"four partitions": {4, false, []string{"KV_SV_REVOKED", "SV_LOG_0", "SV_LOG_1", "SV_LOG_2", "SV_LOG_3"}},
		"two, mirrored":   {2, true, []string{"KV_SV_REVOKED", "SV_LOG_0", "SV_LOG_1", "SV_LOG_READ_0", "SV_LOG_READ_1"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, js := partitioned(t, tt.partitions)
			cfg := mesh.LogConfig{Replicas: 1, MaxAge: 48 * time.Hour, MaxBytes: 8 << 20, ReadMirror: tt.mirror}
			p := plan(t, m, cfg)
			if p.UpToDate() || p.Err() != nil || len(p.Changes) != len(tt.want) {
				t.Errorf("the plan of an empty server: %v\n%s", p.Err(), p)
			}
			if got := streams(t, js); len(got) != 0 {
				t.Errorf("the plan made %v", names(got))
			}
			provision(t, m, cfg)
			before := streams(t, js)
			if diff := cmp.Diff(tt.want, names(before)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if p := plan(t, m, cfg); !p.UpToDate() {
				t.Errorf("after provisioning:\n%s", p)
			}
			provision(t, m, cfg)
			if diff := cmp.Diff(before, streams(t, js)); diff != "" {
				t.Errorf("the second time something changed:\n%s", diff)
			}
			for name, info := range before {
				if want := int64(8<<20) / int64(tt.partitions); strings.HasPrefix(name, "SV_LOG") &&
					(info.Config.MaxBytes != want || info.Config.MaxAge != 48*time.Hour) {
					t.Errorf("%s keeps %d bytes, %v; want %d, 48h", name, info.Config.MaxBytes, info.Config.MaxAge, want)
				}
			}
		})
	}
}

// TestTheLog: what is made does what it is for.
func TestTheLog(t *testing.T) {
	m, js := partitioned(t, 1)
	provision(t, m, anHour)
	c := streams(t, js)["SV_LOG"].Config
	if !c.AllowMsgSchedules || !c.AllowAtomicPublish || !c.AllowMsgTTL || !c.AllowDirect || c.Duplicates != 2*time.Minute || c.Storage != jetstream.FileStorage {
		t.Errorf("%+v", c)
	}
	kv, err := js.KeyValue(t.Context(), m.RevokedBucket())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "=w6k", "1700000000000"); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "=w6k", "1700000000001"); err != nil {
		t.Fatal(err)
	}
	status, err := kv.Status(t.Context())
	if err != nil || status.TTL() != 24*time.Hour || status.History() != 1 || status.Values() != 1 {
		t.Errorf("%+v, %v", status, err)
	}
	if state := provision(t, m, anHour); state.Last != 0 {
		t.Errorf("provisioning stored something in the log: %+v", state)
	}
	short := provision(t, m, mesh.LogConfig{Replicas: 1, MaxAge: time.Minute})
	if c := streams(t, js)["SV_LOG"].Config; short.Last != 0 || c.MaxAge != time.Minute || c.Duplicates != time.Minute {
		t.Errorf("a log of a minute: %v, deduplication %v", c.MaxAge, c.Duplicates)
	}
}

// definition is the log as the first version made it.
const definition = `{
  "description": "The log of Vibemesh: user messages, broadcasts, topic messages and read markers.",
  "retention": "limits", "discard": "old", "storage": "file",
  "max_consumers": -1, "max_msgs": -1, "max_msgs_per_subject": -1, "max_msg_size": 131072,
  "duplicate_window": 120000000000, "allow_direct": true, "allow_msg_ttl": true, "deny_delete": false, "deny_purge": false,
  "name": "SV_LOG", "subjects": ["sv.ws.>"], "num_replicas": 1, "max_age": 3600000000000, "max_bytes": -1
}`

// TestUpgrade: a log that an older version made is changed where it is, with what it
// holds and with what an operator has set beside.
func TestUpgrade(t *testing.T) {
	m, js := partitioned(t, 1)
	var old jetstream.StreamConfig
	if err := json.Unmarshal([]byte(definition), &old); err != nil {
		t.Fatal(err)
	}
	old.Compression, old.Metadata = jetstream.S2Compression, map[string]string{"team": "vibes"}
	create(t, js, old)
	store(t, js, "sv.ws.broadcast", "sv.ws.user.ada")
	before := streams(t, js)["SV_LOG"]

	cfg := mesh.LogConfig{Replicas: 1, MaxAge: 2 * time.Hour, MaxBytes: 3 << 30}
	p := plan(t, m, cfg)
	want := []mesh.Field{
		{Name: "allow_atomic", Old: "false", New: "true"},
		{Name: "allow_msg_schedules", Old: "false", New: "true"},
		{Name: "allow_rollup_hdrs", Old: "false", New: "true"},
		{Name: "max_age", Old: "1h0m0s", New: "2h0m0s"},
		{Name: "max_bytes", Old: "no limit", New: "3GiB"},
	}
	if diff := cmp.Diff(want, p.Changes[0].Fields); diff != "" || p.Changes[0].Action != mesh.Update {
		t.Errorf("%s (-want +got)\n%s", p.Changes[0].Action, diff)
	}
	if !strings.Contains(p.String(), "SV_LOG: update\n  allow_atomic: false → true\n") {
		t.Errorf("the plan says\n%s", p)
	}
	if diff := cmp.Diff(before, streams(t, js)["SV_LOG"]); diff != "" {
		t.Errorf("the plan has changed something:\n%s", diff)
	}
	if state := provision(t, m, cfg); state.Last != 2 || state.Life != uint64(before.Created.UnixMilli()) {
		t.Errorf("%+v, of %v", state, before.Created)
	}
	after := streams(t, js)["SV_LOG"].Config
	if !after.AllowAtomicPublish || !after.AllowMsgSchedules || after.Compression != jetstream.S2Compression || after.Metadata["team"] != "vibes" {
		t.Errorf("%+v", after)
	}
}

// TestProvisionRefuses: what would lose messages, or is not ours, is not touched, and
// neither is anything else. Where losing can be meant, saying so does it.
func TestProvisionRefuses(t *testing.T) {
	log := jetstream.StreamConfig{Name: "SV_LOG", Subjects: []string{"sv.ws.>"}}
	with := func(change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
		c := log
		change(&c)
		return c
	}
	big := strings.Repeat("x", 1000)
	for name, tt := range map[string]struct {
		partitions int
		there      []jetstream.StreamConfig
		publish    []string
		cfg        mesh.LogConfig
		want       []string
		left       int // messages in SV_LOG when the loss is meant; -1: it cannot be
	}{
		"bytes": {
			there: []jetstream.StreamConfig{log}, publish: []string{"sv.ws.user." + big, "sv.ws.broadcast"},
			cfg:  mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, MaxBytes: 1000},
			want: []string{"SV_LOG: max_bytes 1000 would remove messages: it holds ", "set WS_HISTORY_BYTES to ", "WS_ALLOW_DATA_LOSS=true"}, left: 1,
		},
		"storage": {
			there: []jetstream.StreamConfig{with(func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage })},
			want:  []string{"SV_LOG: its storage is memory and is to be file", "nats stream backup"}, left: -1,
		},
		"another's subjects": {
			there: []jetstream.StreamConfig{with(func(c *jetstream.StreamConfig) { c.Subjects = []string{"sv.ws.user.*", "orders.>"} })},
			want:  []string{"stores orders.>, which would not be stored any more", "another WS_SUBJECT_PREFIX"}, left: -1,
		},
		"a work queue": {
			there: []jetstream.StreamConfig{with(func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy })},
			want:  []string{"has workqueue retention"}, left: -1,
		},
		"a mirror of another": {
			there: []jetstream.StreamConfig{{Name: "OTHER"}, {Name: "SV_LOG", Mirror: &jetstream.StreamSource{Name: "OTHER"}}},
			want:  []string{"SV_LOG: there is a stream of this name that is a mirror of OTHER"}, left: -1,
		},
		"a standby's copy": {
			there: []jetstream.StreamConfig{{Name: "SV_LOG", Mirror: &jetstream.StreamSource{Name: "SV_LOG", External: &jetstream.ExternalStream{APIPrefix: "$JS.home.API"}}}},
			want:  []string{"is a mirror of SV_LOG", "`nats stream edit SV_LOG --no-mirror --subjects 'sv.ws.>'`"}, left: -1,
		},
		"a copy that is a mirror no longer": {
			there: []jetstream.StreamConfig{{Name: "SV_LOG", Subjects: []string{"SV_LOG"}}},
			want:  []string{"stores SV_LOG, which", "`nats stream edit SV_LOG --no-mirror --subjects 'sv.ws.>'`"}, left: -1,
		},
		"no mirror": {
			there: []jetstream.StreamConfig{log, {Name: "SV_LOG_READ", Subjects: []string{"other"}}}, cfg: mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, ReadMirror: true},
			want: []string{"SV_LOG_READ: there is a stream of this name that is no mirror of SV_LOG"}, left: -1,
		},
		"no purge": {
			there: []jetstream.StreamConfig{with(func(c *jetstream.StreamConfig) { c.DenyPurge = true })},
			want:  []string{"it was made with deny_purge, which JetStream does not take back", "nats stream backup"}, left: -1,
		},
		"counters": {
			there: []jetstream.StreamConfig{with(func(c *jetstream.StreamConfig) { c.AllowMsgCounter = true })},
			want:  []string{"it was made for counters, which JetStream does not take back"}, left: -1,
		},
		"sources": {
			there: []jetstream.StreamConfig{{Name: "OTHER"}, with(func(c *jetstream.StreamConfig) { c.Sources = []*jetstream.StreamSource{{Name: "OTHER"}} })},
			want:  []string{"there is a stream of this name that sources or transforms messages"}, left: -1,
		},
		"history of the bucket": {
			there:   []jetstream.StreamConfig{{Name: "KV_SV_REVOKED", Subjects: []string{"$KV.SV_REVOKED.>"}, MaxMsgsPerSubject: 5}},
			publish: []string{"$KV.SV_REVOKED.ada", "$KV.SV_REVOKED.ada"},
			want:    []string{"KV_SV_REVOKED: max_msgs_per_subject 1 would remove messages: it holds 2 of 1 subject"}, left: 0,
		},
		"stored by another": {
			there: []jetstream.StreamConfig{{Name: "TAP", Subjects: []string{"sv.*.user.x"}}},
			want:  []string{"SV_LOG: the stream TAP stores sv.*.user.x already", "another WS_SUBJECT_PREFIX"}, left: -1,
		},
		"a partition stored by another": {
			partitions: 4, there: []jetstream.StreamConfig{{Name: "TAP", Subjects: []string{"sv.log.2.>"}}},
			want: []string{"SV_LOG_2: the stream TAP stores sv.log.2.> already"}, left: -1,
		},
		"one partition before": {
			partitions: 4, there: []jetstream.StreamConfig{with(func(c *jetstream.StreamConfig) { c.Subjects = []string{"sv.ws.>", "sv.log.>"} })},
			publish: []string{"sv.ws.broadcast"},
			want:    []string{"WS_PARTITIONS is 4, but a log of 1 partition holds 1 message (SV_LOG)", "set WS_PARTITIONS=1"}, left: -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, js := partitioned(t, max(tt.partitions, 1))
			for _, c := range tt.there {
				create(t, js, c)
			}
			store(t, js, tt.publish...)
			before := streams(t, js)
			cfg := tt.cfg
			if cfg.Replicas == 0 {
				cfg = anHour
			}
			p := plan(t, m, cfg)
			_, err := m.Provision(t.Context(), cfg)
			if !errors.Is(err, mesh.ErrRefused) || !errors.Is(p.Err(), mesh.ErrRefused) {
				t.Fatalf("%v; the plan %v", err, p.Err())
			}
			for _, want := range tt.want {
				_, inPlan, named := strings.Cut(want, ": ") // there, the stream's name is a line above
				if !named {
					inPlan = want
				}
				if !strings.Contains(err.Error(), want) || !strings.Contains(p.String(), inPlan) {
					t.Errorf("%v\nand\n%s\nlack %q", err, p, want)
				}
			}
			if diff := cmp.Diff(before, streams(t, js)); diff != "" {
				t.Errorf("something has changed nevertheless:\n%s", diff)
			}
			cfg.AllowLoss = true
			switch state, err := m.Provision(t.Context(), cfg); {
			case tt.left < 0 && !errors.Is(err, mesh.ErrRefused):
				t.Errorf("with the loss allowed: %v", err)
			case tt.left >= 0 && (err != nil || state.Last+1-state.First != uint64(tt.left)):
				t.Errorf("with the loss allowed: %+v, %v; want %d messages left", state, err, tt.left)
			}
		})
	}
}

// TestShorterAge: an age below that of the oldest message is refused; one above it
// loses nothing.
func TestShorterAge(t *testing.T) {
	m, js := partitioned(t, 1)
	create(t, js, jetstream.StreamConfig{Name: "SV_LOG", Subjects: []string{"sv.ws.>"}})
	store(t, js, "sv.ws.broadcast")
	provision(t, m, anHour) // from no limit
	if c := streams(t, js)["SV_LOG"].Config; c.MaxAge != time.Hour {
		t.Errorf("max_age %v", c.MaxAge)
	}
	short := mesh.LogConfig{Replicas: 1, MaxAge: 100 * time.Millisecond}
	deadline := time.After(20 * time.Second)
	for { // until the message is old enough
		p := plan(t, m, short)
		if err := p.Err(); err != nil {
			if !strings.Contains(err.Error(), "max_age 100ms would remove messages: the oldest is of 2") || !strings.Contains(err.Error(), "set WS_HISTORY_AGE to 1h0m") {
				t.Error(err)
			}
			break
		}
		select {
		case <-deadline:
			t.Fatalf("not refused:\n%s", p)
		case <-time.After(20 * time.Millisecond):
		}
	}
	short.AllowLoss = true
	if p := plan(t, m, short); p.Err() != nil || !strings.Contains(p.String(), "note: stored messages are lost, as WS_ALLOW_DATA_LOSS says: max_age 100ms") {
		t.Errorf("%v\n%s", p.Err(), p)
	}
	provision(t, m, short)
	if c := streams(t, js)["SV_LOG"].Config; c.MaxAge != 100*time.Millisecond {
		t.Errorf("max_age %v", c.MaxAge)
	}
}

// TestProvisionAtOnce: several processes start together.
func TestProvisionAtOnce(t *testing.T) {
	cfg := natsserver.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Node: "test", Subjects: wire.Subjects{}.Partitioned(3)}
	s, err := natsserver.Start(cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	_, js := raw(t, s.URL())
	var wg sync.WaitGroup
	for range 5 {
		m := connectTo(t, mesh.Config{URLs: []string{s.URL()}, Partitions: 3})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := m.Provision(ctx, mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, ReadMirror: true}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := fmt.Sprint(names(streams(t, js))); got != "[KV_SV_REVOKED SV_LOG_0 SV_LOG_1 SV_LOG_2 SV_LOG_READ_0 SV_LOG_READ_1 SV_LOG_READ_2]" {
		t.Error(got)
	}
}

// TestReplicas: an existing log gets more replicas and fewer, with all it holds.
func TestReplicas(t *testing.T) {
	url := cluster(t)
	_, js := raw(t, url)
	m := connectTo(t, mesh.Config{URLs: []string{url}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, replicas := range []int{1, 3, 1} {
		cfg := mesh.LogConfig{Replicas: replicas, MaxAge: time.Hour, ReadMirror: true}
		p, err := m.Plan(ctx, cfg)
		fewer := "num_replicas: 3 → 1\n  note: fewer replicas: nothing that is stored is lost by it, but then it takes the failure of 1 server to stop it, not of 2"
		if err == nil && strings.Contains(p.String(), fewer) != (replicas == 1 && p.Changes[0].Action == mesh.Update) {
			t.Errorf("%d replicas:\n%s", replicas, p)
		}
		if _, err := m.Provision(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		for name, info := range streams(t, js) {
			if info.Config.Replicas != replicas {
				t.Errorf("%s has %d replicas, want %d", name, info.Config.Replicas, replicas)
			}
		}
		store(t, js, "sv.ws.broadcast")
	}
	if state, err := m.State(ctx); err != nil || state[0].Last != 3 {
		t.Errorf("%+v, %v", state, err)
	}
	short, stop := context.WithTimeout(t.Context(), 4*time.Second)
	defer stop()
	if _, err := m.Provision(short, mesh.LogConfig{Replicas: 5, MaxAge: time.Hour}); !errors.Is(err, wire.ErrUnavailable) || !strings.Contains(err.Error(), "WS_REPLICAS needs as many servers") {
		t.Errorf("five replicas on three servers: %v", err)
	}
}

func TestReplicasOfOneServer(t *testing.T) {
	m, _ := partitioned(t, 1)
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 3, MaxAge: time.Hour}); err == nil || !strings.Contains(err.Error(), "set WS_REPLICAS=1, or give a cluster") {
		t.Error(err)
	}
}
