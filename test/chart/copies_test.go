package chart_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCopies compares what the chart holds of the rest of the repository with its source.
func TestCopies(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), root+"/scripts/sync-chart", "--check").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// own are settings that the chart sets by itself, by values of its own or not at all.
var own = map[string]string{
	"WS_ADDR":                 "the ports of the pods are fixed",
	"WS_OPS_ADDR":             "the same",
	"WS_NODE":                 "the pod's name",
	"WS_NATS_URL":             "nats.url, or the servers of the release",
	"WS_NATS_CREDS":           "nats.credentials",
	"WS_NATS_CA":              "nats.tls",
	"WS_NATS_CERT":            "nats.tls",
	"WS_NATS_KEY":             "nats.tls",
	"WS_NATS_LISTEN":          "of the embedded server",
	"WS_DATA_DIR":             "of the embedded server",
	"WS_TLS_CERT":             "tls",
	"WS_TLS_KEY":              "tls",
	"WS_PUBLISH_SECRET":       "publishSecret",
	"WS_RING_BYTES":           "edge.ringMiB",
	"WS_CONNECTION_THRESHOLD": "edge.maxSessions",
	"WS_DRAIN_TIMEOUT":        "edge.drainTimeoutSeconds",
	"WS_ALLOW_DATA_LOSS":      "provision.allowDataLoss",
}

// TestSettings holds that the schema knows every setting of the program and no other, with
// the words that it takes, and that all that the chart renders is a setting.
func TestSettings(t *testing.T) {
	program := settings(t)
	known := mapping(schema(t), "properties", "settings", "properties")
	for name, tag := range program {
		_, isOwn := own[name]
		rule, inSchema := known[name]
		switch {
		case isOwn && inSchema:
			t.Errorf("%s is in the schema of settings, and set by the chart: it cannot be both", name)
		case !isOwn && !inSchema:
			t.Errorf("%s is a setting that values.schema.json does not know: add it to properties.settings", name)
		}
		if words := tag.Get("enum"); inSchema && words != "" {
			var got []string
			for _, w := range list(rule, "enum") {
				got = append(got, w.(string))
			}
			if want := strings.Split(words, ","); !slices.Equal(got, want) {
				t.Errorf("%s: values.schema.json has %q, the program takes %q", name, got, want)
			}
		}
	}
	for name := range known {
		if _, ok := program[name]; !ok {
			t.Errorf("values.schema.json has the setting %s, which the program does not", name)
		}
	}
	eachCase(t, func(t *testing.T, all objects) {
		for name := range mapping(all.of("ConfigMap").named(t, "settings"), "data") {
			if _, ok := program[name]; !ok {
				t.Errorf("the ConfigMap has %s, which is no setting", name)
			}
		}
		for _, o := range all {
			for _, c := range list(podTemplate(o), "spec", "containers") {
				for name := range environment(c) {
					if _, ok := program[name]; !ok && strings.HasPrefix(name, "WS_") {
						t.Errorf("%s: the pods have %s, which is no setting", o.id(), name)
					}
				}
			}
		}
	})
}

// named returns the one object of a component.
func (all objects) named(t *testing.T, component string) object {
	t.Helper()
	for _, o := range all {
		if text(o, "metadata", "labels", "app.kubernetes.io/component") == component {
			return o
		}
	}
	t.Fatalf("nothing of the component %s", component)
	return nil
}

// settings are the tags of the program's settings by their names.
func settings(t *testing.T) map[string]reflect.StructTag {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), root+"/internal/config/config.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]reflect.StructTag{}
	ast.Inspect(file, func(n ast.Node) bool {
		if f, ok := n.(*ast.Field); ok && f.Tag != nil {
			text, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				t.Fatal(err)
			}
			if tag := reflect.StructTag(text); tag.Get("name") != "" {
				found[strings.ToUpper(strings.ReplaceAll(tag.Get("name"), "-", "_"))] = tag
			}
		}
		return true
	})
	if len(found) < 30 {
		t.Fatalf("only %d settings found: the search is broken", len(found))
	}
	return found
}

func schema(t *testing.T) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal([]byte(read(t, "charts/vibemesh/values.schema.json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemaIsWhole holds that each default is in the schema, and that whatever is an object
// there takes what the schema names alone, so that a slip of the pen is found.
func TestSchemaIsWhole(t *testing.T) {
	s := schema(t)
	for _, v := range values(t) {
		at := any(s)
		for _, name := range strings.Split(v.path, ".") {
			at = dig(at, "properties", name)
			if ref := text(at, "$ref"); ref != "" {
				at = dig(s, "definitions", strings.TrimPrefix(ref, "#/definitions/"))
			}
		}
		if at == nil {
			t.Errorf("values.schema.json has no %s", v.path)
		}
	}
	closed(t, "#", s)
}

// TestNull: null takes a default away, and is what a section with nothing but comments is. A
// list or a map goes without; of anything else the schema says that it is missing, where
// templates would stop at a line of theirs, or take TLS for switched on.
func TestNull(t *testing.T) {
	s := schema(t)
	for _, v := range values(t) {
		at, names := any(s), strings.Split(v.path, ".")
		for i, name := range names {
			needed := i < len(names)-1 || v.path == "settings" || !strings.ContainsAny(v.normal[:1], "[{") && v.normal != "null"
			if has := slices.Contains(list(at, "required"), any(name)); has != needed {
				t.Errorf("values.schema.json requires %s of %s: %v, want %v", name, v.path, has, needed)
			}
			at = dig(at, "properties", name)
		}
		if strings.ContainsAny(v.normal[:1], "[{") && v.path != "settings" {
			args := []string{"--values", chartDir + "/ci/07-ingress-values.yaml", "--set", "metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true"}
			out, err := template(t, append(args, "--set", v.path+"=null")...)
			if (err != nil || strings.Contains(out, "<nil>")) && !strings.Contains(out, "ingress.hosts is empty") {
				t.Errorf("%s: null: %v", v.path, err)
			}
		}
	}
	if out, err := template(t, "--values", chartDir+"/ci/01-minimal-values.yaml", "--set", "ingress=null"); err == nil || !strings.Contains(out, "missing property 'ingress'") {
		t.Errorf("ingress is null: %v\n%s", err, out)
	}
}

func closed(t *testing.T, path string, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		_, of := v["additionalProperties"].(map[string]any)                                                      // names of one's own, such as labels
		if v["type"] == "object" && v["additionalProperties"] != false && !of && path != "#/properties/global" { // it is Helm's, for charts that have this one in them
			t.Errorf("values.schema.json: %s takes any property", path)
		}
		for k, child := range v {
			closed(t, path+"/"+k, child)
		}
	case []any:
		for i, child := range v {
			closed(t, path+"/"+strconv.Itoa(i), child)
		}
	}
}
