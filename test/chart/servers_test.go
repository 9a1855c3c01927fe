package chart_test

import (
	"strings"
	"testing"
)

// TestOneServerStaysOne: in a cluster nats-server removes what it stored alone, so that
// is refused unless it is meant.
func TestOneServerStaysOne(t *testing.T) {
	in := "one-server"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	args := []string{release, chartDir, "--no-hooks", "--values", chartDir + "/ci/01-minimal-values.yaml"}
	if out, err := helm(t.Context(), in, append([]string{"install", "--set", "nats.replicas=1"}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := helm(t.Context(), in, append([]string{"upgrade"}, args...)...); err == nil || !strings.Contains(err.Error()+out, "the log would be lost") {
		t.Errorf("three servers out of one: %v\n%s", err, out)
	}
	if out, err := helm(t.Context(), in, append([]string{"upgrade", "--set", "provision.allowDataLoss=true"}, args...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
