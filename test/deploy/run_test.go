package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestImageRuns starts what the image starts, from nothing but its files, and asks it as
// Docker does whether it is well.
func TestImageRuns(t *testing.T) {
	i := builtImage(t)
	data := filepath.Join(work, "run-data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if asRoot {
		if err := chown(data, i.user); err != nil {
			t.Fatal(err)
		}
	}
	ip := address(100)
	c := &container{
		name: "run", image: i, user: i.user, argv: append(i.entrypoint, "run"),
		env: append(i.env, "WS_AUTH=dev", "WS_ADDR="+ip+":8080", "WS_OPS_ADDR="+ip+":9090",
			"WS_NATS_LISTEN=", "WS_LOG_FORMAT=json"),
		mounts: []mount{{source: data, target: "/data"}},
	}
	if text, ok := c.healthy(t); ok || !strings.Contains(text, "connection refused") {
		t.Errorf("well before it runs: %s", text)
	}
	c.start(t)
	eventually(t, "well", func() bool {
		_, ok := c.healthy(t)
		return ok
	})
	eventually(t, "ready", func() bool {
		out, err := c.command(t, append(c.image.health[1:], "--ready")).CombinedOutput()
		return err == nil && strings.TrimSpace(string(out)) == "ready"
	})
	if asRoot {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"Uid:\t65532\t65532\t65532\t65532", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000", "NoNewPrivs:\t1"} {
			if !strings.Contains(string(status), line) {
				t.Errorf("the process has not %q", line)
			}
		}
	}
	if code := c.stop(t, syscall.SIGTERM, 30*time.Second); code != 0 {
		t.Errorf("SIGTERM ends it with %d", code)
	}
	if text, ok := c.healthy(t); ok {
		t.Errorf("well after its end: %s", text)
	}
}
