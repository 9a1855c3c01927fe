package program_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestProvisionCommand: what `vibemesh provision` prints, and its status.
func TestProvisionCommand(t *testing.T) {
	n := startNATS(t)
	js := jetStream(t, n.URL())
	for _, tt := range []struct {
		name    string
		args    []string
		code    int
		stdout  []string
		stderr  string
		publish bool
	}{
		{
			name: "a plan of what is to be made", args: []string{"--dry-run"},
			stdout: []string{"SV_LOG: create\n", "  max_age: 720h0m0s\n", "  subjects: sv.ws.>\n", "KV_SV_REVOKED: create\n"},
		},
		{name: "made", publish: true},
		{name: "nothing to do", args: []string{"--dry-run"}, stdout: []string{"SV_LOG: up to date\nKV_SV_REVOKED: up to date\n"}},
		{
			name: "a plan of a change", args: []string{"--dry-run", "--ws-history-age=2000h", "--ws-read-mirror"},
			stdout: []string{"SV_LOG: update\n  max_age: 720h0m0s → 2000h0m0s\nSV_LOG_READ: create\n", "  mirror: SV_LOG (sv.ws.broadcast, sv.ws.user.*, "},
		},
		{
			name: "a plan that is refused", args: []string{"--dry-run", "--ws-history-bytes=10"}, code: 3,
			stdout: []string{"SV_LOG: update\n  max_bytes: no limit → 10\n  refused: max_bytes 10 would remove messages"},
		},
		{name: "refused", args: []string{"--ws-history-bytes=10"}, code: 3, stderr: "WS_ALLOW_DATA_LOSS=true"},
		{name: "nothing was changed", args: []string{"--dry-run"}, stdout: []string{"SV_LOG: up to date\n"}},
		{name: "meant", args: []string{"--ws-history-bytes=10", "--ws-allow-data-loss"}},
		{name: "no mapping", args: []string{"--ws-subject-prefix=other", "--ws-partitions=4"}, code: 3, stderr: "does not map the subjects of the log"},
		{
			name: "the mapping", args: []string{"--ws-nats-url=", "--print-mappings", "--ws-partitions=4"},
			stdout: []string{`"sv.ws.broadcast": "sv.log.0.broadcast"`, `"sv.ws.*.*": "sv.log.{{partition(4,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"`},
		},
	} {
		cmd := exec.Command(filepath.Join(bin, "vibemesh"), append([]string{"provision", "--ws-nats-url=" + n.URL()}, tt.args...)...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "WS_LOG_FORMAT=text")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(stderr.String(), tt.stderr) {
			t.Fatalf("%s: status %d, want %d and %q:\n%s%s", tt.name, code, tt.code, tt.stderr, out, stderr.String())
		}
		for _, want := range tt.stdout {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: lacks %q:\n%s", tt.name, want, out)
			}
		}
		if tt.publish {
			if _, err := js.Publish(t.Context(), "sv.ws.broadcast", []byte(`{"type":"toast","payload":{"title":"x"}}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
}
