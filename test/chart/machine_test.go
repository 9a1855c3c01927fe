package chart_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine runs containers as processes: each pod has ports of its own on loopback in
// place of an address of its own.
type machine struct {
	t       *testing.T
	dir     string // also where the programs are
	all     objects
	mounted map[string]string // paths in containers, and here
	ports   map[string]int    // by pod:port
}

func newMachine(t *testing.T, all objects) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), all: all, mounted: map[string]string{}, ports: map[string]int{}}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", m.dir, "./cmd/vibemesh", "github.com/nats-io/nats-server/v2")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
	return m
}

func (m *machine) files(dir string, files map[string]any) {
	m.t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		m.t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content.(string)), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
}

// port is where a port of a pod is on this machine.
func (m *machine) port(pod, port string) string {
	key := pod + ":" + port
	if m.ports[key] == 0 {
		free, err := freePorts(1)
		if err != nil {
			m.t.Fatal(err)
		}
		m.ports[key] = free[0]
	}
	return fmt.Sprintf("127.0.0.1:%d", m.ports[key])
}

var (
	everywhere = regexp.MustCompile(`^(?:0\.0\.0\.0)?:(\d+)$`)
	server     = regexp.MustCompile(`(vibemesh-nats-\d)\.vibemesh-nats-headless\.notify\.svc:(\d+)`)
	service    = regexp.MustCompile(`^(vibemesh-edge|vibemesh-api)-ops\.notify\.svc:(\d+)$`)
)

// here is a value as it has to be on this machine: addresses and paths are others.
func (m *machine) here(pod, value string) string {
	value = everywhere.ReplaceAllStringFunc(value, func(s string) string { return m.port(pod, everywhere.FindStringSubmatch(s)[1]) })
	for names, host := range map[*regexp.Regexp]string{server: "localhost", service: "127.0.0.1"} {
		value = names.ReplaceAllStringFunc(value, func(s string) string {
			found := names.FindStringSubmatch(s)
			return strings.Replace(m.port(found[1], found[2]), "127.0.0.1", host, 1) // servers are looked for by name
		})
	}
	for path, at := range m.mounted {
		value = strings.Replace(value, path, at, 1)
	}
	return value
}

// environment is that of a container, as the kubelet makes it, for this machine.
func (m *machine) environment(pod string, container any) []string {
	m.t.Helper()
	env := map[string]string{}
	for _, from := range list(container, "envFrom") {
		for k, v := range mapping(m.all.get("ConfigMap", text(from, "configMapRef", "name")), "data") {
			env[k] = v.(string)
		}
	}
	for _, e := range list(container, "env") {
		value := text(e, "value")
		if text(e, "valueFrom", "fieldRef", "fieldPath") == "metadata.name" {
			value = pod
		}
		for k, v := range env {
			value = strings.ReplaceAll(value, "$("+k+")", v)
		}
		env[text(e, "name")] = value
	}
	all := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.dir}
	for k, v := range env {
		all = append(all, k+"="+m.here(pod, v))
	}
	return all
}

// run starts the container of a pod, and ends it with the test.
func (m *machine) run(pod string, o object) *exec.Cmd {
	m.t.Helper()
	c := dig(podTemplate(o), "spec", "containers", 0)
	argv := append(list(c, "command"), list(c, "args")...)
	if list(c, "command") == nil {
		argv = append([]any{"vibemesh"}, argv...)
	}
	var args []string
	for _, a := range argv {
		args = append(args, m.here(pod, a.(string)))
	}
	cmd := exec.Command(filepath.Join(m.dir, args[0]), args[1:]...)
	cmd.Env = m.environment(pod, c)
	cmd.Dir = m.t.TempDir()
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill() //nolint:errcheck // it has ended by itself
			cmd.Wait()         //nolint:errcheck // it was killed
		}
		if m.t.Failed() {
			m.t.Logf("%s:\n%s", pod, log.Bytes()[max(0, log.Len()-3000):])
		}
	})
	return cmd
}

// complete runs the containers of a pod to their ends, which have to be good ones.
func (m *machine) complete(pod string, o object) {
	m.t.Helper()
	for _, c := range list(podTemplate(o), "spec", "containers") {
		var args []string
		for _, a := range list(c, "args") {
			args = append(args, a.(string))
		}
		m.command(m.environment(pod, c), "vibemesh", args...)
	}
}

// command runs a program to its end, which has to be a good one.
func (m *machine) command(env []string, name string, args ...string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(m.dir, name), args...)
	cmd.Env, cmd.Dir = env, m.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// probe waits until the probes of a pod's container succeed.
func (m *machine) probe(pod string, o object, probes ...string) {
	m.t.Helper()
	c := dig(podTemplate(o), "spec", "containers", 0)
	for _, probe := range probes {
		get := mapping(c, probe, "httpGet")
		var port string
		for _, p := range list(c, "ports") {
			if text(p, "name") == text(get, "port") {
				port = fmt.Sprint(number(p, "containerPort"))
			}
		}
		url := "http://" + m.port(pod, port) + text(get, "path")
		last := "no answer"
		deadline := time.Now().Add(60 * time.Second)
		for ok := false; !ok; {
			resp, err := http.Get(url)
			if err == nil {
				resp.Body.Close()
				last, ok = resp.Status, resp.StatusCode == http.StatusOK
			}
			if !ok && time.Now().After(deadline) {
				m.t.Fatalf("%s: the %s, %s, does not succeed: %s, %v", pod, probe, text(get, "path"), last, err)
			}
			if !ok {
				<-time.After(100 * time.Millisecond)
			}
		}
	}
}
