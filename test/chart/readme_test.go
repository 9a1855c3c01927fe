package chart_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the table of the chart's README.md anew")

// value is a row of the table of values.
type value struct {
	path    string // edge.autoscaling.kind
	normal  string // its default, as JSON
	meaning string
}

const (
	tableBegin = "<!-- values:begin, made of values.yaml by scripts/chart-readme -->\n"
	tableEnd   = "<!-- values:end -->\n"
)

// TestReadme compares the table in the chart's README with the comments of values.yaml,
// or, with -update, writes it.
func TestReadme(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| value | default | meaning |\n|---|---|---|\n")
	for _, v := range values(t) {
		normal := "`" + v.normal + "`"
		if v.normal == `""` || v.normal == "{}" || v.normal == "[]" || v.normal == "null" {
			normal = ""
		}
		b.WriteString("| `" + v.path + "` | " + normal + " | " + strings.ReplaceAll(v.meaning, "|", "\\|") + " |\n")
	}
	b.WriteString("\n")

	page := read(t, "charts/vibemesh/README.md")
	before, rest, ok1 := strings.Cut(page, tableBegin)
	have, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok1 || !ok2 {
		t.Fatal("README.md has no place for the table of values")
	}
	if *update {
		if err := os.WriteFile(filepath.Join(chartDir, "README.md"), []byte(before+tableBegin+b.String()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != b.String() {
		t.Error("the table of values is out of date: run scripts/chart-readme")
	}
}

// values reads values.yaml: what has a comment that begins with -- is a value, and
// anything else has to hold such.
func values(t *testing.T) []value {
	t.Helper()
	var file yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, "charts/vibemesh/values.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	return walk(t, "", file.Content[0])
}

func walk(t *testing.T, path string, node *yaml.Node) []value {
	t.Helper()
	var found []value
	for i := 0; i < len(node.Content); i += 2 {
		key, v := node.Content[i], node.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		_, comment, ok := strings.Cut("\n"+key.HeadComment, "\n# -- ")
		switch {
		case ok:
			found = append(found, value{at, compact(t, v), strings.ReplaceAll(comment, "\n# ", " ")})
		case v.Kind == yaml.MappingNode && len(v.Content) > 0:
			found = append(found, walk(t, at, v)...)
		default:
			t.Errorf("values.yaml: %s has no comment that begins with --", at)
		}
	}
	return found
}

func compact(t *testing.T, node *yaml.Node) string {
	t.Helper()
	var v any
	if err := node.Decode(&v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
