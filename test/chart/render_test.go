package chart_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// object is something that the chart renders.
type object map[string]any

func (o object) kind() string { return text(o, "kind") }
func (o object) name() string { return text(o, "metadata", "name") }
func (o object) id() string   { return o.kind() + "/" + o.name() }

// dig follows names and indices into what YAML holds; nil where there is nothing.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch at := v.(type) {
		case object:
			v = at[p.(string)]
		case map[string]any:
			v = at[p.(string)]
		case []any:
			if i := p.(int); i < len(at) {
				v = at[i]
			} else {
				return nil
			}
		default:
			return nil
		}
	}
	return v
}

func text(v any, path ...any) string { s, _ := dig(v, path...).(string); return s }

func number(v any, path ...any) int { n, _ := dig(v, path...).(int); return n }

func list(v any, path ...any) []any { l, _ := dig(v, path...).([]any); return l }

func mapping(v any, path ...any) map[string]any {
	m, _ := dig(v, path...).(map[string]any)
	return m
}

// objects are what the chart renders of some values.
type objects []object

func (all objects) of(kind string) objects {
	var found objects
	for _, o := range all {
		if o.kind() == kind {
			found = append(found, o)
		}
	}
	return found
}

// get returns the one object of a kind and name, or nil.
func (all objects) get(kind, name string) object {
	for _, o := range all {
		if o.kind() == kind && o.name() == name {
			return o
		}
	}
	return nil
}

// template is what `helm template` prints, and its error.
func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return output(t.Context(), "", "helm", append([]string{"template", release, chartDir, "--namespace", namespace}, args...)...)
}

// render renders the chart with values that have to be right.
func render(t *testing.T, args ...string) objects {
	t.Helper()
	out, err := template(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, out)
}

func parse(t *testing.T, manifest string) objects {
	t.Helper()
	var all objects
	d := yaml.NewDecoder(strings.NewReader(manifest))
	for {
		var o map[string]any
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("what is rendered is not YAML: %v", err)
		}
		if o != nil {
			all = append(all, object(o))
		}
	}
}

// cases are the files of values that everything is tried with.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(chartDir + "/ci/*-values.yaml")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files of values: %v", len(files), err)
	}
	return files
}

// eachCase runs a test with what each file of values renders.
func eachCase(t *testing.T, test func(t *testing.T, all objects)) {
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), "-values.yaml"), func(t *testing.T) {
			test(t, render(t, "--values", file))
		})
	}
}

// podTemplate is what an object makes pods of, or nil.
func podTemplate(o object) object {
	if o.kind() == "Pod" {
		return object{"metadata": o["metadata"], "spec": o["spec"]}
	}
	if t := mapping(o, "spec", "template"); t != nil {
		return object(t)
	}
	return nil
}

// marshal is an object as YAML.
func marshal(t *testing.T, v any) string {
	t.Helper()
	out, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func read(t *testing.T, path string) string {
	t.Helper()
	out, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// apply has the API server check objects, without storing them. A warning is an error.
func apply(ctx context.Context, in, manifest string, args ...string) (string, error) {
	args = append([]string{"apply", "-f", "-", "--namespace", in, "--validate=strict", "--warnings-as-errors"}, args...)
	return cluster.kubectl(ctx, manifest, args...)
}
