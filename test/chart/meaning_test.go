package chart_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDrainFitsGrace holds that nobody is killed while people are being moved: the pause,
// the drain and the 15 s that the program takes to end come before the kubelet loses patience.
func TestDrainFitsGrace(t *testing.T) {
	eachCase(t, func(t *testing.T, all objects) {
		for _, d := range all.of("Deployment") {
			spec := mapping(d, "spec", "template", "spec")
			c := dig(spec, "containers", 0)
			var drain int
			if _, err := fmt.Sscanf(environment(c)["WS_DRAIN_TIMEOUT"], "%ds", &drain); err != nil {
				t.Fatalf("%s: WS_DRAIN_TIMEOUT: %v", d.id(), err)
			}
			pause := number(c, "lifecycle", "preStop", "sleep", "seconds")
			if grace := number(spec, "terminationGracePeriodSeconds"); pause < 1 || grace < pause+drain+15 {
				t.Errorf("%s: a grace of %d s for a pause of %d, a drain of %d and 15 to end", d.id(), grace, pause, drain)
			}
			if surge, missing := number(d, "spec", "strategy", "rollingUpdate", "maxSurge"), number(d, "spec", "strategy", "rollingUpdate", "maxUnavailable"); surge != 1 || missing != 0 {
				t.Errorf("%s: a roll-out by %d more and %d fewer at once", d.id(), surge, missing)
			}
			if got := text(c, "livenessProbe", "httpGet", "path"); got != "/healthz" {
				t.Errorf("%s: restarted on %s, which drops sessions that NATS would come back to", d.id(), got)
			}
			if got := text(c, "readinessProbe", "httpGet", "path"); got != "/readyz" {
				t.Errorf("%s: ready by %s", d.id(), got)
			}
		}
	})
}

// TestLameDuckFitsGrace compares the NATS pods with the configuration that they run.
func TestLameDuckFitsGrace(t *testing.T) {
	set := render(t, "--values", chartDir+"/ci/01-minimal-values.yaml").get("StatefulSet", "vibemesh-nats")
	conf := read(t, "nats/cluster.conf")
	lame := 0
	for _, key := range []string{"lame_duck_grace_period", "lame_duck_duration"} {
		_, rest, found := strings.Cut(conf, "\n"+key+": ")
		var seconds int
		if _, err := fmt.Sscanf(rest, "%ds", &seconds); !found || err != nil {
			t.Fatalf("nats/cluster.conf: %s: %v", key, err)
		}
		lame += seconds
	}
	if grace := number(set, "spec", "template", "spec", "terminationGracePeriodSeconds"); grace < lame+15 {
		t.Errorf("a grace of %d s for %d s of lame duck mode and 15 to end", grace, lame)
	}
	set4 := marshal(t, render(t, "--values", chartDir+"/ci/04-nats-tls-values.yaml").get("StatefulSet", "vibemesh-nats"))
	for _, file := range []string{"nats/cluster.conf", "nats/tls.conf", "nats/cluster-tls.conf"} {
		for _, name := range variables(read(t, file)) {
			if !strings.Contains(set4, "name: "+name+"\n") {
				t.Errorf("%s reads $%s, which the pods do not have", file, name)
			}
		}
	}
}

// variables are the names that a configuration of NATS reads from the environment.
func variables(conf string) []string {
	var names []string
	for line := range strings.Lines(conf) {
		if _, rest, ok := strings.Cut(line, "$"); ok && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			names = append(names, strings.TrimRight(strings.TrimSpace(rest), "]"))
		}
	}
	return names
}

// TestSelectors holds that each Service, policy, budget and monitor finds the pods it is
// for, by the ports that they have.
func TestSelectors(t *testing.T) {
	eachCase(t, func(t *testing.T, all objects) {
		pods := map[string]object{} // by component
		for _, o := range all {
			if p := podTemplate(o); p != nil {
				pods[text(p, "metadata", "labels", "app.kubernetes.io/component")] = p
			}
		}
		for _, o := range all {
			var selector map[string]any
			switch o.kind() {
			case "Service":
				selector = mapping(o, "spec", "selector")
			case "Deployment", "StatefulSet", "PodDisruptionBudget", "PodMonitor":
				selector = mapping(o, "spec", "selector", "matchLabels")
			case "NetworkPolicy":
				selector = mapping(o, "spec", "podSelector", "matchLabels")
			default:
				continue
			}
			found := matching(pods, selector)
			if want := text(o, "metadata", "labels", "app.kubernetes.io/component"); want != "monitoring" && !slices.Equal(found, []string{want}) && (want != "provision" || pods[want] != nil) {
				t.Errorf("%s is for %s, and selects %v", o.id(), want, found)
			}
			if o.kind() == "Service" {
				for _, p := range list(o, "spec", "ports") {
					if len(found) > 0 && !slices.Contains(portNames(pods[found[0]]), text(p, "targetPort")) {
						t.Errorf("%s: the pods have no port %v", o.id(), dig(p, "targetPort"))
					}
				}
			}
		}
		for _, m := range all.of("ServiceMonitor") {
			n := 0
			for _, s := range all.of("Service") {
				if contains(mapping(s, "metadata", "labels"), mapping(m, "spec", "selector", "matchLabels")) {
					n++
				}
			}
			if n != 2 {
				t.Errorf("%s selects %d Services, want those of edges and APIs", m.id(), n)
			}
		}
	})
}

func matching(pods map[string]object, selector map[string]any) []string {
	var found []string
	for component, p := range pods {
		if contains(mapping(p, "metadata", "labels"), selector) {
			found = append(found, component)
		}
	}
	slices.Sort(found)
	return found
}

func contains(labels, selector map[string]any) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func portNames(pod object) []string {
	var names []string
	for _, p := range list(pod, "spec", "containers", 0, "ports") {
		names = append(names, text(p, "name"))
	}
	return names
}

// TestRoutes holds that the sockets' path and no other leads to the edges, without a
// limit of time.
func TestRoutes(t *testing.T) {
	var routes []string
	for _, i := range render(t, "--values", chartDir+"/ci/07-ingress-values.yaml").of("Ingress") {
		for _, rule := range list(i, "spec", "rules") {
			p := dig(rule, "http", "paths", 0)
			routes = append(routes, fmt.Sprint(text(rule, "host"), " ", text(p, "pathType"), " ", text(p, "path"), " ", text(p, "backend", "service", "name"), " ",
				text(i, "metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-read-timeout")))
		}
	}
	slices.Sort(routes)
	if want := []string{
		"ws.example.com Exact /api/v1/ws vibemesh-edge 3600", "ws.example.com Prefix / vibemesh-api ",
		"ws.example.org Exact /api/v1/ws vibemesh-edge 3600", "ws.example.org Prefix / vibemesh-api ",
	}; !slices.Equal(routes, want) {
		t.Errorf("routes of the Ingresses: %q, want %q", routes, want)
	}

	routes = nil
	for _, rule := range list(render(t, "--values", chartDir+"/ci/08-gateway-values.yaml").of("HTTPRoute")[0], "spec", "rules") {
		match := dig(rule, "matches", 0, "path")
		routes = append(routes, fmt.Sprint(text(match, "type"), " ", text(match, "value"), " ", text(rule, "backendRefs", 0, "name"), " ", text(rule, "timeouts", "request")))
	}
	if want := []string{"Exact /api/v1/ws vibemesh-edge 0s", "PathPrefix / vibemesh-api 30s"}; !slices.Equal(routes, want) {
		t.Errorf("rules of the HTTPRoute: %q, want %q", routes, want)
	}
}

// TestNetworkPolicy holds that metrics and profiles are open to monitoring and the test
// alone, and NATS to those who have business with it; and ports to be numbers: there are
// networks (OVN-Kubernetes, so OpenShift) that take a port with a name for every port.
func TestNetworkPolicy(t *testing.T) {
	all := render(t, "--values", chartDir+"/ci/01-minimal-values.yaml")
	for name, want := range map[string][]string{
		"vibemesh-edge":      {"8080 from anybody", "9090 from namespace monitoring", "9090 from test"},
		"vibemesh-api":       {"8080 from anybody", "9090 from namespace monitoring", "9090 from test"},
		"vibemesh-provision": nil,
		"vibemesh-test":      nil,
		"vibemesh-nats":      {"4222 from api", "4222 from edge", "4222 from provision", "6222 from nats", "8222 from namespace monitoring"},
	} {
		policy := all.get("NetworkPolicy", name)
		var got []string
		for _, rule := range list(policy, "spec", "ingress") {
			port := fmt.Sprint(dig(rule, "ports", 0, "port"))
			if list(rule, "from") == nil {
				got = append(got, port+" from anybody")
			}
			for _, from := range list(rule, "from") {
				if ns := text(from, "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name"); ns != "" {
					got = append(got, port+" from namespace "+ns)
				} else {
					got = append(got, port+" from "+text(from, "podSelector", "matchLabels", "app.kubernetes.io/component"))
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s lets in %q, want %q", name, got, want)
		}
		if types := list(policy, "spec", "policyTypes"); len(types) != 2 {
			t.Errorf("%s limits %v only", name, types)
		}
		for _, rule := range list(policy, "spec", "egress") {
			for _, p := range list(rule, "ports") {
				if number(p, "port") == 0 {
					t.Errorf("%s lets out to the port %v, which is no number", name, dig(p, "port"))
				}
			}
		}
	}
	if n := len(render(t, "--values", chartDir+"/ci/03-trial-values.yaml").of("NetworkPolicy")); n != 0 {
		t.Errorf("%d policies although they are switched off", n)
	}
}

// TestOneScaler holds that two never scale the same Deployment, and that the Deployment
// then has no number of its own, to which an upgrade would take it back.
func TestOneScaler(t *testing.T) {
	eachCase(t, func(t *testing.T, all objects) {
		scaled := map[string]int{}
		for _, o := range append(all.of("HorizontalPodAutoscaler"), all.of("ScaledObject")...) {
			scaled[text(o, "spec", "scaleTargetRef", "name")]++
		}
		for _, d := range all.of("Deployment") {
			n, has := scaled[d.name()], dig(d, "spec", "replicas") != nil
			if n > 1 || has == (n == 1) {
				t.Errorf("%s: %d scalers, a number of its own: %v", d.id(), n, has)
			}
		}
	})
}

// TestNoSecrets holds that no secret is in the chart unless somebody gives it one.
func TestNoSecrets(t *testing.T) {
	for _, file := range cases(t) {
		want := 0
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "publishSecret: {value:") {
			want = 1
		}
		if n := len(render(t, "--values", file).of("Secret")); n != want {
			t.Errorf("%s renders %d Secrets, want %d", filepath.Base(file), n, want)
		}
	}
}

// TestLogFitsItsDisk: a store that is full takes nothing more, so the log has a limit below
// it by itself, and its mirror fits beside it.
func TestLogFitsItsDisk(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // of WS_HISTORY_BYTES; empty: it is not set
	}{
		{nil, fmt.Sprint(int64(50) << 30 * 4 / 5)},
		{[]string{"--set", "nats.storage.size=10Gi,settings.WS_READ_MIRROR=true"}, fmt.Sprint(int64(10) << 30 * 2 / 5)},
		{[]string{"--set", "settings.WS_HISTORY_BYTES=1GiB"}, "1GiB"},
		{[]string{"--set", "settings.WS_HISTORY_BYTES=0"}, "0"},
		{[]string{"--set", "existingConfigMap=mine"}, ""},
		{[]string{"--set", "nats.enabled=false,nats.url=nats://elsewhere:4222"}, ""},
	} {
		all := render(t, append([]string{"--values", chartDir + "/ci/01-minimal-values.yaml"}, tt.args...)...)
		got := text(all.get("ConfigMap", "vibemesh"), "data", "WS_HISTORY_BYTES")
		job := environment(dig(all.of("Job")[0], "spec", "template", "spec", "containers", 0))["WS_HISTORY_BYTES"]
		if got != tt.want || job != tt.want {
			t.Errorf("%v: WS_HISTORY_BYTES is %q, and %q to the provisioning; want %q", tt.args, got, job, tt.want)
		}
	}
}

// TestRollOut holds that pods are replaced when a setting changes, and only then.
func TestRollOut(t *testing.T) {
	pods := func(args ...string) map[string]string {
		templates := map[string]string{}
		for _, o := range render(t, append([]string{"--values", chartDir + "/ci/01-minimal-values.yaml"}, args...)...) {
			if p := podTemplate(o); p != nil {
				templates[o.kind()+" "+text(o, "metadata", "labels", "app.kubernetes.io/component")] = marshal(t, p)
			}
		}
		return templates
	}
	before := pods()
	for set, want := range map[string][]string{
		"settings.WS_PING_INTERVAL=30s":               {"Deployment api", "Deployment edge"},
		"settings.WS_HISTORY_AGE=48h":                 {"Deployment api", "Deployment edge", "Job provision"},
		"edge.maxSessions=40000":                      {"Deployment edge"},
		"edge.replicas=9":                             nil,
		"metrics.serviceMonitor.enabled=true":         nil,
		"nats.replicas=5":                             {"Deployment api", "Deployment edge", "Job provision", "StatefulSet nats"},
		"nats.tls.existingSecret=nats-tls":            {"Deployment api", "Deployment edge", "Job provision", "StatefulSet nats"},
		"publishSecret.existingSecret=publish":        {"Deployment api"}, // edges publish nothing
		"publishSecret.value=sixteen-characters":      {"Deployment api"},
		"nats.credentials.existingSecret=other-creds": {"Deployment api", "Deployment edge", "Job provision", "StatefulSet nats"},
	} {
		var changed []string
		for name, text := range pods("--set", set) {
			if before[name] != text {
				changed = append(changed, name)
			}
		}
		slices.Sort(changed)
		if !slices.Equal(changed, want) {
			t.Errorf("%s replaces %q, want %q", set, changed, want)
		}
	}
}

// TestScrapedWhileDraining: a pod that is told to stop leaves the Endpoints of a Service that
// does not publish who is not ready, and with them Prometheus, which is to see a drain that
// gets stuck. Clients are led to ready ones alone. Then the name that `helm test` asks is also
// that of pods that drain: it asks again.
func TestScrapedWhileDraining(t *testing.T) {
	all := render(t, "--values", chartDir+"/ci/10-monitoring-values.yaml")
	selector := mapping(all.of("ServiceMonitor")[0], "spec", "selector", "matchLabels")
	scraped := 0
	for _, s := range all.of("Service") {
		all, nats := dig(s, "spec", "publishNotReadyAddresses") == true, strings.Contains(s.id(), "nats")
		if ops := contains(mapping(s, "metadata", "labels"), selector); ops {
			scraped++
			if !all {
				t.Errorf("%s: Prometheus loses its pods when they begin to drain", s.id())
			}
		} else if all && !nats {
			t.Errorf("%s leads clients to pods that are not ready", s.id())
		}
	}
	if scraped != 2 {
		t.Errorf("%d services are scraped, want those of edges and APIs", scraped)
	}
	spec := mapping(all.get("Pod", "vibemesh-test"), "spec")
	if deadline, ok := dig(spec, "activeDeadlineSeconds").(int); spec["restartPolicy"] != "OnFailure" || !ok || deadline < 60 {
		t.Errorf("the pod of `helm test` fails on one that drains: restartPolicy %v for %v s", spec["restartPolicy"], spec["activeDeadlineSeconds"])
	}
}

// environment is the variables of a container that are given as they are.
func environment(container any) map[string]string {
	env := map[string]string{}
	for _, e := range list(container, "env") {
		env[text(e, "name")] = text(e, "value")
	}
	return env
}

// TestMemory holds that the Go runtime is told of a limit that leaves room for what the
// kernel keeps for the sockets, which counts as the pod's.
func TestMemory(t *testing.T) {
	all := render(t, "--values", chartDir+"/ci/01-minimal-values.yaml")
	for name, want := range map[string]string{
		"vibemesh-edge": fmt.Sprint((768<<20 - 50_000*5120) * 9 / 10),
		"vibemesh-api":  fmt.Sprint((512 << 20) * 9 / 10),
	} {
		if got := environment(dig(all.get("Deployment", name), "spec", "template", "spec", "containers", 0))["GOMEMLIMIT"]; got != want {
			t.Errorf("%s: GOMEMLIMIT is %s, want %s", name, got, want)
		}
	}
}

// TestSizes holds that the chart takes what its README recommends, and hardly less memory.
func TestSizes(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| (\d+) \| (\d+)(Mi|Gi) \|`).FindAllStringSubmatch(read(t, "charts/vibemesh/README.md"), -1)
	if len(rows) < 4 {
		t.Fatalf("%d rows of sizes in the README", len(rows))
	}
	for _, row := range rows {
		args := []string{"--values", chartDir + "/ci/01-minimal-values.yaml", "--set", "edge.maxSessions=" + row[1] + ",edge.ringMiB=" + row[2]}
		if out, err := template(t, append(args, "--set", "edge.resources.requests=null,edge.resources.limits.memory="+row[3]+row[4])...); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		limit, err := strconv.Atoi(row[3])
		if err != nil {
			t.Fatal(err)
		}
		if row[4] == "Gi" {
			limit *= 1024
		}
		if _, err := template(t, append(args, "--set", fmt.Sprintf("edge.resources.requests=null,edge.resources.limits.memory=%dMi", limit/2))...); err == nil {
			t.Errorf("%s sockets: half of %s%s would do", row[1], row[3], row[4])
		}
	}
}

// TestRules holds that rules and dashboard are those of the repository, and that alerts
// take labels.
func TestRules(t *testing.T) {
	all := render(t, "--values", chartDir+"/ci/10-monitoring-values.yaml")
	var file map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	alerts, rendered := 0, 0
	for _, g := range list(file, "groups") {
		for _, r := range list(g, "rules") {
			if text(r, "alert") != "" {
				alerts++
			}
		}
	}
	for _, g := range list(all.of("PrometheusRule")[0], "spec", "groups") {
		for _, r := range list(g, "rules") {
			if text(r, "alert") != "" && text(r, "labels", "team") == "platform" && text(r, "labels", "severity") != "" {
				rendered++
			}
		}
	}
	if alerts == 0 || rendered != alerts {
		t.Errorf("%d alerts with the label, of %d", rendered, alerts)
	}
	if got := text(all.get("ConfigMap", "vibemesh-dashboard"), "data", "vibemesh.json"); strings.TrimSpace(got) != strings.TrimSpace(read(t, "deploy/grafana/vibemesh.json")) {
		t.Error("the dashboard is not that of deploy/grafana")
	}
}

// TestPlacement holds that no pod of the release waits for a node that there is not: one
// server needs no zone, and the pods of Job and test go where the APIs do.
func TestPlacement(t *testing.T) {
	one := render(t, "--values", chartDir+"/ci/03-trial-values.yaml").get("StatefulSet", "vibemesh-nats")
	for _, c := range list(one, "spec", "template", "spec", "topologySpreadConstraints") {
		if text(c, "whenUnsatisfiable") != "ScheduleAnyway" {
			t.Errorf("one server waits for a node with %s", text(c, "topologyKey"))
		}
	}
	for _, o := range render(t, "--values", chartDir+"/ci/12-placement-values.yaml") {
		if p := podTemplate(o); p != nil && o.kind() != "StatefulSet" && (text(p, "spec", "nodeSelector", "pool") != "edge" || list(p, "spec", "tolerations") == nil) {
			t.Errorf("%s does not go where values say", o.id())
		}
	}
}

// TestDNS holds that every pod can look up names where these are not kube-dns's.
func TestDNS(t *testing.T) {
	for file, want := range map[string]string{"01-minimal": "53 53", "12-placement": "5353 5353"} {
		policies := render(t, "--values", chartDir+"/ci/"+file+"-values.yaml").of("NetworkPolicy")
		if len(policies) != 5 {
			t.Errorf("%s: %d policies", file, len(policies))
		}
		for _, p := range policies {
			rule := dig(p, "spec", "egress", 0)
			if got := fmt.Sprint(number(rule, "ports", 0, "port"), " ", number(rule, "ports", 1, "port")); got != want || list(rule, "to") == nil {
				t.Errorf("%s: %s looks names up on ports %s, want %s", file, p.id(), got, want)
			}
		}
	}
}

// TestIngressAnnotations holds that what is said of the sockets' Ingress alone wins over
// what is said of both: a short timeout that is meant for requests cuts no socket.
func TestIngressAnnotations(t *testing.T) {
	const timeout = "nginx.ingress.kubernetes.io/proxy-read-timeout"
	all := render(t, "--values", chartDir+"/ci/07-ingress-values.yaml", "--set-json", `ingress.annotations={"`+timeout+`":"20"}`)
	for name, want := range map[string]string{"vibemesh-edge": "3600", "vibemesh-api": "20"} {
		if got := text(all.get("Ingress", name), "metadata", "annotations", timeout); got != want {
			t.Errorf("%s: a timeout of %s s, want %s", name, got, want)
		}
	}
}
