package api

import (
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
