package program_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/client"
)

// TestAccessLog: each request of the API is a line, and nothing that a program says, of
// requests or of sessions, has a secret or a token in it.
func TestAccessLog(t *testing.T) {
	p := start(t, "run", "WS_ACCESS_LOG=true", "WS_LOG_LEVEL=debug")
	ada := token(t, "ada")
	base := p.url() + "/api/v1/ws/"
	if status, answer := post(t, p.url(), map[string]any{"title": "x"}); status != 201 {
		t.Fatalf("%d %v", status, answer)
	}
	for path, want := range map[string]int{"history?token=" + ada: 200, "presence?user=ada&token=" + ada: 200, "history?token=" + ada + "x": 401} {
		if status, text := p.get(base + path); status != want {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	dial(t, p.url(), ada, "club")
	if c, err := client.Dial(t.Context(), client.Options{URL: p.url(), Token: ada + "wrong"}); err == nil {
		next(t, c) //nolint:errcheck // it is closed
		c.Close(1000)
	}
	p.terminate()

	counts := map[string]int{}
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range bytes.Lines(p.log.Bytes()) {
		var l struct {
			Level, Msg, Method, Route, Caller string
			Status                            int
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if l.Msg == "request" && l.Level == "INFO" {
			counts[fmt.Sprint(l.Method, " ", l.Route, " ", l.Status, " ", l.Caller)]++
		}
		for _, hidden := range []string{secret, ada, strings.Split(ada, ".")[1], "token="} {
			if bytes.Contains(line, []byte(hidden)) {
				t.Errorf("the log has %q: %s", hidden, line)
			}
		}
	}
	for _, want := range []string{
		"POST /api/v1/ws/toast 201 secret-1", "GET /api/v1/ws/history 200 token", "GET /api/v1/ws/presence 200 token", "GET /api/v1/ws/history 401 none",
	} {
		if counts[want] != 1 {
			t.Errorf("%d times %s: %v", counts[want], want, counts)
		}
	}
}
