package mesh_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// configured is a nats-server of its own with a configuration.
func configured(t *testing.T, text string) (url string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, fmt.Appendf(nil, "listen: 127.0.0.1:-1\njetstream { store_dir: %q }\n%s", t.TempDir(), text), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := natsd.ProcessConfigFile(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	opts.NoSigs, opts.NoLog = true, true
	s, err := natsd.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	return startAll(t, []*natsd.Server{s})
}

func mappingText(partitions int) string {
	return mesh.MappingText(wire.Subjects{}.Partitioned(partitions))
}

// TestMessagesLandInTheirPartition: what is published under the subjects that
// publishers know is stored where wire says, and that is FNV-1a of the id.
func TestMessagesLandInTheirPartition(t *testing.T) {
	const partitions = 7
	for name, url := range map[string]func(t *testing.T) string{
		"embedded": func(t *testing.T) string {
			s, err := natsserver.Start(natsserver.Config{
				DataDir: t.TempDir(), Listen: "127.0.0.1:0", Node: "test", Subjects: wire.Subjects{}.Partitioned(partitions),
			}, quiet())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Stop)
			return s.URL()
		},
		"configured": func(t *testing.T) string { return configured(t, mappingText(partitions)) },
	} {
		t.Run(name, func(t *testing.T) {
			url := url(t)
			_, js := raw(t, url)
			m := connectTo(t, mesh.Config{URLs: []string{url}, Partitions: partitions})
			provision(t, m, anHour)
			if ack, err := js.Publish(t.Context(), "sv.ws.broadcast", nil); err != nil || ack.Stream != "SV_LOG_0" {
				t.Errorf("a broadcast: %+v, %v", ack, err)
			}
			used := map[string]bool{}
			for i := range 100 {
				token, err := wire.EncodeID(fmt.Sprintf("person %d", i))
				if err != nil {
					t.Fatal(err)
				}
				h := fnv.New32a()
				h.Write([]byte(token))
				want := fmt.Sprintf("SV_LOG_%d", h.Sum32()%partitions)
				used[want] = true
				for _, kind := range []string{"user", "topic", "read"} {
					ack, err := js.Publish(t.Context(), "sv.ws."+kind+"."+token, nil)
					if err != nil || ack.Stream != want {
						t.Fatalf("%s %s: %+v, %v; want %s", kind, token, ack, err, want)
					}
				}
			}
			if len(used) != partitions {
				t.Errorf("only %d partitions hold something", len(used))
			}
			if ack, err := js.Publish(t.Context(), "sv.ws.nonsense.x", nil); err == nil {
				t.Errorf("nonsense is stored: %+v", ack)
			}
		})
	}
}

// TestMappingIsChecked: partitions without the mapping that brings messages to them
// are not made, and the error has what is missing.
func TestMappingIsChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		config     string
		partitions int
		want       []string // nothing: accepted
	}{
		"none":              {"", 4, []string{"does not map the subjects of the log to the 4 of WS_PARTITIONS", mappingText(4), `"sv.ws.*.*": "sv.log.{{partition(4,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"`}},
		"right":             {mappingText(4), 4, nil},
		"twice as many":     {mappingText(8), 4, []string{"but not to the 4 of WS_PARTITIONS", mappingText(4)}},
		"half as many":      {mappingText(4), 8, []string{"but not to the 8 of WS_PARTITIONS", mappingText(8)}},
		"not needed":        {mappingText(4), 1, []string{"WS_PARTITIONS is 1", "remove the mapping of sv.ws.*.*"}},
		"neither":           {"", 1, nil},
		"without broadcast": {`mappings: { "sv.ws.*.*": "sv.log.{{partition(4,2)}}.{{wildcard(1)}}.{{wildcard(2)}}" }`, 4, []string{"32 of 33 probes arrived"}},
		"not allowed": {`authorization { users: [{ user: a, password: a, permissions: {
			publish: ["sv.ws.>", "$JS.API.>"], subscribe: ["_INBOX_run.publish.>", "_INBOX_run.tail.>", "_INBOX_run.read.>"] }}] }
			` + mappingText(4), 4, []string{"does not let these credentials do what provisioning takes", "ermissions", "WS_NATS_CREDS"}},
		"allowed": {`authorization { users: [{ user: a, password: a, permissions: { publish: ["sv.ws.>", "sv.log.>", "$JS.API.>"],
			subscribe: ["sv.log.*.probe.*", "sv.log.0.broadcast", "_INBOX_run.publish.>", "_INBOX_run.tail.>", "_INBOX_run.read.>"] }}] }
			` + mappingText(4), 4, nil},
	} {
		t.Run(name, func(t *testing.T) {
			url := configured(t, tt.config)
			if strings.Contains(tt.config, "password") {
				url = strings.Replace(url, "//", "//a:a@", 1)
			}
			m := connectTo(t, mesh.Config{URLs: []string{url}, Partitions: tt.partitions})
			_, err := m.Provision(t.Context(), anHour)
			if tt.want == nil && err != nil || tt.want != nil && !errors.Is(err, mesh.ErrRefused) {
				t.Fatal(err)
			}
			if err != nil && strings.Contains(err.Error(), "a:a@") {
				t.Errorf("the password is shown: %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nlacks %q", err, want)
				}
			}
			p := plan(t, m, anHour)
			if (p.Err() == nil) != (tt.want == nil) || p.UpToDate() != (tt.want == nil) {
				t.Errorf("%v; the plan\n%s", p.Err(), p)
			}
		})
	}
}

// TestOneServerWithoutMapping: what is published there would be stored nowhere.
func TestOneServerWithoutMapping(t *testing.T) {
	mapped, bare := configured(t, mappingText(2)), configured(t, "")
	m := connectTo(t, mesh.Config{URLs: []string{mapped, bare}, Partitions: 2})
	_, err := m.Provision(t.Context(), anHour)
	mapped, bare = strings.TrimPrefix(mapped, "nats://"), strings.TrimPrefix(bare, "nats://")
	if !errors.Is(err, mesh.ErrRefused) || !strings.Contains(err.Error(), bare+" does not map") || strings.Contains(err.Error(), mapped+" does not map") {
		t.Error(err)
	}
}

// TestPartitionsChange: only while the log is empty, and then nothing of the old one
// stays.
func TestPartitionsChange(t *testing.T) {
	dir := t.TempDir()
	open := func(t *testing.T, partitions int) (m *mesh.Mesh, url string) {
		s, err := natsserver.Start(natsserver.Config{DataDir: dir, Listen: "127.0.0.1:0", Node: "test", Subjects: wire.Subjects{}.Partitioned(partitions)}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		return connectTo(t, mesh.Config{Server: s, Partitions: partitions}), s.URL()
	}
	for _, step := range []struct {
		partitions int
		publish    bool
		want       string // of the error
		has        string
	}{
		{1, false, "", "[SV_LOG KV_SV_REVOKED]"},
		{4, false, "", "[SV_LOG_0 SV_LOG_1 SV_LOG_2 SV_LOG_3 KV_SV_REVOKED]"},
		{2, true, "", "[SV_LOG_0 SV_LOG_1 KV_SV_REVOKED]"},
		{3, false, "WS_PARTITIONS is 3, but a log of 2 partitions holds 1 message (SV_LOG_0)", ""},
		{1, false, "WS_PARTITIONS is 1, but a log of 2 partitions holds 1 message (SV_LOG_0)", ""},
		{2, false, "", "[SV_LOG_0 SV_LOG_1 KV_SV_REVOKED]"},
	} {
		t.Run(fmt.Sprint(step.partitions), func(t *testing.T) {
			m, url := open(t, step.partitions)
			_, err := m.Provision(t.Context(), anHour)
			if step.want == "" && err != nil || step.want != "" && (!errors.Is(err, mesh.ErrRefused) || !strings.Contains(err.Error(), step.want)) {
				t.Fatalf("%v, want %q", err, step.want)
			}
			if step.want != "" {
				return
			}
			var has []string
			for _, c := range plan(t, m, anHour).Changes {
				has = append(has, c.Stream)
			}
			if fmt.Sprint(has) != step.has {
				t.Errorf("%v, want %s", has, step.has)
			}
			if step.publish {
				_, js := raw(t, url)
				store(t, js, "sv.ws.broadcast")
			}
		})
	}
}
