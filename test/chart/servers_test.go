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

// TestFewerServers: what only those stored that go would be lost, or without a leader.
func TestFewerServers(t *testing.T) {
	in := "fewer-servers"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	args := []string{release, chartDir, "--no-hooks", "--values", chartDir + "/ci/01-minimal-values.yaml"}
	if out, err := helm(t.Context(), in, append([]string{"install", "--set", "nats.replicas=5"}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for set, says := range map[string]string{"nats.replicas=3": "raft peer-remove", "nats.replicas=1": "back the log up"} {
		if out, err := helm(t.Context(), in, append([]string{"upgrade", "--set", set}, args...)...); err == nil || !strings.Contains(err.Error()+out, says) {
			t.Errorf("%s of five: %v\n%s", set, err, out)
		}
	}
	if out, err := cluster.kubectl(t.Context(), "", "scale", "-n", in, "statefulset", "vibemesh-nats", "--replicas=3"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := helm(t.Context(), in, append([]string{"upgrade", "--set", "nats.replicas=3"}, args...)...); err != nil {
		t.Errorf("after two were taken out: %v\n%s", err, out)
	}
}

// TestLargerVolumes: Kubernetes refuses them in a StatefulSet that is there, after the
// upgrade has changed half of the release; so the chart says it first, and how to.
func TestLargerVolumes(t *testing.T) {
	in := "larger-volumes"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	args := []string{release, chartDir, "--no-hooks", "--values", chartDir + "/ci/01-minimal-values.yaml"}
	if out, err := helm(t.Context(), in, append([]string{"install"}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := helm(t.Context(), in, append([]string{"upgrade", "--set", "nats.storage.size=51200Mi"}, args...)...); err != nil {
		t.Errorf("the same size in other words: %v\n%s", err, out)
	}
	for _, set := range []string{"nats.storage.size=100Gi", "nats.storage.storageClassName=fast"} {
		if out, err := helm(t.Context(), in, append([]string{"upgrade", "--set", set}, args...)...); err == nil || !strings.Contains(err.Error()+out, "--cascade=orphan") {
			t.Errorf("%s: %v\n%s", set, err, out)
		}
	}
	withoutServers(t, in)
	if out, err := helm(t.Context(), in, append([]string{"upgrade", "--set", "nats.storage.size=100Gi"}, args...)...); err != nil {
		t.Errorf("after the StatefulSet was deleted: %v\n%s", err, out)
	}
}

// TestTLSAmongServers: one server that speaks TLS with two that do not is never ready, so
// the roll-out would stop at it.
func TestTLSAmongServers(t *testing.T) {
	in := "tls-among-servers"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	args := []string{release, chartDir, "--no-hooks", "--values", chartDir + "/ci/01-minimal-values.yaml"}
	with := []string{"upgrade", "--set", "nats.tls.existingSecret=nats-tls"}
	if out, err := helm(t.Context(), in, append([]string{"install"}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := helm(t.Context(), in, append(with, args...)...); err == nil || !strings.Contains(out, "switches TLS on") {
		t.Errorf("TLS in a cluster without: %v\n%s", err, out)
	}
	withoutServers(t, in)
	if out, err := helm(t.Context(), in, append(with, args...)...); err != nil {
		t.Errorf("TLS in a new cluster: %v\n%s", err, out)
	}
	if out, err := helm(t.Context(), in, append(append(with, "--set", "edge.replicas=4"), args...)...); err != nil {
		t.Errorf("another change: %v\n%s", err, out)
	}
	if out, err := helm(t.Context(), in, append([]string{"upgrade"}, args...)...); err == nil || !strings.Contains(out, "switches TLS off") {
		t.Errorf("no TLS in a cluster with: %v\n%s", err, out)
	}
}

// TestOtherNames: other names make other servers, with an empty log, and the Services and
// policies of another nameOverride find no pod that there is, while Deployments are refused.
func TestOtherNames(t *testing.T) {
	in := "other-names"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	args := []string{release, chartDir, "--no-hooks", "--values", chartDir + "/ci/01-minimal-values.yaml"}
	upgrade := func(set string) (string, error) {
		return helm(t.Context(), in, append([]string{"upgrade", "--set", set}, args...)...)
	}
	if out, err := helm(t.Context(), in, append([]string{"install", "--set", "fullnameOverride=mesh"}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for set, says := range map[string]string{
		"fullnameOverride=other":                   "set fullnameOverride=mesh",
		"fullnameOverride=mesh,nameOverride=other": "set nameOverride=vibemesh",
		"fullnameOverride=":                        "set fullnameOverride=mesh",
	} {
		if out, err := upgrade(set); err == nil || !strings.Contains(out, says) {
			t.Errorf("%s is not refused by %q: %v\n%s", set, says, err, out)
		}
	}
	if out, err := upgrade("fullnameOverride=mesh,edge.replicas=4"); err != nil {
		t.Errorf("the same name: %v\n%s", err, out)
	}
	second := append([]string{"install", "second", chartDir, "--set", "fullnameOverride=other"}, args[2:]...)
	if out, err := helm(t.Context(), in, second...); err != nil {
		t.Errorf("another release beside it: %v\n%s", err, out)
	}
	if out, err := upgrade("fullnameOverride=another,provision.allowDataLoss=true"); err != nil {
		t.Errorf("a new log that is meant: %v\n%s", err, out)
	}
}
