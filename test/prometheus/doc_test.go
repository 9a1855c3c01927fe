// Package prometheus_test holds the rules of Prometheus, the dashboard and the runbooks to
// the program: what they ask for exists, each alert fires when it should and has a runbook,
// and a real Prometheus that looks at a real mesh says what was broken on purpose.
package prometheus_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

var (
	bin   string // where the built programs are
	tools string // where prometheus and promtool are
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vibemesh-prometheus")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/vibemesh", "./cmd/sv-cli", "./deploy/grafana/dashboard", "github.com/nats-io/nats-server/v2")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs: %v\n%s", err, out)
		return 1
	}
	bin = dir
	found, err := exec.Command(root + "/scripts/ensure-prometheus").Output()
	if err != nil {
		fmt.Fprintf(os.Stderr, "Prometheus: %v\n", err)
		return 1
	}
	tools = strings.TrimSpace(string(found))
	return m.Run()
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// promtool runs a command of promtool, in deploy/prometheus.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(tools, "promtool"), args...)
	cmd.Dir, cmd.Stdin = root+"/deploy/prometheus", strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
