package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
)

// project is compose.yaml as `docker compose --env-file` reads it.
func project(t *testing.T, env map[string]string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(repository, "deploy/compose.yaml")}, func(o *cli.ProjectOptions) error {
		o.Environment = env
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

// trial is compose.yaml with trial.env.
func trial(t *testing.T) *types.Project {
	t.Helper()
	p, err := project(t, envFile(t, "deploy/trial.env"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func envFile(t *testing.T, path string) map[string]string {
	t.Helper()
	env, err := dotenv.Read(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return env
}

const ourImage = "socialvibes/vibemesh:"

func ours(s types.ServiceConfig) bool { return strings.HasPrefix(s.Image, ourImage) }

// once says whether a service does its work and ends.
func once(s types.ServiceConfig) bool { return s.Restart == "no" }

// TestComposeAsksWhoSignsIn: without a project nobody could sign in, and it is said what to do.
func TestComposeAsksWhoSignsIn(t *testing.T) {
	_, err := project(t, map[string]string{})
	if err == nil || !strings.Contains(err.Error(), "FIREBASE_PROJECT_ID") || !strings.Contains(err.Error(), "--env-file trial.env") {
		t.Errorf("without FIREBASE_PROJECT_ID: %v", err)
	}
	p, err := project(t, map[string]string{"FIREBASE_PROJECT_ID": "acme"})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range p.Services {
		if auth := s.Environment["WS_AUTH"]; auth != nil && *auth != "firebase" {
			t.Errorf("%s: WS_AUTH is %s unless told", name, *auth)
		}
		if host := s.Environment["FIREBASE_AUTH_EMULATOR_HOST"]; host != nil {
			t.Errorf("%s: FIREBASE_AUTH_EMULATOR_HOST is %q unless told", name, *host)
		}
	}
}

// TestComposeFiles: what is mounted is there, and cannot be written to.
func TestComposeFiles(t *testing.T) {
	mounted := 0
	for name, s := range trial(t).Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			mounted++
			if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
				t.Errorf("%s: %s: %v, read-only %v", name, v.Source, err, v.ReadOnly)
			}
		}
	}
	if mounted < 7 {
		t.Errorf("only %d files are mounted", mounted)
	}
}

// TestComposeSettings: each variable is one that its program reads.
func TestComposeSettings(t *testing.T) {
	i := builtImage(t)
	cluster := read(t, "nats/cluster.conf")
	for name, s := range trial(t).Services {
		known := func(string) bool { return true } // Grafana's have a form of their own
		switch {
		case ours(s):
			help := output(t, filepath.Join(i.root, "vibemesh"), s.Command[0], "--help")
			known = func(v string) bool { return strings.Contains(help, "($"+v+")") }
		case strings.HasPrefix(s.Image, "nats:") && !once(s):
			known = func(v string) bool { return strings.Contains(cluster, "$"+v) }
			for _, v := range regexp.MustCompile(`(?m)^[^#]*\$(\w+)`).FindAllStringSubmatch(cluster, -1) {
				if _, ok := s.Environment[v[1]]; !ok {
					t.Errorf("%s does not set %s, which cluster.conf needs", name, v[1])
				}
			}
		}
		for v := range s.Environment {
			if !known(v) {
				t.Errorf("%s: %s is not a setting of %s", name, v, s.Image)
			}
		}
	}
}

// TestComposeEnvExample: .env.example has what compose.yaml asks for, and no secret.
func TestComposeEnvExample(t *testing.T) {
	example, text := envFile(t, "deploy/.env.example"), read(t, "deploy/compose.yaml")
	for name := range example {
		if !regexp.MustCompile(`\$\{` + name + `\b|(?m)^ +` + name + `:$`).MatchString(text) {
			t.Errorf("%s of .env.example does nothing in compose.yaml", name)
		}
	}
	for _, name := range []string{"FIREBASE_PROJECT_ID", "WS_PUBLISH_SECRET"} {
		if value, ok := example[name]; !ok || value != "" {
			t.Errorf("%s in .env.example is %q; it is for its reader to fill in", name, value)
		}
	}
	if output(t, "git", "check-ignore", "deploy/.env") == "" {
		t.Error("git would take deploy/.env")
	}
}

// TestComposeHardened: no service may do more than it has to.
func TestComposeHardened(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z]+(/[a-z]+)?:v?\d+\.\d+\.\d+(-alpine)?$`)
	added := map[string][]string{"volumes": {"CHOWN", "FOWNER"}}
	for name, s := range trial(t).Services {
		if !pinned.MatchString(s.Image) && s.Image != ourImage+"local" {
			t.Errorf("%s: the image %s is not one version", name, s.Image)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.CapAdd, added[name]) ||
			s.Privileged || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s: read_only %v, cap_drop %v, cap_add %v, privileged %v, security_opt %v", name, s.ReadOnly, s.CapDrop, s.CapAdd, s.Privileged, s.SecurityOpt)
		}
		if s.Logging == nil || s.Logging.Options["max-size"] == "" {
			t.Errorf("%s: its logs fill the disk", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open on %q", name, p.Published, p.HostIP)
			}
		}
		checked := s.HealthCheck == nil && ours(s) || s.HealthCheck != nil && !s.HealthCheck.Disable
		switch {
		case once(s) && checked:
			t.Errorf("%s ends by itself: it has no health", name)
		case !once(s) && (!checked || s.Restart != "unless-stopped"):
			t.Errorf("%s: restart %q, health check %v", name, s.Restart, s.HealthCheck)
		}
	}
}

// TestComposeSeeds: whoever has the seeds makes users. What talks to a network has none.
func TestComposeSeeds(t *testing.T) {
	p := trial(t)
	data := map[string]string{}
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			switch {
			case v.Source == "credentials" && (s.NetworkMode != "none" || !once(s)):
				t.Errorf("%s has the seeds and a network", name)
			case strings.HasPrefix(name, "nats-") && v.Target == "/data":
				if other, ok := data[v.Source]; ok {
					t.Errorf("%s and %s write to %s", name, other, v.Source)
				}
				data[v.Source] = name
			case strings.HasSuffix(v.Source, "-credentials") && !once(s) && !strings.HasPrefix(name, strings.TrimSuffix(v.Source, "-credentials")+"-"):
				t.Errorf("%s has %s", name, v.Source)
			}
		}
	}
	if len(data) != 3 {
		t.Errorf("logs are in %v, want three volumes", data)
	}
	if !p.Networks["log"].Internal {
		t.Error("NATS is on a network that leads outside")
	}
}

// TestComposeStops: nothing is killed while it does what it does at its end.
func TestComposeStops(t *testing.T) {
	const toEnd = 15 * time.Second // what a process takes after its drain: see cmd/vibemesh
	services := trial(t).Services
	for name, s := range services {
		if s.StopGracePeriod == nil && !once(s) {
			t.Errorf("%s has no stop_grace_period", name)
		}
		drain := s.Environment["WS_DRAIN_TIMEOUT"]
		if drain == nil {
			continue
		}
		if grace := time.Duration(*s.StopGracePeriod); grace < duration(t, *drain)+toEnd {
			t.Errorf("%s: %v to stop, of which %s is for the drain", name, grace, *drain)
		}
	}
	setting := func(file, name string) time.Duration {
		found := regexp.MustCompile(`(?m)^\s*` + name + `:? (\S+)$`).FindStringSubmatch(read(t, file))
		if found == nil {
			t.Fatalf("%s has no %s", file, name)
		}
		return duration(t, found[1])
	}
	lameDuck := setting("nats/cluster.conf", "lame_duck_grace_period") + setting("nats/cluster.conf", "lame_duck_duration")
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		if s := services[name]; s.StopSignal != "SIGUSR2" || time.Duration(*s.StopGracePeriod) <= lameDuck {
			t.Errorf("%s: %s and %v, for a lame duck of %v", name, s.StopSignal, s.StopGracePeriod, lameDuck)
		}
	}
	if hard := setting("deploy/haproxy.cfg", "hard-stop-after"); time.Duration(*services["haproxy"].StopGracePeriod) <= hard {
		t.Errorf("haproxy has %v to stop, hard-stop-after is %v", services["haproxy"].StopGracePeriod, hard)
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestComposeFileLimits: each session is an open file, at HAProxy two.
func TestComposeFileLimits(t *testing.T) {
	services := trial(t).Services
	found := regexp.MustCompile(`(?m)^  maxconn (\d+)$`).FindStringSubmatch(read(t, "deploy/haproxy.cfg"))
	if found == nil {
		t.Fatal("haproxy.cfg has no maxconn")
	}
	sessions := number(found[1])
	for name, least := range map[string]int{"haproxy": 2*sessions + 1000, "edge-1": sessions + 1000, "edge-2": sessions + 1000, "nats-1": 10_000 + 1000} {
		if limit := services[name].Ulimits["nofile"]; limit == nil || limit.Hard < least || limit.Soft < least {
			t.Errorf("%s: nofile %+v, want %d or more", name, limit, least)
		}
	}
}

// TestComposeNames: whoever is named in another file is a service, and none is forgotten.
func TestComposeNames(t *testing.T) {
	services := trial(t).Services
	haproxy, prometheus := read(t, "deploy/haproxy.cfg"), read(t, "deploy/prometheus/prometheus.yml")
	named := regexp.MustCompile(`\b([a-z]+(?:-\d)?):(\d{4})\b`)
	for file, text := range map[string]string{"haproxy.cfg": haproxy, "prometheus.yml": prometheus} {
		for _, n := range named.FindAllStringSubmatch(text, -1) {
			if _, ok := services[n[1]]; !ok && n[1] != "localhost" {
				t.Errorf("%s names %s, which is no service", file, n[1])
			}
		}
		for name := range services {
			serves := strings.HasPrefix(name, "edge-") || strings.HasPrefix(name, "api-")
			if serves && !strings.Contains(text, name+":") {
				t.Errorf("%s forgets %s", file, name)
			}
		}
	}
}

// TestHAProxyTakesItsFile: but for the names, which nobody here knows.
func TestHAProxyTakesItsFile(t *testing.T) {
	out := output(t, haproxy(t), "-c", "-f", "deploy/haproxy.cfg")
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "[WARNING]") && !strings.Contains(line, "could not resolve address") {
			t.Error(strings.TrimSpace(line))
		}
	}
}

// haproxy is the program, that the make target has installed.
func haproxy(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(output(t, "scripts/ensure-haproxy"))
}
