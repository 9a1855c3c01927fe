package openapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/socialvibes/vibemesh/internal/natsserver"
)

// TestDocumentAndServer is the check, both ways. Every answer is a real one: of a whole
// program, of an API whose NATS is gone, of an edge that is full; only the faults of a
// server, which nothing from outside can bring about, are an API's over broken parts.
func TestDocumentAndServer(t *testing.T) {
	r := &record{t: t}
	run := start(t, "run", "WS_PUBLISH_RATE=0.001", "WS_PUBLISH_BURST=60")
	text := r.call(run.url, "GET", "/openapi.json", "").answer
	doc := parse(t, text)
	s := &session{r, run, "X-SV-KEY: " + mainSecret, "Authorization: Bearer " + token(t, "backend", true), "Authorization: Bearer " + token(t, "ada", false)}
	s.publish()
	s.people()
	s.control()
	s.about()
	s.undocumented(doc)
	crowded(r)
	unreachable(r, text)
	broken(r, text)

	wrong, missing := verdict(doc, r.of)
	for _, w := range wrong {
		t.Error(w)
	}
	for _, m := range missing {
		t.Errorf("the document promises what was not seen: %s", m)
	}
	t.Logf("%d exchanges, %d operations, %d promises", len(r.of), len(doc.operations), len((&judge{doc: doc}).promises()))
	if !t.Failed() {
		lies(t, doc, r.of)
	}
}

// lies shows that the check finds what is wrong: each edit makes a document that is not
// true any more, and must be found out.
func lies(t *testing.T, doc *document, of []exchange) {
	op := func(raw map[string]any, path, method string) map[string]any {
		return object(object(object(raw["paths"])[path])[method])
	}
	const toast, history = "/api/v1/ws/toast", "/api/v1/ws/history"
	component := func(raw map[string]any, name string) map[string]any {
		return object(object(object(raw["components"])["schemas"])[name])
	}
	for name, lie := range map[string]struct {
		edit func(raw map[string]any)
		want string // in the verdict
	}{
		"a status less": {func(raw map[string]any) { delete(object(op(raw, toast, "post")["responses"]), "429") }, "POST /api/v1/ws/toast 429 was answered"},
		"a status more": {func(raw map[string]any) {
			object(op(raw, history, "get")["responses"])["418"] = map[string]any{"description": "tea"}
		}, "GET /api/v1/ws/history 418"},
		"an operation less": {func(raw map[string]any) { delete(object(raw["paths"]), history) }, history + " answers"},
		"a method less":     {func(raw map[string]any) { delete(object(object(raw["paths"])["/api/v1/ws/schedule/{id}"]), "delete") }, "DELETE /api/v1/ws/schedule/"},
		"an operation more": {func(raw map[string]any) {
			object(raw["paths"])["/api/v1/ws/more"] = map[string]any{"get": map[string]any{"responses": map[string]any{"200": map[string]any{"description": "more"}}}}
		}, "GET /api/v1/ws/more 200"},
		"a header less": {func(raw map[string]any) {
			delete(object(object(object(op(raw, toast, "post")["responses"])["429"])["headers"]), "Retry-After")
		}, "has the header Retry-After"},
		"a header more": {func(raw map[string]any) {
			object(object(object(op(raw, toast, "post")["responses"])["201"])["headers"])["Location"] = map[string]any{"required": true, "schema": map[string]any{"type": "string"}}
		}, "lacks the header Location"},
		"a parameter less": {func(raw map[string]any) { op(raw, history, "get")["parameters"] = []any{} }, "took the parameter limit"},
		"a parameter more": {func(raw map[string]any) {
			o := op(raw, history, "get")
			o["parameters"] = append(list(o["parameters"]), map[string]any{"name": "after", "in": "query", "schema": map[string]any{"type": "string"}})
		}, "GET /api/v1/ws/history parameter after"},
		"a field less": {func(raw map[string]any) { delete(object(component(raw, "Receipt")["properties"]), "duplicate") }, "duplicate"},
		"a field more": {func(raw map[string]any) {
			object(component(raw, "Receipt")["properties"])["stored_by"] = map[string]any{"type": "string"}
		}, "properties/stored_by"},
		"a field of another type": {func(raw map[string]any) {
			object(component(raw, "Presence")["properties"])["devices"] = map[string]any{"type": "string"}
			object(component(raw, "OnePresence")["properties"])["devices"] = map[string]any{"type": "string"}
		}, "is not as described"},
		"a value that never is": {func(raw map[string]any) {
			object(component(raw, "Receipt")["properties"])["id"] = map[string]any{"type": []any{"string", "null"}}
		}, "properties/id null"},
		"anything goes":             {func(raw map[string]any) { component(raw, "LogStatus")["additionalProperties"] = true }, "lets any field pass"},
		"a field of a request less": {func(raw map[string]any) { delete(object(component(raw, "ToastRequest")["properties"]), "collapse") }, "took a body that is not as described"},
		"a way to sign in more": {func(raw map[string]any) {
			o := op(raw, toast, "post")
			o["security"] = append(list(o["security"]), map[string]any{"queryToken": []any{}})
		}, "POST /api/v1/ws/toast security 2"},
		"another media type": {func(raw map[string]any) {
			content := object(object(object(op(raw, toast, "post")["responses"])["401"])["content"])
			content["application/json"] = content["application/problem+json"]
			delete(content, "application/problem+json")
		}, "is application/problem+json"},
	} {
		t.Run(name, func(t *testing.T) {
			wrong, missing := verdict(edited(t, doc, lie.edit), of)
			if all := append(wrong, missing...); !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, lie.want) }) {
				t.Errorf("not found: %q is not in\n%s", lie.want, strings.Join(all, "\n"))
			}
		})
	}
}

// TestDocument: it is a document of OpenAPI 3.1, and all its schemas are of JSON Schema.
func TestDocument(t *testing.T) {
	run := start(t, "run")
	text := (&record{t: t}).call(run.url, "GET", "/openapi.json", "").answer
	doc := parse(t, text)
	schema := metaSchema(t)
	if err := schema.Validate(doc.raw); err != nil {
		t.Error(err)
	}
	for p := range (&judge{doc: doc}).promises() {
		if strings.HasPrefix(p, "#/") && !strings.Contains(p, " ") {
			if err := doc.compile(p); err != nil {
				t.Errorf("%s: %v", p, err)
			}
		}
	}
	for _, bad := range []func(raw map[string]any){
		func(raw map[string]any) { delete(raw, "info") },
		func(raw map[string]any) { raw["openapi"] = "3.0.3" },
		func(raw map[string]any) { object(object(object(raw["paths"])["/docs"])["get"])["responses"] = []any{} },
	} {
		if err := schema.Validate(edited(t, doc, bad).raw); err == nil {
			t.Error("a document that is none was let pass")
		}
	}
}

func metaSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/openapi-3.1.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := value(text)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("mem:///openapi-3.1.json", v); err != nil {
		t.Fatal(err)
	}
	return c.MustCompile("mem:///openapi-3.1.json")
}

// unreachable is an API that has lost its NATS: everything that needs it answers 503.
func unreachable(r *record, document []byte) {
	t := r.t.(*testing.T)
	nats, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Node: "test"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			nats.Stop()
		}
	}()
	if out, err := exec.Command(bin, "provision", "--ws-nats-url", nats.URL()).CombinedOutput(); err != nil {
		t.Fatalf("provision: %v\n%s", err, out)
	}
	api := start(t, "api", "WS_NATS_URL="+nats.URL(), "WS_PUBLISH_RATE=0.001")
	sameDocument(t, document, r.call(api.url, "GET", "/openapi.json", "").answer)
	r.raw(api.addr, "GET /api/v1/ws HTTP/1.1", "Host: "+api.addr, "Connection: Upgrade", "Upgrade: websocket").is(t, http.StatusNotFound)
	// Without a log the edges still answer; here there are none.
	nc, err := natsgo.Connect(nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("$JS.API.STREAM.DELETE.SV_LOG", nil, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	r.call(api.url, "GET", "/api/v1/ws/status", "", "X-SV-KEY: "+mainSecret).is(t, http.StatusOK)
	nats.Stop()
	stopped = true
	everything(r, api.url, http.StatusServiceUnavailable)
}

// everything asks each operation that needs NATS.
func everything(r *record, url string, status int) {
	secret := "X-SV-KEY: " + mainSecret
	ada := "Authorization: Bearer " + token(r.t, "ada", false)
	for _, q := range []struct{ method, path, body, header string }{
		{"POST", "toast", `{"title":"x"}`, secret},
		{"POST", "events", `{"events":[{"type":"x","payload":{}}]}`, secret},
		{"GET", "schedule/0-mi8kq1z2-2s", "", secret},
		{"DELETE", "schedule/0-mi8kq1z2-2s", "", secret},
		{"GET", "history", "", ada},
		{"POST", "read", `{"all":true}`, ada},
		{"GET", "presence?user=ada", "", secret},
		{"GET", "status", "", secret},
		{"POST", "disconnect", `{"user":"ada"}`, secret},
		{"POST", "revoke", `{"user":"ada"}`, secret},
	} {
		r.call(url, q.method, "/api/v1/ws/"+q.path, q.body, q.header).is(r.t, status)
	}
}

// sameDocument: what was answered by another server counts only for the same document.
func sameDocument(t testing.TB, one, other []byte) {
	t.Helper()
	if !bytes.Equal(compact(t, one), compact(t, other)) {
		t.Errorf("the documents of two servers differ:\n%s\n%s", one, other)
	}
}

func compact(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
