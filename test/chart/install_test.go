package chart_test

import (
	"context"
	"strings"
	"testing"
)

// helm runs helm against the API server, in a namespace.
func helm(ctx context.Context, in string, args ...string) (string, error) {
	return output(ctx, "", "helm", append(args, "--namespace", in)...)
}

// TestInstallAndUpgrade stores a release and changes it in every way that the files of
// values allow, since what an API server takes as new it may not take as a change.
// Nothing runs in this cluster, so hooks are left out.
func TestInstallAndUpgrade(t *testing.T) {
	in := "lifecycle"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	for i, file := range cases(t) {
		args := []string{"upgrade", release, chartDir, "--reset-values"}
		if i == 0 {
			args = []string{"install", release, chartDir}
		}
		// What Kubernetes lets nobody change: names, and the volumes of a StatefulSet. One server becomes several, with no log to lose.
		args = append(args, "--no-hooks", "--values", file, "--set", "fullnameOverride=,nameOverride=,nats.storage.size=50Gi,nats.storage.storageClassName=,provision.allowDataLoss=true")
		out, err := helm(t.Context(), in, args...)
		if err != nil && strings.Contains(out, "switches TLS") { // which takes all servers at once
			withoutServers(t, in)
			out, err = helm(t.Context(), in, args...)
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, out)
		}
	}
	if out, err := helm(t.Context(), in, "rollback", release, "--no-hooks"); err != nil {
		t.Errorf("back to the one before: %v\n%s", err, out)
	}
	if out, err := helm(t.Context(), in, "uninstall", release, "--no-hooks"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	out, err := cluster.kubectl(t.Context(), "", "get", "-n", in, "-o", "name",
		"deployments,statefulsets,services,configmaps,secrets,networkpolicies,poddisruptionbudgets,ingresses,horizontalpodautoscalers,serviceaccounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, release) {
			t.Errorf("left behind: %s", line)
		}
	}
}

// withoutServers removes the StatefulSet. Its pods would be orphans by a controller, and
// deleted; neither are there here.
func withoutServers(t *testing.T, in string) {
	t.Helper()
	if out, err := cluster.kubectl(t.Context(), "", "delete", "-n", in, "statefulset", "vibemesh-nats", "--cascade=background"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestProvisionOrder holds that the log is made beside the servers at first, by a hook
// before anything else later, and beside again where the servers are not there yet.
func TestProvisionOrder(t *testing.T) {
	in := "order"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	values := []string{"--values", chartDir + "/ci/01-minimal-values.yaml"}
	hook := func(args ...string) (name, when string) {
		t.Helper()
		out, err := helm(t.Context(), in, append(args, "--dry-run=server")...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, rest, found := strings.Cut(out, "kind: Job\n")
		if !found {
			t.Fatalf("no Job:\n%s", out)
		}
		rest, _, _ = strings.Cut(rest, "spec:")
		for line := range strings.Lines(rest) {
			if n, ok := strings.CutPrefix(strings.TrimSpace(line), "name: "); ok && name == "" {
				name = strings.Trim(n, `"`)
			}
			if w, ok := strings.CutPrefix(strings.TrimSpace(line), "helm.sh/hook: "); ok {
				when = w
			}
		}
		return name, when
	}
	upgrade := append([]string{"upgrade", release, chartDir, "--reset-values"}, values...)

	if name, when := hook(append([]string{"install", release, chartDir}, values...)...); when != "" || !strings.HasPrefix(name, "vibemesh-provision-") {
		t.Errorf("at the installation the Job is %s, a hook %q", name, when)
	}
	if out, err := helm(t.Context(), in, append([]string{"install", release, chartDir, "--no-hooks"}, values...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	serversAreReady(t, in)
	if name, when := hook(upgrade...); when != "pre-upgrade" || name != "vibemesh-provision-upgrade" {
		t.Errorf("in an upgrade the Job is %s, a hook %q", name, when)
	}
	if _, when := hook(append(upgrade, "--set", "provision.beforeUpgrade=false")...); when != "" {
		t.Errorf("with provision.beforeUpgrade=false it is a hook %q", when)
	}
	if _, when := hook(append(upgrade, "--set", "fullnameOverride=other,provision.allowDataLoss=true")...); when != "" {
		t.Errorf("where the servers are not there yet it is a hook %q, which would wait for them for ever", when)
	}
	if _, when := hook(append(upgrade, "--set", "nats.enabled=false", "--set", "nats.url=nats://elsewhere:4222")...); when != "pre-upgrade" {
		t.Errorf("with another cluster it is a hook %q", when)
	}
	if _, when := hook(append(upgrade, "--set", "serviceAccount.name=other")...); when != "" {
		t.Errorf("where the account of its pod is not there yet it is a hook %q, which would wait for it in vain", when)
	}
}

// serversAreReady says so for the controller, which does not run here.
func serversAreReady(t *testing.T, in string) {
	t.Helper()
	ready := `{"status":{"replicas":3,"readyReplicas":3}}`
	if out, err := cluster.kubectl(t.Context(), "", "patch", "-n", in, "statefulset", "vibemesh-nats", "--subresource=status", "--type=merge", "--patch", ready); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestUpgradeMendsAnInstallation: while no server is ready, what would wait for one does
// not come first, since the upgrade may be what gets them ready.
func TestUpgradeMendsAnInstallation(t *testing.T) {
	in := "mends"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	args := []string{release, chartDir, "--values", chartDir + "/ci/01-minimal-values.yaml"}
	if out, err := helm(t.Context(), in, append([]string{"install", "--no-hooks"}, args...)...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	upgrade := func() string {
		out, err := helm(t.Context(), in, append([]string{"upgrade", "--dry-run=server"}, args...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	if strings.Contains(upgrade(), "pre-upgrade") {
		t.Error("it waits for servers of which none is ready")
	}
	serversAreReady(t, in)
	if !strings.Contains(upgrade(), "pre-upgrade") {
		t.Error("it does not come first although servers are ready")
	}
}

// TestProvisionGivesUp: a hook that is refused stops the upgrade at once and says why,
// while the Job beside servers that are being changed tries again.
func TestProvisionGivesUp(t *testing.T) {
	in := "gives-up"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	args := []string{release, chartDir, "--values", chartDir + "/ci/01-minimal-values.yaml"}
	job := func(command string, more ...string) string {
		t.Helper()
		out, err := helm(t.Context(), in, append(append([]string{command}, args...), more...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, rest, _ := strings.Cut(out, "kind: Job\n")
		rest, _, _ = strings.Cut(rest, "\n---")
		return rest
	}
	if got := job("install", "--dry-run=server"); !strings.Contains(got, "operator: In, values: [2]}") {
		t.Errorf("beside the servers only wrong settings end it:\n%s", got)
	}
	job("install", "--no-hooks")
	serversAreReady(t, in)
	got := job("upgrade", "--dry-run=server")
	for _, want := range []string{"action: FailJob", "operator: In, values: [2, 3]}", "helm.sh/hook-output-log-policy: hook-failed"} {
		if !strings.Contains(got, want) {
			t.Errorf("the hook lacks %q:\n%s", want, got)
		}
	}
}
