package prometheus_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPanels has promtool ask queries of the dashboard about a mesh as Kubernetes and the
// chart label it: a pod that is new has an address that is new.
func TestPanels(t *testing.T) {
	const edge, api, old = `namespace="m", job="edge-ops", instance="e"`, `namespace="m", job="api-ops", instance="a"`, `namespace="m", job="edge-ops", instance="o"`
	series := []string{
		// Up for a minute: what it takes while it starts says nothing of the hours to come.
		`process_start_time_seconds{` + edge + `}`, `_x399 24030+0x8`,
		`vibemesh_build_info{` + edge + `}`, `_x399 1+0x8`,
		`vibemesh_edge_sessions{` + edge + `}`, `_x399 0+500x8`,
		`process_open_fds{` + edge + `}`, `_x399 20+500x8`,
		`process_max_fds{` + edge + `}`, `_x399 20000+0x8`,
		`process_start_time_seconds{` + old + `}`, `0+0x408`,
		`vibemesh_build_info{` + old + `}`, `1+0x408`,
		`vibemesh_edge_sessions{` + old + `}`, `1000+0x408`,
		`process_open_fds{` + old + `}`, `1000+1x408`,
		`process_max_fds{` + old + `}`, `20000+0x408`,
		`vibemesh_edge_tail_sequence{partition="0", ` + old + `}`, `9+0x408`,
		`vibemesh_log_last_sequence{partition="0", ` + api + `}`, `12+0x408`,
		`vibemesh_control_edges{` + api + `}`, `4+0x408`,
	}
	for _, tt := range []struct {
		at, job, legend string
		want            []string // labels and value
	}{
		{"the panel Time left, if the last hour goes on", ".*", "open files", []string{"{}", "1115940"}},
		{"the panel Open files", ".*", "{{instance}} in 4 h", []string{`{` + old + `}`, "1641"}},
		{"the panel Messages that an edge lacks", "edge-ops", "{{instance}} of partition {{partition}}, the log says", []string{`{partition="0", ` + old + `}`, "3"}},
		{"the panel Ready", "edge-ops", "edges that are scraped", []string{"{}", "0.5"}},
		{"the annotation Starts", ".*", "", []string{`{` + edge + `}`, "30"}},
	} {
		t.Run(tt.at+" "+tt.legend, func(t *testing.T) {
			t.Parallel()
			var asked string
			for _, q := range dashboardQueries(t) {
				if q.at == tt.at && q.legend == tt.legend {
					asked = strings.ReplaceAll(q.expr, "$job", tt.job)
				}
			}
			if asked == "" {
				t.Fatal("there is no such query")
			}
			answers(t, series, filled(asked), tt.want)
		})
	}
}

// answers has promtool ask after 24,060 s, of samples a minute apart.
func answers(t *testing.T, series []string, expr string, want []string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("evaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n")
	for i := 0; i < len(series); i += 2 {
		fmt.Fprintf(&b, "      - {series: %s, values: %s}\n", strconv.Quote(series[i]), strconv.Quote(series[i+1]))
	}
	fmt.Fprintf(&b, "    promql_expr_test:\n      - eval_time: 24060s\n        expr: %s\n        exp_samples:\n", strconv.Quote("round("+expr+", 0.1)"))
	for i := 0; i < len(want); i += 2 {
		fmt.Fprintf(&b, "          - {labels: %s, value: %s}\n", strconv.Quote(want[i]), want[i+1])
	}
	path := filepath.Join(t.TempDir(), "asked.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(tools, "promtool"), "test", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", expr, err, out)
	}
}
