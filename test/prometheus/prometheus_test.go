package prometheus_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// faster is how much sooner the rules of the test speak than the real ones.
const faster = 60

// server is a Prometheus that scrapes a mesh twice a second.
type server struct {
	*process
	addr string
}

// shortened is rules.yaml with every time that it waits or looks back divided by faster;
// what an expression compares with, is as it was, but for the ages that it computes itself.
func shortened(t *testing.T) string {
	t.Helper()
	text := read(t, "deploy/prometheus/rules.yaml")
	text = regexp.MustCompile(`for: \w+`).ReplaceAllStringFunc(text, func(s string) string { return "for: " + short(t, s[5:]) })
	text = regexp.MustCompile(`\[\w+\]`).ReplaceAllStringFunc(text, func(s string) string { return "[" + short(t, s[1:len(s)-1]) + "]" })
	for long, short := range map[string]string{
		"time() - vibemesh_edge_drain_deadline_timestamp_seconds > 60": "time() - vibemesh_edge_drain_deadline_timestamp_seconds > 0",
		"time() - process_start_time_seconds > 900":                    "time() - process_start_time_seconds > 15",
		"vibemesh_edge_ring_span_seconds < 120":                        "vibemesh_edge_ring_span_seconds < 2",
	} {
		if strings.Count(text, long) != 1 {
			t.Fatalf("rules.yaml no longer says %q once", long)
		}
		text = strings.Replace(text, long, short, 1)
	}
	return text
}

func short(t *testing.T, d string) string {
	t.Helper()
	long, err := model.ParseDuration(d)
	if err != nil {
		t.Fatal(err)
	}
	return model.Duration(max(time.Duration(long)/faster, 500*time.Millisecond)).String()
}

func startPrometheus(t *testing.T, m *mesh) *server {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf(`global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [rules.yaml]
scrape_configs:
  - {job_name: vibemesh-edge, static_configs: [{targets: [%q, %q]}]}
  - {job_name: vibemesh-api, static_configs: [{targets: [%q]}]}
`, m.edges[0].ops, m.edges[1].ops, m.api.ops)
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yaml": shortened(t)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &server{addr: freeAddr(t)}
	p.process = newProcess(t, "prometheus", filepath.Join(tools, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.addr, "--enable-feature=exemplar-storage", "--log.level=warn")
	p.start()
	eventually(t, 60*time.Second, says("Prometheus is ready"), func() bool { return get("http://"+p.addr+"/-/ready") != "" })
	return p
}

// firing is the alerts that fire, each once: its name, and the node, if it is one of a node.
func (p *server) firing() []string {
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	if err := json.Unmarshal([]byte(get("http://"+p.addr+"/api/v1/alerts")), &answer); err != nil {
		return []string{err.Error()}
	}
	var names []string
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			names = append(names, strings.TrimSpace(a.Labels["alertname"]+" "+a.Labels["instance"]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// query is how many series an expression has now, and the value of the first.
func (p *server) query(t *testing.T, expr string) (series int, first float64) {
	t.Helper()
	values := p.values(t, expr)
	if len(values) > 0 {
		first = values[0]
	}
	return len(values), first
}

// values are those of the series that an expression has now.
func (p *server) values(t *testing.T, expr string) (values []float64) {
	t.Helper()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	text := get("http://" + p.addr + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Status != "success" {
		t.Errorf("%s: %v %s", expr, err, text)
		return nil
	}
	for _, r := range answer.Data.Result {
		v, err := strconv.ParseFloat(r.Value[1].(string), 64)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
		}
		values = append(values, v)
	}
	return values
}

// expects waits until exactly some alerts fire.
func (p *server) expects(t *testing.T, patience time.Duration, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	eventually(t, patience, func() string { return fmt.Sprintf("firing is %q, want %q", got, want) }, func() bool {
		got = p.firing()
		return slices.Equal(got, want)
	})
}

// holds looks for a while that no other alert joins these. One of them may pause: on a
// machine that is busy, Prometheus misses a scrape.
func (p *server) holds(t *testing.T, d time.Duration, of ...string) {
	t.Helper()
	for until := time.Now().Add(d); time.Now().Before(until); {
		for _, a := range p.firing() {
			if !slices.Contains(of, a) {
				t.Fatalf("%s fires, want %q alone", a, of)
			}
		}
		time.Sleep(250 * time.Millisecond)
	}
}
