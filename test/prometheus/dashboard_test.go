package prometheus_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dashboard is what the tests look at of deploy/grafana/vibemesh.json.
type dashboard struct {
	UID         string
	Panels      []panel
	Annotations struct{ List []struct{ Name, Expr string } }
	Templating  struct {
		List []struct{ Name, Type, Definition string }
	}
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct {
		Defaults struct{ Unit, NoValue string }
	}
	Datasource struct{ UID string }
	Targets    []struct {
		RefID, Expr, LegendFormat string
		Exemplar                  bool
		Datasource                struct{ UID string }
	}
}

func theDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/vibemesh.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// filled is a query of the dashboard as Grafana sends it.
func filled(expr string) string {
	return strings.NewReplacer("$namespace", ".*", "$job", ".*", "$node", ".*", "$__rate_interval", "1m").Replace(expr)
}

func TestDashboardIsCurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made.json")
	if out, err := exec.Command(filepath.Join(bin, "dashboard"), "-o", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(made) != read(t, "deploy/grafana/vibemesh.json") {
		t.Error("deploy/grafana/vibemesh.json is not what deploy/grafana/dashboard makes: run `make generate`")
	}
}

func TestDashboard(t *testing.T) {
	d := theDashboard(t)
	var rows []string
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("%s: another panel has the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s is at %d, %d, where %q is", p.Title, x, y, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Description == "" || p.Type != "table" && p.FieldConfig.Defaults.Unit == "" {
			t.Errorf("%s: it needs a description and a unit", p.Title)
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: it needs queries, of ${datasource}", p.Title)
		}
		for _, q := range p.Targets {
			if q.Datasource.UID != "${datasource}" {
				t.Errorf("%s: query %s is not of ${datasource}", p.Title, q.RefID)
			}
		}
	}
	want := []string{"Are people getting their notifications?", "How fast?", "Which edge hurts?", "What will run out first?"}
	if !slices.Equal(rows, want) {
		t.Errorf("the rows are %q, want %q", rows, want)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	if !slices.Equal(variables, []string{"datasource", "namespace", "job", "node"}) {
		t.Errorf("the variables are %v", variables)
	}
	if !slices.ContainsFunc(d.Panels, func(p panel) bool {
		return p.Title == "From the log to the socket" && p.Targets[len(p.Targets)-1].Exemplar
	}) {
		t.Error("the panel of latency shows no exemplars")
	}
}
