package api

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/schema"
)

func TestCORS(t *testing.T) {
	const app = "https://app.example.com"
	for _, tc := range []struct {
		name    string
		allowed []string
		origin  string
		want    string
	}{
		{"same origin only", nil, app, ""},
		{"allowed", []string{app}, app, app},
		{"another", []string{app}, "https://evil.example", ""},
		{"a prefix", []string{app}, app + ".evil.example", ""},
		{"null", []string{app}, "null", ""},
		{"any", []string{"*"}, app, "*"},
		{"none sent", []string{"*"}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := testConfig()
			cfg.AllowedOrigins = tc.allowed
			a := newAPI(t, cfg, newFakeLog(), nil)
			plain := call(t, a, "GET", "/api/v1/ws/history", "", "Origin: "+tc.origin)
			if got := plain.Header().Get("Access-Control-Allow-Origin"); got != tc.want || plain.Code != 401 {
				t.Errorf("%d %q", plain.Code, got)
			}
			if tc.origin == "" {
				return
			}
			pre := call(t, a, "OPTIONS", "/api/v1/ws/toast", "", "Origin: "+tc.origin, "Access-Control-Request-Method: POST")
			allows := strings.Contains(pre.Header().Get("Access-Control-Allow-Headers"), "X-SV-KEY")
			if pre.Code != 204 || pre.Header().Get("Access-Control-Allow-Origin") != tc.want || allows != (tc.want != "") {
				t.Errorf("preflight: %d %v", pre.Code, pre.Header())
			}
			if vary := pre.Header().Get("Vary"); (vary == "Origin") != (len(tc.allowed) > 0) {
				t.Errorf("Vary %q", vary)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	schemas, err := schema.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"secret":       func(c *Config) { c.Secrets = []string{"a", ""} },
		"header":       func(c *Config) { c.SecretHeader = "X SV" },
		"history size": func(c *Config) { c.HistorySize = -1 },
		"origin":       func(c *Config) { c.AllowedOrigins = []string{"app.example.com"} },
		"origin ":      func(c *Config) { c.AllowedOrigins = []string{"https://app.example.com/"} },
	} {
		cfg := testConfig()
		change(&cfg)
		_, err := New(cfg, auth.NewDev(auth.DevProject, ""), newFakeLog(), newFakeLog(), schemas, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequestIDAndHeaders(t *testing.T) {
	a := newAPI(t, testConfig(), newFakeLog(), nil)
	for given, kept := range map[string]bool{"abc-1.2_3": true, "": false, "a b": false, "a\"b": false, strings.Repeat("x", 65): false} {
		h := call(t, a, "GET", "/openapi.json", "", "X-Request-Id: "+given).Header()
		if id := h.Get("X-Request-Id"); (id == given) != kept || id == "" {
			t.Errorf("sent %q, got %q", given, id)
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%v", h)
		}
	}
}

// A panic after the answer has begun must cut the connection, and one before it
// must tell nothing; neither stops the server.
func TestPanics(t *testing.T) {
	l := newFakeLog()
	l.panics = true
	srv := httptest.NewServer(newAPI(t, testConfig(), l, nil))
	defer srv.Close()
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/api/v1/ws/toast", strings.NewReader(`{"title":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-SV-KEY", testSecret)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if text := indent(t, resp.Body); resp.StatusCode != 500 || strings.Contains(text, "secret inside") {
			t.Errorf("%d %s", resp.StatusCode, text)
		}
		resp.Body.Close()
	}
	a := newAPI(t, testConfig(), l, nil)
	half := a.observe(a.recover(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("half")) //nolint:errcheck // a recorder
		panic("late")
	})))
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v", v)
		}
	}()
	call(t, half, "GET", "/openapi.json", "")
}

func TestMetrics(t *testing.T) {
	a := newAPI(t, testConfig(), newFakeLog(), nil)
	call(t, a, "POST", "/api/v1/ws/toast", `{"title":"x"}`, withSecret, "Idempotency-Key: a")
	call(t, a, "POST", "/api/v1/ws/toast", `{"title":"x"}`, withSecret, "Idempotency-Key: a")
	call(t, a, "POST", "/api/v1/ws/toast", `{`, withSecret)
	call(t, a, "GET", "/api/v1/made/up?token=x", "")
	want := `
# HELP vibemesh_api_published_total Messages the log acknowledged as new, by kind of audience.
# TYPE vibemesh_api_published_total counter
vibemesh_api_published_total{audience="broadcast"} 1
`
	if err := testutil.CollectAndCompare(a.metrics.published, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	want = `
# HELP vibemesh_api_requests_total Requests answered, by route and status.
# TYPE vibemesh_api_requests_total counter
vibemesh_api_requests_total{code="201",route="/api/v1/ws/toast"} 2
vibemesh_api_requests_total{code="400",route="/api/v1/ws/toast"} 1
vibemesh_api_requests_total{code="404",route="other"} 1
`
	if err := testutil.CollectAndCompare(a.metrics.requests, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	for _, c := range a.Collectors() {
		if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
	}
}

// The document must name what is served, hold schemas that compile, and resolve
// every reference; its toast schema must judge as the server does.
func TestOpenAPI(t *testing.T) {
	a := newAPI(t, testConfig(), newFakeLog(), nil)
	w := call(t, a, "GET", "/openapi.json", "")
	doc := decode[map[string]any](t, w)
	if doc["openapi"] != "3.1.0" || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Errorf("%v %v", doc["openapi"], w.Header())
	}
	for path, method := range map[string]string{"/api/v1/ws/toast": "post", "/api/v1/ws/events": "post", "/api/v1/ws/history": "get"} {
		op, ok := doc["paths"].(map[string]any)[path].(map[string]any)[method].(map[string]any)
		if !ok {
			t.Fatalf("no %s %s", method, path)
		}
		answers := op["responses"].(map[string]any)
		for _, status := range []string{"401", "422", "500", "503"} {
			content := answers[status].(map[string]any)["content"].(map[string]any)
			if _, ok := content[problemType]; !ok || len(content) != 1 {
				t.Errorf("%s %s: %v", path, status, content)
			}
		}
		if _, ok := answers["default"]; ok {
			t.Errorf("%s has an answer that is never given", path)
		}
		if op["security"] == nil {
			t.Errorf("%s has no security", path)
		}
	}
	schemes := doc["components"].(map[string]any)["securitySchemes"].(map[string]any)
	if name := schemes["secret"].(map[string]any)["name"]; name != "X-SV-KEY" {
		t.Errorf("secret in %v", name)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("mem:///openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	for name := range schemas {
		if _, err := c.Compile("mem:///openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"ErrorModel"} {
		if schemas[name] != nil {
			t.Errorf("%s describes nothing that is sent", name)
		}
	}
	request := c.MustCompile("mem:///openapi.json#/components/schemas/ToastRequest")
	for _, body := range []string{
		`{"title":"x"}`, `{"title":"x","teaser":null,"to":{"user":"a"}}`, `{"title":"x","to":{"users":["a","b"]}}`, `{"title":"x","to":{"users":["a","a"]}}`,
		`{}`, `{"title":"x","more":1}`, `{"title":"x","to":null}`, `{"title":"x","to":{}}`, `{"title":"x","to":{"user":"a","topic":"b"}}`, `{"title":"x","image_url":"http://x"}`,
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		described := request.Validate(value) == nil
		served := call(t, a, "POST", "/api/v1/ws/toast", body, withSecret).Code == 201
		if described != served {
			t.Errorf("%s: described as good %v, served %v", body, described, served)
		}
	}
	for name, open := range map[string]bool{"ToastRequest": false, "Event": false, "To": false, "Receipt": true, "HistoryPage": true, "Problem": true} {
		if others, said := schemas[name].(map[string]any)["additionalProperties"]; said == open || !open && others != false {
			t.Errorf("%s may have other fields: %v; want %v", name, others, open)
		}
	}
	for _, answer := range []struct{ schema, text string }{
		{"Problem", call(t, a, "POST", "/api/v1/ws/toast", `{"x":1}`, withSecret).Body.String()},
		{"Receipt", call(t, a, "POST", "/api/v1/ws/toast", `{"title":"x"}`, withSecret).Body.String()},
		{"HistoryPage", call(t, newAPI(t, testConfig(), withEntries(5), nil), "GET", "/api/v1/ws/history?token="+token(t, "a", false), "").Body.String()},
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(answer.text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.MustCompile("mem:///openapi.json#/components/schemas/" + answer.schema).Validate(value); err != nil {
			t.Errorf("%s is not as described: %s\n%v", answer.schema, answer.text, err)
		}
	}
}
