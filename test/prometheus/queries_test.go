package prometheus_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// known is every metric there is, with the values of its labels.
type known map[string]map[string]map[string]bool

// ofTargets are the labels that Prometheus gives, or Kubernetes.
var ofTargets = []string{"job", "instance", "namespace"}

var (
	sample = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? [^ ]+$`)
	label  = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

// scraped is what processes show. Prometheus itself adds two metrics.
func scraped(t *testing.T, nodes ...*node) known {
	t.Helper()
	have := known{"up": {}, "ALERTS": {"alertname": {}, "alertstate": {}, "severity": {}}}
	for _, n := range nodes {
		text := get("http://" + n.ops + "/metrics")
		if text == "" {
			t.Fatalf("%s shows no metrics", n.name)
		}
		for _, s := range sample.FindAllStringSubmatch(text, -1) {
			if have[s[1]] == nil {
				have[s[1]] = map[string]map[string]bool{}
			}
			for _, l := range label.FindAllStringSubmatch(s[2], -1) {
				if have[s[1]][l[1]] == nil {
					have[s[1]][l[1]] = map[string]bool{}
				}
				have[s[1]][l[1]][l[2]] = true
			}
		}
	}
	return have
}

// query is one PromQL expression, where it stands, and, in a panel, what it is called.
type query struct{ at, expr, legend string }

func allQueries(t *testing.T) (queries []query) {
	t.Helper()
	for _, g := range rulesFile(t).Groups {
		for _, r := range g.Rules {
			queries = append(queries, query{at: "rules.yaml: " + r.Record + r.Alert, expr: r.Expr})
		}
	}
	for _, q := range dashboardQueries(t) {
		queries = append(queries, query{at: q.at, expr: filled(q.expr)})
	}
	for name, book := range runbooks(t) {
		for _, expr := range promql(book) {
			queries = append(queries, query{at: "the runbook of " + name, expr: expr})
		}
	}
	return queries
}

func dashboardQueries(t *testing.T) (queries []query) {
	d := theDashboard(t)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			queries = append(queries, query{"the panel " + p.Title, q.Expr, q.LegendFormat})
		}
	}
	for _, a := range d.Annotations.List {
		queries = append(queries, query{at: "the annotation " + a.Name, expr: a.Expr})
	}
	return queries
}

// checkQueries has every query parsed by Prometheus's own parser, and everything that it
// names looked up.
func checkQueries(t *testing.T, have known) {
	t.Helper()
	for _, g := range rulesFile(t).Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				have[r.Record] = labelsOf(t, have, r.Expr)
			}
		}
	}
	rows := documented(t)
	for _, q := range allQueries(t) {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
		if err != nil {
			t.Errorf("%s: %s: %v", q.at, q.expr, err)
			continue
		}
		mayGroup := labelsOf(t, have, q.expr)
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.VectorSelector:
				checkSelector(t, q.at, have, rows, n)
			case *parser.AggregateExpr:
				checkLabels(t, q.at, mayGroup, n.Grouping)
			case *parser.BinaryExpr:
				if n.VectorMatching != nil {
					checkLabels(t, q.at, mayGroup, n.VectorMatching.MatchingLabels)
				}
			}
			return nil
		})
	}
}

func checkLabels(t *testing.T, at string, have map[string]map[string]bool, names []string) {
	t.Helper()
	for _, l := range names {
		if have[l] == nil && !slices.Contains(ofTargets, l) {
			t.Errorf("%s: no metric there has the label %s", at, l)
		}
	}
}

func checkSelector(t *testing.T, at string, have known, rows map[string]string, s *parser.VectorSelector) {
	t.Helper()
	metric, ok := have[s.Name]
	if !ok {
		t.Errorf("%s: no process shows %s", at, s.Name)
		return
	}
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel || slices.Contains(ofTargets, m.Name) {
			continue
		}
		values, ok := metric[m.Name]
		switch {
		case !ok:
			t.Errorf("%s: %s has no label %s", at, s.Name, m.Name)
		case s.Name == "ALERTS" || m.Name == "code": // of what has yet to happen
		case !exists(m, values, rows[base(s.Name)]):
			t.Errorf("%s: %s has no %s, neither in a scrape nor in the guide", at, s.Name, m)
		}
	}
}

var (
	alternatives = regexp.MustCompile(`^[a-z0-9_.]+(\|[a-z0-9_.]+)*$`)
	suffix       = regexp.MustCompile(`_(bucket|sum|count)$`)
)

func base(metric string) string { return suffix.ReplaceAllString(metric, "") }

// exists reports whether each value that a matcher names was seen, or is in the guide's row
// of the metric; of an expression that is no list, whether it matches any.
func exists(m *labels.Matcher, seen map[string]bool, row string) bool {
	if (m.Type == labels.MatchRegexp || m.Type == labels.MatchNotRegexp) && !alternatives.MatchString(m.Value) {
		for v := range seen {
			if m.Matches(v) == (m.Type == labels.MatchRegexp) {
				return true
			}
		}
		return false
	}
	for v := range strings.SplitSeq(m.Value, "|") {
		if !seen[v] && !strings.Contains(row, "`"+v+"`") {
			return false
		}
	}
	return true
}

// labelsOf is the labels of all metrics of an expression.
func labelsOf(t *testing.T, have known, text string) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			for name, values := range have[s.Name] {
				all[name] = values
			}
		}
		return nil
	})
	return all
}

// documented is the rows of the table of metrics in docs/operators.md.
func documented(t *testing.T) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(vibemesh_[a-z_]+)`.*$").FindAllStringSubmatch(read(t, "docs/operators.md"), -1) {
		rows[m[1]] = m[0]
	}
	return rows
}
