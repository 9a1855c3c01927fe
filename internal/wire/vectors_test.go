package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// input is the text that a vector's parser reads; see testdata/vectors/README.md.
type input struct {
	Name   string  `json:"name"`
	Text   *string `json:"text"`
	Base64 []byte  `json:"base64"`
	Parts  []part  `json:"parts"`
}

type part struct {
	text  string
	times int
}

func (p *part) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&p.text, &p.times})
}

func join(parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strings.Repeat(p.text, p.times))
	}
	return b.String()
}

func (in input) bytes(t testing.TB) []byte {
	t.Helper()
	given := 0
	var text []byte
	if in.Text != nil {
		given, text = given+1, []byte(*in.Text)
	}
	if in.Base64 != nil {
		given, text = given+1, in.Base64
	}
	if in.Parts != nil {
		given, text = given+1, []byte(join(in.Parts))
	}
	if given != 1 || in.Name == "" {
		t.Fatalf("vector %q: it has a name and one of text, base64 and parts", in.Name)
	}
	return text
}

// load reads a file of vectors; a misspelt field, an empty list and a name that
// is used twice fail.
func load[T any](t testing.TB, file string) T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	var v T
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("%s: something follows the object", file)
	}
	var lists map[string][]struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &lists); err != nil {
		t.Fatal(err)
	}
	for list, vectors := range lists {
		seen := map[string]bool{}
		for _, v := range vectors {
			if v.Name != "" && seen[v.Name] {
				t.Errorf("%s: %s has %q twice", file, list, v.Name)
			}
			seen[v.Name] = true
		}
		if len(vectors) == 0 {
			t.Errorf("%s: %s is empty", file, list)
		}
	}
	return v
}

// jsonValue is the value of JSON text, with numbers as written.
func jsonValue(t testing.TB, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
	return v
}

func sameJSON(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !reflect.DeepEqual(jsonValue(t, want), jsonValue(t, got)) { // cmp.Diff takes twice as long for each level
		t.Errorf("%s: got %.500s, want %.500s", what, got, want)
	}
}

// Every file of the folder is walked by a test.
func TestEveryVectorFileIsWalked(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("vectors_*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	for _, file := range files {
		if !bytes.Contains(all, []byte(`](t, "`+filepath.Base(file)+`"`)) {
			t.Errorf("no test walks %s", file)
		}
	}
	if len(files) < 7 {
		t.Errorf("only %d files of vectors", len(files))
	}
}
