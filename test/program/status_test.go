package program_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
)

// TestStatus: an API shows all edges and the log, and says so when one edge is gone.
func TestStatus(t *testing.T) {
	n := startNATS(t)
	provision(t, n.URL())
	nats := "WS_NATS_URL=" + n.URL()
	second := start(t, "edge", nats, "WS_NODE=edge-1")
	first := start(t, "edge", nats, "WS_NODE=edge-0")
	api := start(t, "api", nats)
	dial(t, first.url(), token(t, "ada"))
	dial(t, first.url(), token(t, "bob"))
	if status, answer := post(t, api.url(), map[string]any{"title": "x"}); status != http.StatusCreated {
		t.Fatalf("%d %v", status, answer)
	}
	type answer struct {
		Node     string
		Complete bool
		Edges    []struct {
			Node                string
			Sessions, Delivered int
			Draining            bool
			CaughtUp            bool `json:"caught_up"`
			RingBytes           int  `json:"ring_bytes"`
		}
		Log struct {
			Partitions, Messages int
			Last                 uint64 `json:"last_sequence"`
		}
	}
	is := func(want string) {
		t.Helper()
		var text, seen string
		eventually(t, want, func() bool {
			var a answer
			var status int
			status, text = request(t, api.url()+"/api/v1/ws/status", "")
			if status != http.StatusOK || json.Unmarshal([]byte(text), &a) != nil {
				t.Fatalf("%d %s", status, text)
			}
			for i := range a.Edges {
				if a.Edges[i].RingBytes == 0 {
					t.Fatalf("an edge without a ring: %s", text)
				}
				a.Edges[i].RingBytes = 0
			}
			seen = fmt.Sprint(a)
			return seen == want
		})
	}
	is("{api true [{edge-0 2 2 false true 0} {edge-1 0 0 false true 0}] {1 1 1}}")
	second.kill()
	is("{api false [{edge-0 2 2 false true 0}] {1 1 1}}")
	is("{api true [{edge-0 2 2 false true 0}] {1 1 1}}") // it does not answer pings any more
}
