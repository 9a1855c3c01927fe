package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHealthcheck: the exit status is what Docker goes by, the words what its user reads.
func TestHealthcheck(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "NATS connection tail: reconnecting", http.StatusServiceUnavailable)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone := httptest.NewServer(mux)
	gone.Close()

	for _, tt := range []struct {
		name string
		args []string
		addr string
		want int
		says string
	}{
		{"alive", nil, addr, 0, "ok"},
		{"listening everywhere", nil, ":" + port, 0, "ok"},
		{"listening on 0.0.0.0", nil, "0.0.0.0:" + port, 0, "ok"},
		{"not ready", []string{"--ready"}, addr, 1, "/readyz answers 503 Service Unavailable: NATS connection tail: reconnecting"},
		{"nobody there", nil, strings.TrimPrefix(gone.URL, "http://"), 1, "connection refused"},
		{"no answer", []string{"--timeout", "50ms"}, silent.Addr().String(), 1, "no answer"},
		{"serves no health", nil, "", 1, "WS_OPS_ADDR is empty"},
		{"no address", nil, "nine", 1, `WS_OPS_ADDR "nine": use HOST:PORT`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("WS_OPS_ADDR", tt.addr)
			var stdout, stderr bytes.Buffer
			got := run(append([]string{"healthcheck"}, tt.args...), &stdout, &stderr)
			if said := stdout.String() + stderr.String(); got != tt.want || !strings.Contains(said, tt.says) {
				t.Errorf("exit status %d, %q; want %d, %q", got, said, tt.want, tt.says)
			}
			if to := stderr.Len() > 0; to != (tt.want != 0) {
				t.Errorf("stdout %q, stderr %q", &stdout, &stderr)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{
		":9090":              "127.0.0.1:9090",
		"0.0.0.0:9090":       "127.0.0.1:9090",
		"[::]:9090":          "[::1]:9090",
		"127.0.0.1:9090":     "127.0.0.1:9090",
		"edge-1.example:909": "edge-1.example:909",
		"[2001:db8::1]:9090": "[2001:db8::1]:9090",
	} {
		if got, err := reachable(addr); got != want || err != nil {
			t.Errorf("%s is asked at %s, %v; want %s", addr, got, err, want)
		}
	}
}
