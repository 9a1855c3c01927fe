package prometheus_test

import (
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func rulesFile(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	groups, errs := rulefmt.Parse([]byte(read(t, "deploy/prometheus/rules.yaml")), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return groups
}

func alerts(t *testing.T) (rules []rulefmt.Rule) {
	for _, g := range rulesFile(t).Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				rules = append(rules, r)
			}
		}
	}
	return rules
}

func TestPromtool(t *testing.T) {
	t.Run("rules", func(t *testing.T) {
		t.Parallel()
		promtool(t, "", "check", "rules", "--lint-fatal", "rules.yaml")
	})
	t.Run("config", func(t *testing.T) {
		t.Parallel()
		promtool(t, "", "check", "config", "--lint-fatal", "prometheus.yml")
	})
	t.Run("unit tests", func(t *testing.T) {
		t.Parallel()
		promtool(t, "", "test", "rules", "rules_test.yaml")
	})
}

// TestAlerts: each alert says how bad it is, what it means for people and what to do, and
// has a unit test.
func TestAlerts(t *testing.T) {
	tests, books := read(t, "deploy/prometheus/rules_test.yaml"), runbooks(t)
	seen := map[string]bool{}
	for _, a := range alerts(t) {
		if seen[a.Alert] {
			t.Errorf("there are two alerts %s", a.Alert)
		}
		seen[a.Alert] = true
		if a.For == 0 {
			t.Errorf("%s: without a `for`, one bad scrape is an alert", a.Alert)
		}
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: severity %q, want page or ticket", a.Alert, s)
		}
		url := "https://github.com/socialvibes/vibemesh/blob/main/docs/operators.md#" + strings.ToLower(a.Alert)
		if got := a.Annotations["runbook_url"]; got != url {
			t.Errorf("%s: runbook_url %q, want %q", a.Alert, got, url)
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s: it needs a summary and a description", a.Alert)
		}
		if !strings.Contains(tests, `alertname="`+a.Alert+`"`) {
			t.Errorf("%s: no unit test has it fire", a.Alert)
		}
		book, ok := books[a.Alert]
		if !ok {
			t.Errorf("%s: docs/operators.md has no runbook `### %s`", a.Alert, a.Alert)
			continue
		}
		for _, part := range []string{"**Means:**", "**Look:**", "**Do:**", "**Over:**"} {
			if !strings.Contains(book, part) {
				t.Errorf("%s: its runbook has no %s", a.Alert, part)
			}
		}
	}
	for name := range books {
		if !seen[name] {
			t.Errorf("docs/operators.md has a runbook %s; there is no such alert", name)
		}
	}
}

// runbooks are the sections of docs/operators.md that alerts point at.
func runbooks(t *testing.T) map[string]string {
	t.Helper()
	_, text, found := strings.Cut(read(t, "docs/operators.md"), "\n## Runbooks\n")
	if !found {
		t.Fatal("docs/operators.md has no section `## Runbooks`")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	books := map[string]string{}
	for _, section := range strings.Split(text, "\n### ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		if strings.HasPrefix(name, "Vibemesh") {
			books[name] = body
		}
	}
	return books
}

var promqlBlock = regexp.MustCompile("(?s)```promql\n(.*?)```")

// inlineQuery is code in a line that names a metric of ours.
var inlineQuery = regexp.MustCompile("`([^`\n]*\\bvibemesh_[a-z_]+[^`\n]*)`")

// promql is the queries of a runbook: those that stand in blocks, one a line, and in lines.
func promql(book string) (exprs []string) {
	for _, m := range promqlBlock.FindAllStringSubmatch(book, -1) {
		exprs = append(exprs, strings.Split(strings.TrimSpace(m[1]), "\n")...)
	}
	for _, m := range inlineQuery.FindAllStringSubmatch(promqlBlock.ReplaceAllString(book, ""), -1) {
		if strings.ContainsAny(m[1], "({ ") { // a bare name is no query
			exprs = append(exprs, m[1])
		}
	}
	return exprs
}
