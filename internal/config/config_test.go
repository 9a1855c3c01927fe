package config_test

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/config"
)

// variables are the names in the struct tags, in the order of the fields.
func variables() (env []string) {
	for f := range reflect.TypeFor[config.Config]().Fields() {
		env = append(env, f.Tag.Get("env"))
	}
	return env
}

// parse reads settings as the commands do, from nothing but env and args.
func parse(t *testing.T, env map[string]string, args ...string) (config.Config, error) {
	t.Helper()
	known := map[string]bool{}
	for _, name := range variables() {
		known[name] = true
		t.Setenv(name, "") // restores it after the test
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range env {
		if !known[name] {
			t.Fatalf("%s is no setting", name)
		}
		t.Setenv(name, value)
	}
	var c struct{ config.Config }
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return c.Config, err
}

// The defaults are those of the published table of settings.
func TestDefaults(t *testing.T) {
	got, err := parse(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Addr:          ":8080",
		OpsAddr:       "127.0.0.1:9090",
		NATSListen:    "127.0.0.1:4222",
		DataDir:       "./data",
		Replicas:      1,
		Partitions:    1,
		Prefix:        "sv",
		Auth:          "firebase",
		PublishHeader: "X-SV-KEY",
		PublishClaim:  "publisher",
		Topics:        "open",
		TopicClaim:    "topics",
		HistorySize:   50,
		HistoryAge:    720 * time.Hour,
		ReplayLimit:   1000,
		RingBytes:     64 << 20,
		PingInterval:  60 * time.Second,
		DrainTimeout:  30 * time.Second,
		Slice:         256,
		Deflate:       true,
		LogLevel:      "info",
		LogFormat:     "auto",
		// Empty: the NATS URL (a server of its own), credentials, the Firebase
		// project and emulator, secrets (none may publish), origins (the same
		// one), the history's bytes, threshold and loops (no limit), node.
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !got.Embedded() {
		t.Error("without WS_NATS_URL there is no embedded server")
	}
}

// A setting is one word: WS_RING_BYTES, --ws-ring-bytes.
func TestVariablesAndFlagsCorrespond(t *testing.T) {
	seen := map[string]bool{}
	for f := range reflect.TypeFor[config.Config]().Fields() {
		env, flag := f.Tag.Get("env"), f.Tag.Get("name")
		if !strings.HasPrefix(env, "WS_") && !strings.HasPrefix(env, "FIREBASE_") {
			t.Errorf("%s: variable %q", f.Name, env)
		}
		if want := strings.ReplaceAll(strings.ToLower(env), "_", "-"); flag != want {
			t.Errorf("%s: variable %s and flag --%s; want --%s", f.Name, env, flag, want)
		}
		if help := f.Tag.Get("help"); !strings.HasSuffix(help, ".") {
			t.Errorf("%s: help %q is no sentence", env, help)
		}
		if seen[env] {
			t.Errorf("%s is there twice", env)
		}
		seen[env] = true
	}
	for _, env := range []string{
		"WS_ADDR", "WS_OPS_ADDR", "WS_NATS_URL", "WS_NATS_CREDS", "WS_DATA_DIR", "WS_REPLICAS", "WS_SUBJECT_PREFIX", "WS_AUTH",
		"FIREBASE_PROJECT_ID", "FIREBASE_AUTH_EMULATOR_HOST", "WS_PUBLISH_SECRET", "WS_PUBLISH_HEADER", "WS_PUBLISH_CLAIM",
		"WS_HISTORY_SIZE", "WS_HISTORY_AGE", "WS_REPLAY_LIMIT", "WS_CONNECTION_THRESHOLD", "WS_RING_BYTES", "WS_ALLOWED_ORIGINS",
		"WS_PING_INTERVAL", "WS_DRAIN_TIMEOUT",
	} {
		if !seen[env] {
			t.Errorf("%s of the contract is no setting", env)
		}
	}
}

func TestSettingsAreRead(t *testing.T) {
	got, err := parse(t, map[string]string{
		"WS_NATS_URL":        "nats://a:4222,tls://b:4222",
		"WS_PUBLISH_SECRET":  "old-old-old-old-1,new-new-new-new-2",
		"WS_ALLOWED_ORIGINS": "https://a.example,https://b.example",
		"WS_HISTORY_BYTES":   "50GiB",
		"WS_HISTORY_AGE":     "48h",
		"WS_RING_BYTES":      "1MiB",
	}, "--ws-ring-bytes=2MiB", "--ws-ping-interval", "90s")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, got, want any }{
		{"a list of servers", got.NATSURL, []string{"nats://a:4222", "tls://b:4222"}},
		{"two secrets", got.PublishSecret, []string{"old-old-old-old-1", "new-new-new-new-2"}},
		{"two origins", got.AllowedOrigins, []string{"https://a.example", "https://b.example"}},
		{"bytes", got.HistoryBytes, config.Bytes(50 << 30)},
		{"a duration", got.HistoryAge, 48 * time.Hour},
		{"a flag goes before the variable", got.RingBytes, config.Bytes(2 << 20)},
		{"a flag", got.PingInterval, 90 * time.Second},
		{"not embedded", got.Embedded(), false},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.name, diff)
		}
	}
}

// An empty variable, as compose files pass on, turns off what can be turned off
// and otherwise means none.
func TestEmptyVariables(t *testing.T) {
	env := map[string]string{}
	for _, name := range []string{
		"WS_NATS_URL", "WS_NATS_CREDS", "WS_NATS_LISTEN", "WS_OPS_ADDR", "WS_PUBLISH_SECRET", "WS_PUBLISH_CLAIM", "WS_ALLOWED_ORIGINS",
		"FIREBASE_AUTH_EMULATOR_HOST", "WS_NODE",
	} {
		env[name] = ""
	}
	env["WS_AUTH"], env["WS_ADDR"] = "dev", "127.0.0.1:0"
	got, err := parse(t, env)
	if err == nil {
		err = got.Validate(config.Role{Edge: true, API: true, Provision: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	if !got.Embedded() || len(got.PublishSecret)+len(got.AllowedOrigins) != 0 || got.OpsAddr+got.NATSListen+got.PublishClaim != "" {
		t.Errorf("got %+v", got)
	}
}

// What is not of a setting's type is refused with the setting's name.
func TestUnreadableSettings(t *testing.T) {
	for _, c := range []struct{ env, value, want string }{
		{"WS_RING_BYTES", "lots", "WS_RING_BYTES"},
		{"WS_RING_BYTES", "lots", `write it like 64MiB, 10GB or 65536`},
		{"WS_RING_BYTES", "", `write it like 64MiB, 10GB or 65536`},
		{"WS_HISTORY_AGE", "30d", "WS_HISTORY_AGE"},
		{"WS_PING_INTERVAL", "60", "missing unit in duration"},
		{"WS_REPLICAS", "three", "WS_REPLICAS"},
		{"WS_AUTH", "none", `--ws-auth must be one of "firebase","dev"`},
		{"WS_AUTH", "", `--ws-auth must be one of "firebase","dev"`},
		{"WS_LOG_LEVEL", "loud", `--ws-log-level must be one of "debug","info","warn","error"`},
		{"WS_LOG_FORMAT", "xml", `--ws-log-format must be one of "auto","text","json"`},
	} {
		if _, err := parse(t, map[string]string{c.env: c.value}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%q: error %v; want one that says %q", c.env, c.value, err, c.want)
		}
	}
}
