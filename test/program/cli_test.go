package program_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// cli runs the built sv-cli against a server.
func cli(t *testing.T, url string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "sv-cli"), args...)
	cmd.Env = []string{"SV_URL=" + url, "SV_SECRET=" + secret, "TZ=UTC"}
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestOperating looks after two edges and an API with sv-cli.
func TestOperating(t *testing.T) {
	n := startNATS(t)
	provision(t, n.URL())
	api := start(t, "api", "WS_NATS_URL="+n.URL(), "WS_NODE=api-0")
	one := start(t, "edge", "WS_NATS_URL="+n.URL(), "WS_NODE=edge-0")
	start(t, "edge", "WS_NATS_URL="+n.URL(), "WS_NODE=edge-1")
	ada := dial(t, one.url(), token(t, "ada"), "club.7")

	edges := regexp.MustCompile(`(?m)^edge-0  ok .* 1 .*\nedge-1  ok .* 0 .*\nlog: 1 partition, 0 messages`)
	eventually(t, "showing both edges", func() bool {
		code, out, _ := cli(t, api.url(), "status")
		return code == 0 && edges.MatchString(out)
	})
	code, out, errs := cli(t, api.url(), "status", "--watch", "--interval=100ms", "--count=2")
	if code != 0 || strings.Count(out, "EDGE ") != 2 || strings.Contains(out, "\x1b") {
		t.Errorf("%d %s\n%s", code, errs, out)
	}
	for _, tc := range []struct{ args, want string }{
		{"presence ada bob", `ada   yes           1  edge-0\nbob   no            0\n`},
		{"presence --topic club.7", `^1 session of club.7\n$`},
		{"disconnect ada --reason rules", `^ended 1 session of ada on edge-0\n$`},
		{"revoke ada", `^tokens of ada from before .* are refused`},
		{"schedule --title later --at +1h", `^0-\w+-1 waits until .*, for sv.ws.broadcast\n$`},
	} {
		code, out, errs := cli(t, api.url(), strings.Fields(tc.args)...)
		if code != 0 || !regexp.MustCompile(tc.want).MatchString(out) {
			t.Errorf("%s: %d %s%s", tc.args, code, out, errs)
		}
		if id, _, ok := strings.Cut(out, " waits until "); ok {
			if code, out, errs := cli(t, api.url(), "schedule", id); code != 0 || !strings.HasPrefix(out, id+" waits until ") || !strings.HasSuffix(out, "more: toast for everybody\n") {
				t.Errorf("%d %s%s", code, out, errs)
			}
			if code, out, errs := cli(t, api.url(), "cancel", id); code != 0 {
				t.Errorf("%d %s%s", code, out, errs)
			}
			if code, _, errs := cli(t, api.url(), "schedule", id); code != 3 || !strings.Contains(errs, "Nothing waits under this id") {
				t.Errorf("%d %s", code, errs)
			}
		}
	}
	_, err := next(t, ada)
	var closed *client.CloseError
	if !errors.As(err, &closed) || closed.Code != wire.CloseDisconnected || closed.Reason != "rules" {
		t.Errorf("the session ended with %v", err)
	}
}

// TestDoctorOfProgram: a mesh that is well, and what is wrong with a user who may not
// come in.
func TestDoctorOfProgram(t *testing.T) {
	p := start(t, "run")
	code, out, errs := cli(t, p.url(), "doctor", "--user", "ada", "--nats", p.nats)
	if code != 0 || strings.Contains(out, "fail  ") || strings.Count(out, "warn  ") != 1 || !strings.HasSuffix(out, "nothing has failed, with 1 warning\n") {
		t.Errorf("%d %s\n%s", code, errs, out)
	}
	for _, check := range []string{"clock", "upgrade header", "upgrade subprotocol", "upgrade query", "publish secret", "edges", "nats rights", "nats log", "nats stream SV_LOG"} {
		if !regexp.MustCompile(`(?m)^ok    ` + check + ` `).MatchString(out) {
			t.Errorf("%s is not ok:\n%s", check, out)
		}
	}
	for _, tc := range []struct{ args, want string }{
		{"doctor --user ada --project demo-other", `fail  upgrade header .*4401.*\n .*FIREBASE_PROJECT_ID`},
		{"doctor --secret another-secret-of-nobody", `fail  publish secret .*401.*\n .*WS_PUBLISH_SECRET`},
		{"doctor --only nats --nats " + p.nats + " --partitions 2", `fail  nats streams .*the log has 1 partition,`},
		{"doctor --only nats --nats " + p.nats + " --prefix other", `fail  nats log .*nothing stores`},
	} {
		code, out, errs := cli(t, p.url(), strings.Fields(tc.args)...)
		if code != 1 || !regexp.MustCompile(tc.want).MatchString(out) {
			t.Errorf("%s: %d %s%s", tc.args, code, out, errs)
		}
	}
	if code, out, _ := cli(t, "http://no-such-host.invalid", "doctor"); code != 1 || !strings.Contains(out, "fail  dns") {
		t.Errorf("%d %s", code, out)
	}
	code, out, _ = cli(t, p.url(), "history", "--user", "ada", "--json") // it has published nothing
	if code != 0 || !strings.Contains(out, `"events":[]`) {
		t.Errorf("%d %s", code, out)
	}
}
