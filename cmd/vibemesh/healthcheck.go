package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// healthcheck is for images without a shell or curl: it asks the process beside it, by the
// setting that this one has as well. /healthz by itself, since what is restarted because
// NATS is away drops its sessions for nothing.
type healthcheck struct {
	OpsAddr string        `name:"ws-ops-addr" env:"WS_OPS_ADDR" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Where the process serves /healthz and /readyz."`
	Ready   bool          `help:"Ask whether it is ready to serve (/readyz), not only alive (/healthz)."`
	Timeout time.Duration `default:"3s" help:"Longest wait for the answer."`
}

// maxAnswer is how many bytes of an answer are read: readiness says one line a reason.
const maxAnswer = 4 << 10

// run prints the answer, and returns the exit status: 0 for a 200, 1 for anything else.
func (h *healthcheck) run(stdout, stderr io.Writer) int {
	answer, err := h.ask(context.Background())
	if err != nil {
		fmt.Fprintln(stderr, "vibemesh:", err)
		return 1
	}
	fmt.Fprintln(stdout, answer)
	return 0
}

func (h *healthcheck) ask(ctx context.Context) (answer string, err error) {
	host, err := reachable(h.OpsAddr)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	url := "http://" + host + "/healthz"
	if h.Ready {
		url = "http://" + host + "/readyz"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	direct := &http.Client{Transport: &http.Transport{}} // HTTP_PROXY is for what is elsewhere
	resp, err := direct.Do(req)
	if err != nil {
		return "", fmt.Errorf("no answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("%s: the answer is cut short: %w", url, err)
	}
	answer = strings.TrimSpace(string(text))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", url, resp.Status, answer)
	}
	return answer, nil
}

// reachable is where a process that listens on addr is reached from the same machine: one
// that listens everywhere, on loopback.
func reachable(addr string) (string, error) {
	if addr == "" {
		return "", fmt.Errorf("WS_OPS_ADDR is empty, so the process serves no health: set it, such as to 127.0.0.1:9090")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("WS_OPS_ADDR %q: use HOST:PORT or :PORT, such as :9090", addr)
	}
	if host == "" {
		host = "127.0.0.1"
	} else if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port), nil
}
