package api

import (
	"testing"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestStatus(t *testing.T) {
	edges := &fakeEdges{}
	cfg := testConfig()
	cfg.Edges, cfg.Node = edges, "api-0"
	a := newAPI(t, cfg, newFakeLog(), nil)
	const path = "/api/v1/ws/status"
	const edge = `"edges":[{"node":"edge-0","version":"v1.2.0","started":"2026-01-02T03:04:05Z","sessions":123,"draining":false,` +
		`"caught_up":true,"lag":0,"ring_bytes":1,"ring_span_seconds":12.5,"delivered":991}]`
	want := `{"version":"1.2.3","node":"api-0","complete":true,` + edge +
		`,"log":{"partitions":1,"messages":5,"bytes":1234,"last_sequence":5,"oldest":"2026-01-01T00:00:00Z"}}` + "\n"
	for _, header := range []string{withSecret, "Authorization: Bearer " + token(t, "b", true)} {
		if w := call(t, a, "GET", path, "", header); w.Code != 200 || w.Body.String() != want {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
	for header, status := range map[string]int{"X-None: 1": 401, "X-SV-KEY: wrong": 401, "Authorization: Bearer " + token(t, "ada", false): 403} {
		if w := call(t, a, "GET", path, "", header); w.Code != status {
			t.Errorf("%q: %d, want %d", header, w.Code, status)
		}
	}
	// What is out of reach does not hide the rest.
	edges.noLog = true
	want = `{"version":"1.2.3","node":"api-0","complete":false,` + edge + `,"log":null}` + "\n"
	if w := call(t, a, "GET", path, "", withSecret); w.Code != 200 || w.Body.String() != want {
		t.Errorf("without a log: %d %s, want %s", w.Code, w.Body, want)
	}
	edges.fail = wire.ErrUnavailable
	if w := call(t, a, "GET", path, "", withSecret); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("without edges: %d %v", w.Code, w.Header())
	}
}
