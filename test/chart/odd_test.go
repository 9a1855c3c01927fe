package chart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// minimal are arguments for the values of ci/01 with others, in YAML as in a file, over them.
func minimal(t *testing.T, more string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"--values", chartDir + "/ci/01-minimal-values.yaml", "--values", file}
}

// TestNumbers: what a file of values has as a number comes to Helm as a floating one,
// whose text has an exponent from a million on.
func TestNumbers(t *testing.T) {
	all := render(t, minimal(t, `
edge:
  maxSessions: 1500000
  autoscaling: {kind: hpa, targetSessions: 1200000}
  resources: {requests: {cpu: 8, memory: 8589934592}, limits: {memory: 17179869184}}
`)...)
	env := environment(dig(all.get("Deployment", "vibemesh-edge"), "spec", "template", "spec", "containers", 0))
	if got := env["WS_CONNECTION_THRESHOLD"]; got != "1500000" {
		t.Errorf("WS_CONNECTION_THRESHOLD is %q", got)
	}
	if got := env["GOMEMLIMIT"]; got != "8549882265" {
		t.Errorf("GOMEMLIMIT is %q", got)
	}
	if got := text(all.get("HorizontalPodAutoscaler", "vibemesh-edge"), "spec", "metrics", 0, "pods", "target", "averageValue"); got != "1200000" {
		t.Errorf("the HorizontalPodAutoscaler aims at %q", got)
	}
}

// TestOddNames has the API server take names that YAML would read as something else than
// text, and labels from two sides.
func TestOddNames(t *testing.T) {
	in := "2024"
	if err := cluster.namespace(t.Context(), in, "restricted"); err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]string{
		"names": `
nameOverride: "1"
fullnameOverride: "null"
nats: {credentials: {existingSecret: "1"}, tls: {existingSecret: "2", clientSecret: "3"}, storage: {storageClassName: "4"}}
publishSecret: {existingSecret: "5", key: "6"}
tls: {existingSecret: "7"}
edge: {maxSessions: 1000}
existingConfigMap: "8"
imagePullSecrets: ["9"]
serviceAccount: {name: "10"}
ingress: {enabled: true, className: "11", hosts: [a.example.com], tlsSecret: "12"}
networkPolicy: {monitoringNamespace: "13"}
metrics: {serviceMonitor: {enabled: true}}
otel: {endpoint: "http://collector:4318", resourceAttributes: {team: "a: b # c"}}
`,
		"labels": `
fullnameOverride: mesh
commonLabels: {team: all, tier: "1"}
edge: {podLabels: {team: edges}}
metrics: {podMonitor: {enabled: true, labels: {team: monitors}}, dashboard: {enabled: true, labels: {team: dashboards}}}
`,
	} {
		out, err := helm(t.Context(), in, append([]string{"template", "20", chartDir}, minimal(t, more)...)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range parse(t, out).of("ServiceAccount") {
			if _, err := apply(t.Context(), in, marshal(t, o)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := apply(t.Context(), in, out, "--dry-run=server"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWithoutResources: null takes defaults away, as {} does not, and a GOMEMLIMIT of
// somebody's own goes in place of the chart's, not beside it.
func TestWithoutResources(t *testing.T) {
	all := render(t, minimal(t, `
edge: {resources: null}
api: {resources: null}
nats: {resources: null}
provision: {resources: null}
`)...)
	for _, o := range all {
		c := dig(podTemplate(o), "spec", "containers", 0)
		if c == nil || o.kind() == "Pod" {
			continue
		}
		if got := mapping(c, "resources"); len(got) != 0 {
			t.Errorf("%s: %v", o.id(), got)
		}
	}
	own := render(t, minimal(t, `{edge: {extraEnv: [{name: GOMEMLIMIT, value: 1GiB}]}}`)...).get("Deployment", "vibemesh-edge")
	if n := strings.Count(marshal(t, own), "GOMEMLIMIT"); n != 1 {
		t.Errorf("GOMEMLIMIT is there %d times", n)
	}
}

// TestGoTogether: what is much like values that are refused, and right.
func TestGoTogether(t *testing.T) {
	for _, set := range []string{
		`edge.autoscaling={"kind":"hpa","targetCPU":0};edge.resources=null`,
		`edge.autoscaling.kind="hpa";edge.resources={"requests":{"cpu":null},"limits":{"cpu":2}}`,
		`nats.enabled=false;nats.url="tls://user@a.example.com,nats://[2001:db8::1]:4222"`,
		`nats.enabled=false;nats.url="wss://nats.example.com/nats";networkPolicy.natsPorts=[443]`,
		`nats.enabled=false;nats.url="nats://a.example.com:5222";networkPolicy.enabled=false`,
		`nats.enabled=false;nats.url="nats://a.example.com:5222";networkPolicy.extraEgress=[{"ports":[{"port":5222}]}];networkPolicy.natsPorts=[5222]`,
	} {
		args := []string{"--values", chartDir + "/ci/01-minimal-values.yaml"}
		for value := range strings.SplitSeq(set, ";") {
			args = append(args, "--set-json", value)
		}
		if out, err := template(t, args...); err != nil {
			t.Errorf("%s: %v\n%s", set, err, out)
		}
	}
}
