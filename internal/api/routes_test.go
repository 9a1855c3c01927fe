package api

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestEveryRouteIsDescribed: what is registered and what the document has are the same.
func TestEveryRouteIsDescribed(t *testing.T) {
	cfg := testConfig()
	cfg.Edges = &fakeEdges{}
	a := newAPI(t, cfg, newFakeLog(), nil)
	doc := decode[struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}](t, call(t, a, "GET", "/openapi.json", ""))
	served := map[string]bool{}
	for _, pattern := range a.mux.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		served[pattern] = true
		if doc.Paths[path][strings.ToLower(method)].OperationID == "" {
			t.Errorf("%s is served and not in the document", pattern)
		}
	}
	ids := map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			name := strings.ToUpper(method) + " " + path
			if !served[name] {
				t.Errorf("%s is in the document and not served", name)
			}
			if other := ids[op.OperationID]; other != "" {
				t.Errorf("%s and %s are both called %s", name, other, op.OperationID)
			}
			ids[op.OperationID] = name
		}
	}
	if len(served) < 14 {
		t.Errorf("%d routes", len(served))
	}
}

// TestExamples: every body that the document describes has examples, which the server takes:
// what /docs fills in for who tries an operation out.
func TestExamples(t *testing.T) {
	cfg := testConfig()
	cfg.Edges = &fakeEdges{}
	a := newAPI(t, cfg, newFakeLog(), nil)
	type body struct {
		Content map[string]struct {
			Examples map[string]struct{ Value json.RawMessage }
		}
	}
	doc := decode[struct {
		Paths map[string]map[string]struct{ RequestBody *body }
	}](t, call(t, a, "GET", "/openapi.json", ""))
	bodies := 0
	for path, operations := range doc.Paths {
		for method, op := range operations {
			if op.RequestBody == nil {
				continue
			}
			bodies++
			examples := op.RequestBody.Content["application/json"].Examples
			if len(examples) == 0 {
				t.Errorf("%s %s has no example", method, path)
			}
			for name, e := range examples {
				w := call(t, a, strings.ToUpper(method), path, string(e.Value), "Authorization: Bearer "+token(t, "ada", true))
				if w.Code >= 300 {
					t.Errorf("%s %s, %s: %d %s", method, path, name, w.Code, w.Body)
				}
			}
		}
	}
	if bodies < 5 {
		t.Errorf("the document describes %d bodies", bodies)
	}
}
