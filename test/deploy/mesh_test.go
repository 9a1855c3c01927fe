package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// mesh is the services of compose.yaml that move messages, as processes. Each has a loopback
// address of its own, so that ports stay as they are; what is rewritten are addresses.
type mesh struct {
	t        *testing.T
	project  *types.Project
	image    *image
	nats     string // the nats-server of go.mod
	services map[string]*container
}

// address is one of this test process's own.
func address(n int) string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d", 64+pid/250%64, 1+pid%250, n)
}

func startMesh(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{t: t, project: trial(t), image: builtImage(t), services: map[string]*container{}}
	m.nats = filepath.Join(work, "nats-server")
	output(t, "go", "build", "-o", m.nats, "github.com/nats-io/nats-server/v2")
	m.up("haproxy")
	return m
}

// up starts a service as `docker compose up` does: first what it depends on, until that has
// ended or is well.
func (m *mesh) up(name string) {
	m.t.Helper()
	if m.services[name] != nil {
		return
	}
	s := m.project.Services[name]
	needs := slices.Sorted(maps.Keys(s.DependsOn))
	for _, n := range needs { // all of them at once: one server of a cluster is never well alone
		m.up(n)
	}
	for _, n := range needs {
		m.await(n, s.DependsOn[n].Condition)
	}
	m.start(name)
	if once(s) { // a second start finds what the first one has made, and is content
		m.await(name, types.ServiceConditionCompletedSuccessfully)
		m.start(name)
	}
}

func (m *mesh) start(name string) {
	m.t.Helper()
	m.services[name] = m.container(m.project.Services[name])
	m.services[name].start(m.t)
}

func (m *mesh) await(name, condition string) {
	m.t.Helper()
	switch condition {
	case types.ServiceConditionCompletedSuccessfully:
		if code := m.services[name].wait(m.t, time.Minute); code != 0 {
			m.t.Fatalf("%s ended with %d:\n%s", name, code, m.services[name].out.String())
		}
	case types.ServiceConditionHealthy:
		eventually(m.t, name+" is well", func() bool { return m.healthy(name) })
	default:
		m.t.Fatalf("%s: the condition %s is not known here", name, condition)
	}
}

// healthy is the health check of compose.yaml, or else of the image.
func (m *mesh) healthy(name string) bool {
	m.t.Helper()
	c, s := m.services[name], m.project.Services[name]
	select {
	case <-c.ended:
		m.t.Fatalf("%s has ended:\n%s", name, c.out.String())
	default:
	}
	if s.HealthCheck == nil {
		_, ok := c.healthy(m.t)
		return ok
	}
	status, _ := get(m.addressed(name, s.HealthCheck.Test[len(s.HealthCheck.Test)-1])) // of wget -q -O-
	return status == 200
}

// container is a service with its command, environment and volumes.
func (m *mesh) container(s types.ServiceConfig) *container {
	m.t.Helper()
	c := &container{name: s.Name, user: s.User, added: s.CapAdd, argv: append(slices.Clone([]string(s.Entrypoint)), s.Command...)}
	if ours(s) {
		c.image, c.env = m.image, slices.Clone(m.image.env)
		if c.user == "" {
			c.user = m.image.user
		}
		c.argv = append(slices.Clone(m.image.entrypoint), s.Command...)
	}
	for k, v := range s.Environment {
		if v != nil {
			c.env = append(c.env, k+"="+m.addressed(s.Name, *v))
		}
	}
	for _, v := range s.Volumes {
		source := v.Source
		if v.Type == types.VolumeTypeVolume {
			source = m.volume(v.Source)
		}
		c.mounts = append(c.mounts, mount{source: source, target: v.Target, readOnly: v.ReadOnly})
	}
	switch {
	case s.Name == "haproxy":
		c.user = "65532:65532"
		c.argv = []string{haproxy(m.t), "-db", "-n", "2000", "-f", m.haproxyConfig()}
	case c.argv[0] == "nats-server":
		c.argv[0] = m.nats
	case s.Name == "volumes" && !asRoot: // who is not root gives nothing away
		for i := range c.argv {
			c.argv[i] = strings.NewReplacer("-o 65532 -g 65532 ", "", "chown 65532:65532 ", "ls -d ").Replace(c.argv[i])
		}
	}
	return c
}

// volume is a folder of root's, as Docker makes them.
func (m *mesh) volume(name string) string {
	m.t.Helper()
	path := filepath.Join(work, "volumes", name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// haproxyConfig is haproxy.cfg with other addresses.
func (m *mesh) haproxyConfig() string {
	m.t.Helper()
	path := filepath.Join(work, "haproxy.cfg")
	text := strings.ReplaceAll(read(m.t, "deploy/haproxy.cfg"), "bind :", "bind "+m.ip("haproxy")+":")
	if err := os.WriteFile(path, []byte(m.addressed("haproxy", text)), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// ip is the address of a service; what has a name with .routes has another one on that network.
func (m *mesh) ip(name string) string {
	name, onRoutes := strings.CutSuffix(strings.TrimSuffix(name, ".log"), ".routes")
	i, ok := slices.BinarySearch(m.project.ServiceNames(), name)
	if !ok {
		m.t.Fatalf("no service %s", name)
	}
	if onRoutes {
		return address(101 + i)
	}
	return address(1 + i)
}

var (
	everywhere = regexp.MustCompile(`^(0\.0\.0\.0|):(\d+)$`)
	itself     = regexp.MustCompile(`\b127\.0\.0\.1:(\d+)\b`)
	other      = regexp.MustCompile(`\b([a-z]+-\d(?:\.log|\.routes)?|haproxy):(\d+)\b`)
)

// addressed is a text of a service in which names are addresses, and its own loopback and
// what stands for all of its addresses are the one that it has.
func (m *mesh) addressed(name, text string) string {
	text = everywhere.ReplaceAllString(text, m.ip(name)+":$2")
	if !strings.HasPrefix(name, "edge") && !strings.HasPrefix(name, "api") {
		text = itself.ReplaceAllString(text, m.ip(name)+":$1")
	}
	return other.ReplaceAllStringFunc(text, func(found string) string {
		n := other.FindStringSubmatch(found)
		return m.ip(n[1]) + ":" + n[2]
	})
}
