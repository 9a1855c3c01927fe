package schema

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/socialvibes/vibemesh/internal/wire"
)

const typical = `{"title":"Ada liked your photo","teaser":"Sunset over the harbour","description":"Ada Lovelace and 12 others liked the photo that you posted yesterday.","image_url":"https://cdn.example.com/p/8f2c1.jpg","action_url":"sv://photo/8f2c1","action_label":"Open"}`

func registry(t testing.TB) *Registry {
	t.Helper()
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckToast(t *testing.T) {
	r := registry(t)
	const httpsURL = "must be an https URL without spaces, such as https://example.com/a.png"
	const appLink = "must be an https URL or the link of an app, such as sv://profile/7"
	for _, tc := range []struct {
		name, payload string
		want          []FieldError
	}{
		{"typical", typical, nil},
		{"title only", `{"title":"x"}`, nil},
		{"nulls", `{"title":"x","teaser":null,"description":null,"image_url":null,"action_url":null,"action_label":null}`, nil},
		{"extra field", `{"title":"x","later":{"a":[1]}}`, nil},
		{"app scheme", `{"title":"x","action_url":"com.example+app-1://a"}`, nil},
		{"escaped slash", `{"title":"x","action_url":"sv:\/\/a"}`, nil},
		{"200 characters of 4 bytes", `{"title":"` + strings.Repeat("😀", 200) + `"}`, nil},
		{"200 escapes", `{"title":"` + strings.Repeat(`\ud83d\ude00`, 200) + `"}`, nil},
		{"no title", `{}`, []FieldError{{"title", "is required"}}},
		{"null title", `{"title":null}`, []FieldError{{"title", "must be a string, not null"}}},
		{"empty title", `{"title":""}`, []FieldError{{"title", "must not be empty"}}},
		{"long title", `{"title":"` + strings.Repeat("é", 201) + `"}`, []FieldError{{"title", "has 201 characters, at most 200 are allowed"}}},
		{"types", `{"title":7,"teaser":[],"description":{}}`, []FieldError{
			{"description", "must be a string or null, not an object"},
			{"teaser", "must be a string or null, not an array"},
			{"title", "must be a string, not a number"},
		}},
		{"http image", `{"title":"x","image_url":"http://a/b.png"}`, []FieldError{{"image_url", httpsURL}}},
		{"space in image", `{"title":"x","image_url":"https://a/ b"}`, []FieldError{{"image_url", httpsURL}}},
		{"script", `{"title":"x","action_url":"javascript:alert(1)"}`, []FieldError{{"action_url", appLink}}},
		{"script with slashes", `{"title":"x","action_url":"javascript://%0aalert(1)"}`, []FieldError{
			{"action_url", "may not be a javascript: link; use https or the scheme of an app, such as sv://"},
		}},
		{"upper case scheme", `{"title":"x","action_url":"JAVASCRIPT://a"}`, []FieldError{{"action_url", appLink}}},
		{"everything at once", `{"teaser":1,"image_url":"","action_url":"file:///etc/passwd","action_label":"` + strings.Repeat("x", 81) + `"}`, []FieldError{
			{"action_label", "has 81 characters, at most 80 are allowed"},
			{"action_url", "may not be a file: link; use https or the scheme of an app, such as sv://"},
			{"image_url", httpsURL},
			{"teaser", "must be a string or null, not a number"},
			{"title", "is required"},
		}},
		{"not an object", `[]`, []FieldError{{"", "must be an object, not an array"}}},
		{"not JSON", `{"title":"x"`, []FieldError{{"", "is not valid JSON"}}},
		{"last of two", `{"title":"x","title":5}`, []FieldError{{"title", "must be a string, not a number"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, r.Check(wire.TypeToast, []byte(tc.payload))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := r.Check("never.heard.of", []byte(`{"any":"thing"}`)); got != nil {
		t.Errorf("a type without schema: %v", got)
	}
}

// Every schema of the contract must be quick, have messages in words, and stay
// inside itself.
func TestContractSchemas(t *testing.T) {
	r := registry(t)
	files, err := fs.Glob(wire.Schemas, "schemas/*.json")
	if err != nil || len(files) != len(r.Types()) || len(files) == 0 {
		t.Fatalf("%d files, types %v, %v", len(files), r.Types(), err)
	}
	for _, typ := range r.Types() {
		if r.types[typ].quick == nil {
			t.Errorf("%s has no quick check: the tail pays 6 µs for each of its messages", typ)
		}
		var doc any
		if err := json.Unmarshal(r.JSON(typ), &doc); err != nil {
			t.Fatal(err)
		}
		for _, p := range patterns(doc, nil) {
			if strings.HasPrefix(patternMessage(p), "must match the pattern") {
				t.Errorf("%s: put the pattern %s into words in messages.go", typ, p)
			}
		}
	}
}

// patterns finds every "pattern" but those under a "not".
func patterns(v any, found []string) []string {
	m, _ := v.(map[string]any)
	for key, child := range m {
		if text, ok := child.(string); ok && key == "pattern" {
			found = append(found, text)
		} else if key != "not" {
			found = patterns(child, found)
		}
	}
	return found
}

// A schema beyond what quick knows is still checked, and its errors read well.
func TestOtherKeywords(t *testing.T) {
	r, err := load(fstest.MapFS{"schemas/order.json": {Data: []byte(`{
		"type":"object","additionalProperties":false,"required":["lines"],
		"properties":{
			"lines":{"type":"array","minItems":1,"maxItems":2,"uniqueItems":true,"items":{
				"type":"object","required":["text"],"properties":{"text":{"type":"string","minLength":3},"n":{"minimum":1,"multipleOf":2}}}},
			"kind":{"enum":["a","b"]},"at":{"type":"string","format":"date-time"},"v":{"const":2},
			"0":{"type":"string"},"who":{"oneOf":[{"type":"string"},{"type":"integer"}]},"code":{"pattern":"^x"}}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	got := r.Check("order", []byte(`{"lines":[{"text":"ab","n":-1},{},{}],"kind":"c","at":"now","v":1,"0":0,"who":true,"code":"y","more":1}`))
	want := []FieldError{
		{"0", "must be a string, not a number"},
		{"at", "must be a valid date-time"},
		{"code", "must match the pattern ^x"},
		{"kind", `must be one of "a", "b"`},
		{"lines", "has 3 items, at most 2 are allowed"},
		{"lines", "has the same item twice, at 1 and 2"},
		{"lines[0].n", "must be a multiple of 2"},
		{"lines[0].n", "must be at least 1"},
		{"lines[0].text", "has 2 characters, at least 3 are needed"},
		{"lines[1].text", "is required"},
		{"lines[2].text", "is required"},
		{"more", "is not a known field"},
		{"v", "must be 2"},
		{"who", "has none of the forms that are allowed here"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, schema := range map[string]string{
		"not JSON": `{`, "not a schema": `{"type":5}`, "bad pattern": `{"pattern":"("}`,
		"reaches outside": `{"$ref":"https://example.com/other.json"}`, "a file": `{"$ref":"file:///etc/passwd"}`,
	} {
		if _, err := load(fstest.MapFS{"schemas/x.json": {Data: []byte(schema)}}); err == nil || !strings.Contains(err.Error(), "schemas/x.json") {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
	}
}

// What quick accepts, the full validator must accept.
func FuzzQuickIsSound(f *testing.F) {
	toast := registry(f).types[wire.TypeToast]
	for _, seed := range []string{
		typical, `{}`, `{"title":"x",}`, `{,"title":"x"}`, `{"title":"x"}}`, ` { "title" : "\u00e9\n" } `, `{"title":"\x"}`, `{"title":"\u12g4"}`,
		`{"title":"x","action_url":"://a"}`, `{"title":"x","action_url":"http://a"}`, `{"title":"x","action_url":"a://b://c"}`,
		`{"title":"x","image_url":"https://"}`, `{"title":"x" "teaser":"y"}`, `{"title":null}`, "{\"title\":\"\xff\"}", `{"title":"x","title":""}`,
		`{"title":"x","image_url":"https://a b"}`, `{"title":"x","teaser":nullnull}`, "{\"title\":\"a\x00\"}", `{"action_url":"sv://a","title":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if toast.quick.accepts(payload) {
			if wrong := toast.check(payload); wrong != nil {
				t.Fatalf("accepted %q: %v", payload, wrong)
			}
			if !json.Valid(payload) {
				t.Fatalf("accepted what is not JSON: %q", payload)
			}
		}
	})
}

func TestQuickTakesTheTypicalAndAllocatesNothing(t *testing.T) {
	r, payload := registry(t), []byte(typical)
	if !r.types[wire.TypeToast].quick.accepts(payload) {
		t.Fatal("the typical toast goes the slow way")
	}
	if n := testing.AllocsPerRun(100, func() { r.Check(wire.TypeToast, payload) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	r, payload := registry(b), []byte(typical)
	b.ReportAllocs()
	for b.Loop() {
		if r.Check(wire.TypeToast, payload) != nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkCheckFull(b *testing.B) {
	toast, payload := registry(b).types[wire.TypeToast], []byte(typical)
	b.ReportAllocs()
	for b.Loop() {
		if toast.check(payload) != nil {
			b.Fatal("refused")
		}
	}
}
