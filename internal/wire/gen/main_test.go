package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// generate runs the generator in a copy of its inputs, changed by edit, and
// returns the folder of the copied package.
func generate(t *testing.T, edit func(folder string)) (folder string, err error) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "internal", "wire")
	for _, inputs := range []string{"schemas", "testdata/vectors"} {
		if err := os.CopyFS(filepath.Join(folder, inputs), os.DirFS(filepath.Join("..", inputs))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(folder, "errors.json"), read(t, filepath.Join("..", "errors.json")))
	sources, err := filepath.Glob(filepath.Join("..", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if !strings.HasSuffix(source, "_test.go") && filepath.Base(source) != goFile {
			write(t, filepath.Join(folder, filepath.Base(source)), read(t, source))
		}
	}
	if edit != nil {
		edit(folder)
	}
	t.Chdir(folder)
	return folder, run()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	wire, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := generate(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{goFile, asyncAPIFile, filepath.Join(tsFolder, "codes.gen.ts"), filepath.Join(tsFolder, "events.gen.ts")} {
		if read(t, filepath.Join(wire, file)) != read(t, filepath.Join(folder, file)) {
			t.Errorf("%s is not what the generator makes: run `go generate ./internal/wire` and commit the result", filepath.Base(file))
		}
	}
	// What is generated is generated here, and not a leftover under another name.
	made, err := filepath.Glob(filepath.Join(folder, tsFolder, "*"))
	if err != nil || len(made) != 2 {
		t.Errorf("the generator made %v, error %v: name each file in this test", made, err)
	}
}

func TestTypesOfAnEvent(t *testing.T) {
	folder, err := generate(t, func(folder string) {
		write(t, filepath.Join(folder, "schemas", "order.paid.json"), `{
			"description": "An order was paid.", "type": "object", "required": ["state", "lines"],
			"properties": {
				"state": {"enum": ["new", "paid", null]},
				"total": {"type": ["number", "null"]},
				"lines": {"type": "array", "items": {"type": "object", "required": ["sku"], "properties": {"sku": {"type": "string"}, "n": {"type": "integer"}}}},
				"gift": {"type": "boolean"},
				"extra": {}
			}}`)
	})
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, filepath.Join(folder, tsFolder, "events.gen.ts"))
	for _, want := range []string{
		"/** An order was paid. */\nexport interface OrderPaidPayload {\n",
		"  lines: ({\n    sku: string;\n    n?: number;\n  })[];\n", "  state: \"new\" | \"paid\" | null;\n", "  total?: number | null;\n", "  gift?: boolean;\n", "  extra?: unknown;\n",
		"  'order.paid': OrderPaidPayload;\n", "  'toast': ToastPayload;\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("events.gen.ts lacks %q:\n%s", want, got)
		}
	}
	if strings.Index(got, "  lines:") > strings.Index(got, "  extra?:") {
		t.Error("required fields come first")
	}
}

func TestGeneratorRefuses(t *testing.T) {
	frames := read(t, "../frame.go")
	for name, c := range map[string]struct{ file, text, want string }{
		"broken registry": {"errors.json", `{"close": [`, "errors.json"},
		"broken schema":   {"schemas/x.json", `{`, "schemas/x.json"},
		"unknown type":    {"schemas/x.json", `{"properties": {"when": {"type": "date"}}}`, `schemas/x.json: when: type "date" has no TypeScript`},
		"broken Go":       {"frame.go", `package wire; type`, "frame.go"},
		"a field is gone": {"frame.go", strings.ReplaceAll(frames, "`json:\"after_ms\"`", "`json:\"after\"`"), "no struct has the field Reconnect.after_ms"},
		"a frame is gone": {"frame.go", strings.Replace(frames, "type Gap struct", "type Hole struct", 1), "no struct is called Gap"},
		"type of a field": {"frame.go", strings.Replace(frames, "Resumed bool ", "Resumed []bool ", 1), "Hello.resumed: the type []bool has no schema"},
		"limit is gone":   {"client_frame.go", strings.Replace(read(t, "../client_frame.go"), "MaxTopics", "MostTopics", 2), "no constant MaxTopics"},
		"array of what":   {"schemas/x.json", `{"properties": {"list": {"type": "array"}}}`, "list: an array needs items"},
	} {
		t.Run(name, func(t *testing.T) {
			folder, err := generate(t, func(folder string) { write(t, filepath.Join(folder, c.file), c.text) })
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(folder, goFile)); err == nil {
				t.Error("something was written before the error")
			}
		})
	}
}
