package chart_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestAccepted has the API server take everything that the chart renders of each file of
// values, and every pod that comes of it, in a namespace that restricted pod security is
// enforced in.
func TestAccepted(t *testing.T) {
	var mu sync.Mutex
	kinds := map[string]int{}
	eachCase(t, func(t *testing.T, all objects) {
		t.Parallel()
		account(t, all)
		for in, part := range byNamespace(all) {
			var manifest strings.Builder
			for _, o := range part {
				manifest.WriteString("---\n" + marshal(t, o))
			}
			out, err := apply(t.Context(), in, manifest.String(), "--dry-run=server")
			if err != nil {
				t.Error(err)
			}
			if n := strings.Count(out, "(server dry run)"); n != len(part) {
				t.Errorf("the API server took %d of %d objects:\n%s", n, len(part), out)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for _, o := range all {
			kinds[o.kind()]++
		}
		for _, o := range all {
			if p := podTemplate(o); p != nil && o.kind() != "Pod" {
				admitted(t, o, p)
				kinds["pods of a "+o.kind()]++
			}
		}
	})
	t.Cleanup(func() {
		total := 0
		var lines []string
		for _, k := range slices.Sorted(maps.Keys(kinds)) {
			total += kinds[k]
			lines = append(lines, fmt.Sprintf("%5d %s", kinds[k], k))
		}
		fmt.Printf("%5d objects of %d files of values were accepted by kube-apiserver:\n%s\n", total, len(cases(t)), strings.Join(lines, "\n"))
		for _, k := range []string{
			"ConfigMap", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy", "Pod", "PodDisruptionBudget",
			"PodMonitor", "PrometheusRule", "ScaledObject", "Secret", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet",
		} {
			if kinds[k] == 0 {
				t.Errorf("no file of values renders a %s", k)
			}
		}
	})
}

// account makes the ServiceAccount that the pods name, since a pod without is refused.
func account(t *testing.T, all objects) {
	t.Helper()
	for _, o := range all.of("ServiceAccount") {
		if _, err := apply(t.Context(), namespace, marshal(t, o), "--server-side", "--force-conflicts"); err != nil {
			t.Fatal(err)
		}
	}
}

func byNamespace(all objects) map[string]objects {
	parts := map[string]objects{}
	for _, o := range all {
		in := text(o, "metadata", "namespace")
		parts[in] = append(parts[in], o)
	}
	return parts
}

// admitted creates the pod itself, as a controller would, without storing it: what makes
// pods is only warned of, the pod is refused.
func admitted(t *testing.T, o, template object) {
	t.Helper()
	pod := object{
		"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
		"metadata": map[string]any{"name": "a-pod", "namespace": namespace, "labels": dig(template, "metadata", "labels"), "annotations": dig(template, "metadata", "annotations")},
	}
	spec := mapping(pod, "spec")
	if claims := list(o, "spec", "volumeClaimTemplates"); claims != nil {
		spec = maps.Clone(spec)
		volumes := slices.Clone(list(spec, "volumes"))
		for _, c := range claims {
			name := text(c, "metadata", "name")
			volumes = append(volumes, map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name}})
		}
		spec["volumes"] = volumes
		pod["spec"] = spec
	}
	if _, err := apply(t.Context(), namespace, marshal(t, pod), "--dry-run=server"); err != nil {
		t.Errorf("the pod of %s: %v", o.id(), err)
	}
}

// TestUnsafeSysctls shows that the namespace does refuse what is not restricted, and that
// the same is accepted where the cluster allows it.
func TestUnsafeSysctls(t *testing.T) {
	all := render(t, "--values", chartDir+"/ci/01-minimal-values.yaml",
		"--set", "edge.sysctls[0].name=net.core.somaxconn", "--set-string", "edge.sysctls[0].value=16384")
	deployment := marshal(t, all.get("Deployment", "vibemesh-edge"))
	if out, err := apply(t.Context(), namespace, deployment, "--dry-run=server"); err == nil || !strings.Contains(out, "net.core.somaxconn") {
		t.Errorf("a restricted namespace does not warn of net.core.somaxconn: %v\n%s", err, out)
	}
	if err := cluster.namespace(t.Context(), "open", "privileged"); err != nil {
		t.Fatal(err)
	}
	deployment = strings.ReplaceAll(deployment, "namespace: "+namespace, "namespace: open")
	if _, err := apply(t.Context(), "open", deployment, "--dry-run=server"); err != nil {
		t.Error(err)
	}
}

// TestHelmVersions has both versions of Helm that are in use find nothing wrong, and
// render the same.
func TestHelmVersions(t *testing.T) {
	for _, file := range cases(t) {
		var rendered []string
		for _, helm := range []string{"helm", "helm3"} {
			if _, err := output(t.Context(), "", helm, "lint", "--strict", chartDir, "--values", file); err != nil {
				t.Error(err)
			}
			out, err := output(t.Context(), "", helm, "template", release, chartDir, "--namespace", namespace, "--values", file)
			if err != nil {
				t.Fatal(err)
			}
			var objects []string
			for _, o := range parse(t, out) {
				objects = append(objects, marshal(t, o))
			}
			slices.Sort(objects)
			rendered = append(rendered, strings.Join(objects, "---\n"))
		}
		if rendered[0] != rendered[1] {
			t.Errorf("%s: Helm 3 and 4 render different objects", file)
		}
	}
}
