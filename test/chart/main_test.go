// Package chart_test holds the Helm chart to what it promises: whatever it renders is
// taken by a real Kubernetes API server, without a warning, in a namespace of restricted
// pod security; wrong values are refused by name; and what is rendered fits together.
//
// The API server, etcd, kubectl and helm are those of test/chart/tools; CHART_TOOLS names
// the folder that scripts/ensure-kube has built them into. `make test-chart` does both.
package chart_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	root     = "../.."
	chartDir = root + "/charts/vibemesh"
	// release and namespace are those of what is rendered, unless a test says otherwise.
	release   = "vibemesh"
	namespace = "notify"
)

// cluster is the API server that all tests share; each works in namespaces of its own.
var cluster *controlPlane

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if os.Getenv("CHART_TOOLS") == "" {
		fmt.Fprintln(os.Stderr, "CHART_TOOLS is empty: run `make test-chart`, or set it to what scripts/ensure-kube prints")
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	c, err := startControlPlane(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting an API server:", err)
		return 1
	}
	defer c.stop()
	if err := c.prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the API server:", err)
		return 1
	}
	cluster = c
	return m.Run()
}

// tool is the path of one of the programs that scripts/ensure-kube has built.
func tool(name string) string { return filepath.Join(os.Getenv("CHART_TOOLS"), name) }

// output runs a program, for two minutes at most, and returns what it wrote to both outputs.
func output(ctx context.Context, stdin string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if cluster != nil {
		cmd.Env = cluster.environment()
	}
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String(), err
}
