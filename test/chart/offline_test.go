package chart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRenderedWithoutACluster: what renders the chart without seeing the cluster (Argo CD)
// gets objects that can be applied again and again: a Job that is no hook and has another
// name when it does something else, since a Job cannot be changed.
func TestRenderedWithoutACluster(t *testing.T) {
	job := func(args ...string) object {
		t.Helper()
		all := render(t, append([]string{"--values", chartDir + "/ci/01-minimal-values.yaml", "--is-upgrade"}, args...)...)
		jobs := all.of("Job")
		if len(jobs) != 1 {
			t.Fatalf("%d jobs", len(jobs))
		}
		return jobs[0]
	}
	first := job()
	if hook := text(first, "metadata", "annotations", "helm.sh/hook"); hook != "" {
		t.Errorf("it is a hook %q, which would wait for what is not there yet", hook)
	}
	if again := job("--set", "edge.replicas=9"); again.name() != first.name() || marshal(t, again) != marshal(t, first) {
		t.Error("it changes with what it has nothing to do with")
	}
	if other := job("--set", "settings.WS_HISTORY_AGE=48h"); other.name() == first.name() {
		t.Error("the same Job is to do something else, which Kubernetes refuses")
	}
	scaled := render(t, "--values", chartDir+"/ci/05-hpa-values.yaml", "--is-upgrade")
	for _, d := range scaled.of("Deployment") {
		if strings.HasSuffix(d.name(), "-edge") && dig(d, "spec", "replicas") != nil {
			t.Errorf("%s names a number of pods, against whoever scales it", d.id())
		}
	}
}

// TestProtocols: gateways and proxies go by what a Service says that it speaks.
func TestProtocols(t *testing.T) {
	for set, want := range map[string][2]string{
		"edge.replicas=3": {"kubernetes.io/ws", "http"},
		"edge.maxSessions=10000,tls.existingSecret=tls": {"kubernetes.io/wss", "https"},
	} {
		all := render(t, "--values", chartDir+"/ci/01-minimal-values.yaml", "--set", set)
		for i, name := range []string{"vibemesh-edge", "vibemesh-api"} {
			if got := text(all.get("Service", name), "spec", "ports", 0, "appProtocol"); got != want[i] {
				t.Errorf("with %s %s speaks %s, want %s", set, name, got, want[i])
			}
		}
		// The server speaks first: a service mesh that listens for the client, to see what it is, waits in vain.
		for _, name := range []string{"vibemesh-nats", "vibemesh-nats-headless"} {
			for _, p := range list(all.get("Service", name), "spec", "ports") {
				if want := map[string]string{"client": "tcp", "cluster": "tcp", "monitor": "http"}[text(p, "name")]; text(p, "appProtocol") != want {
					t.Errorf("%s of %s speaks %q, want %s", text(p, "name"), name, text(p, "appProtocol"), want)
				}
			}
		}
	}
}

// TestInAnotherChart: a chart that has this one in it switches it on and off by a value of
// this one, as Helm has it (condition).
func TestInAnotherChart(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "charts", "vibemesh"), os.DirFS(chartDir)); err != nil {
		t.Fatal(err)
	}
	meta := "{apiVersion: v2, name: platform, version: 1.0.0, dependencies: [{name: vibemesh, version: '*', condition: vibemesh.enabled}]}"
	for name, content := range map[string]string{"Chart.yaml": meta, "values.yaml": "global: {region: eu}\nvibemesh: {settings: {FIREBASE_PROJECT_ID: acme}, nats: {credentials: {existingSecret: nats}}}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for set, want := range map[string]int{"vibemesh.enabled=true": 2, "vibemesh.enabled=false": 0} {
		for _, program := range []string{"helm", "helm3"} {
			out, err := output(t.Context(), "", program, "template", release, dir, "--namespace", namespace, "--set", set)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(parse(t, out).of("Deployment")); n != want {
				t.Errorf("%s: %d Deployments with %s, want %d", program, n, set, want)
			}
		}
	}
}
