package nats_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// clusterEnvironment is what cluster.conf asks for beside server.conf.
func clusterEnvironment(t *testing.T) map[string]string {
	t.Helper()
	return with(environment(t), map[string]string{
		"NATS_ZONE": "zone:a", "NATS_CLUSTER_LISTEN": "127.0.0.1:-1", "NATS_ROUTES": "[nats://127.0.0.1:6222, nats://nats-1.nats:6222]",
	})
}

// TestConfigurationIsRead does what `nats-server -t -c` does, and looks at what became of
// each setting.
func TestConfigurationIsRead(t *testing.T) {
	tls := certificates(t, "nats-0,127.0.0.1")
	files := map[string]string{
		"NATS_TLS_CERT": filepath.Join(tls, "nats-0.crt"), "NATS_TLS_KEY": filepath.Join(tls, "nats-0.key"), "NATS_TLS_CA": filepath.Join(tls, "ca.crt"),
	}
	for file, env := range map[string]map[string]string{"server.conf": environment(t), "cluster.conf": clusterEnvironment(t)} {
		t.Run(file, func(t *testing.T) {
			o, err := read(t, filepath.Join(install(t, 1), file), with(env, files))
			if err != nil {
				t.Fatal(err)
			}
			if o.ServerName != "nats-0" || o.Host != "127.0.0.1" || o.HTTPHost != "127.0.0.1" || o.StoreDir != env["NATS_STORE_DIR"] {
				t.Errorf("name %q, clients at %s, monitor at %s, store %s", o.ServerName, o.Host, o.HTTPHost, o.StoreDir)
			}
			if !o.JetStream || o.SyncInterval != time.Second || o.JetStreamMaxStore != 1<<30 || o.JetStreamMaxMemory != 64<<20 || o.NoJetStreamStrict {
				t.Errorf("JetStream %v, synced each %v, %d on disk, %d in memory, strict %v", o.JetStream, o.SyncInterval, o.JetStreamMaxStore, o.JetStreamMaxMemory, !o.NoJetStreamStrict)
			}
			if o.MaxPayload < 64<<10 || o.MaxConn != 10000 || o.WriteDeadline != 10*time.Second || o.MaxPending != 64<<20 || o.MaxControlLine != 4<<10 ||
				o.PingInterval != 20*time.Second || o.MaxPingsOut != 2 || o.LameDuckDuration != 30*time.Second {
				t.Errorf("limits: payload %d, connections %d, write %v, pending %d, line %d, ping %v %d, lame duck %v",
					o.MaxPayload, o.MaxConn, o.WriteDeadline, o.MaxPending, o.MaxControlLine, o.PingInterval, o.MaxPingsOut, o.LameDuckDuration)
			}
			if len(o.TrustedOperators) != 1 || o.SystemAccount == "" || o.AccountResolver == nil {
				t.Error("no accounts")
			}
			if o.TLSConfig == nil || o.TLSVerify {
				t.Error("clients are to be served by TLS, and need no certificate")
			}
			if file == "cluster.conf" {
				if o.Cluster.TLSConfig == nil || o.Cluster.TLSConfig.ClientAuth != 4 || !o.Cluster.TLSCheckKnownURLs || len(o.Routes) != 2 || o.JetStreamUniqueTag != "zone:" || strings.Join(o.Tags, " ") != "zone:a" {
					t.Errorf("cluster: %+v, routes %v, tags %v", o.Cluster, o.Routes, o.Tags)
				}
			}
		})
	}
}

// TestEnvironmentIsNeeded: what is forgotten is said by its name, and each file's first
// lines name all of it.
func TestEnvironmentIsNeeded(t *testing.T) {
	for file, env := range map[string]map[string]string{"server.conf": environment(t), "cluster.conf": clusterEnvironment(t)} {
		dir := install(t, 1)
		withoutTLS(t, dir)
		for _, missing := range slices.Sorted(maps.Keys(env)) {
			t.Run(file+" "+missing, func(t *testing.T) {
				less := maps.Clone(env)
				delete(less, missing)
				if err := os.Unsetenv(missing); err != nil {
					t.Fatal(err)
				}
				if _, err := read(t, filepath.Join(dir, file), less); err == nil || !strings.Contains(err.Error(), missing) {
					t.Errorf("the error is %v", err)
				}
			})
		}
		text, err := os.ReadFile(filepath.Join("../../nats", file))
		if err != nil {
			t.Fatal(err)
		}
		var used []string
		for _, m := range regexp.MustCompile(`(?m)^[^#\n]*\$(NATS_\w+)`).FindAllStringSubmatch(string(text), -1) {
			used = append(used, m[1])
		}
		head, _, _ := strings.Cut(string(text), "server_name:")
		for _, name := range used {
			if !strings.Contains(head, "#   "+name+" ") || env[name] == "" {
				t.Errorf("%s uses %s: its first lines or this test do not have it", file, name)
			}
		}
		if len(used) != len(env) {
			t.Errorf("%s uses %v", file, used)
		}
	}
}

// TestSettingsOfBothFilesAgree: but for the cluster, they are the same.
func TestSettingsOfBothFilesAgree(t *testing.T) {
	lines := func(name string) (settings []string) {
		text, err := os.ReadFile(filepath.Join("../../nats", name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				settings = append(settings, line)
			}
		}
		return settings
	}
	cluster := lines("cluster.conf")
	for _, setting := range lines("server.conf") {
		if !slices.Contains(cluster, setting) {
			t.Errorf("cluster.conf lacks %q", setting)
		}
	}
}

// TestMonitor: probes and exporters ask it.
func TestMonitor(t *testing.T) {
	dir := install(t, 1)
	withoutTLS(t, dir)
	opts, err := read(t, filepath.Join(dir, "server.conf"), environment(t))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := run(t, opts)
	resp, err := http.Get("http://" + s.MonitorAddr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/healthz: %s", resp.Status)
	}
}
