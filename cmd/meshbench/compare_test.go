//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// programs builds what is compared, as scripts/bench-report does.
func programs(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, args := range [][]string{
		{"build", "-o", bin, "../vibemesh", "github.com/nats-io/nats-server/v2"},
		{"build", "-C", "peers", "-o", bin, "./nbio", "./centrifuge"},
	} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	return bin
}

func TestRealServers(t *testing.T) {
	bin := programs(t)
	t.Run("own edge", func(t *testing.T) { testOwnEdge(t, bin) })
	t.Run("all", func(t *testing.T) { testCompareAll(t, bin) })
	t.Run("limit", func(t *testing.T) { testCompareKeepsToItsLimit(t, bin) })
}

// testCompareAll measures all of them with few sockets: whatever is wrong with what
// a server speaks is a fault, and fails the run.
func testCompareAll(t *testing.T, bin string) {
	c := compareCmd{
		Bin: bin, Sockets: 200, ConnectRate: 4000, Rounds: 2, Broadcasts: 4, Burst: 50, Size: 256, Limit: time.Minute,
		tokens: &credentials{},
		Out:    filepath.Join(t.TempDir(), "r.md"), SVG: filepath.Join(t.TempDir(), "r.svg"),
	}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	r, err := c.measure(timeout(t))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for i := range r.rows {
		m := &r.rows[i]
		names = append(names, m.Name)
		if m.Connect.Count != 200 || m.Paced.Count != 800 || m.Burst.Count != 10000 || len(m.Faults) > 0 {
			t.Errorf("%s: %+v", m.Name, m)
		}
		if m.FrameBytes < r.rows[1].FrameBytes-2 || m.FrameBytes > r.rows[1].FrameBytes+2 {
			t.Errorf("%s sends messages of %d bytes, the edge of %d", m.Name, m.FrameBytes, r.rows[1].FrameBytes)
		}
		for _, f := range r.figures() {
			if f.of(m) <= 0 {
				t.Errorf("%s: %s is %v", m.Name, f.name, f.of(m))
			}
		}
	}
	if got := strings.Join(names, " "); got != "floor-raw edge floor-syscall nbio centrifuge" || len(r.paced) != 2 {
		t.Errorf("measured %s in %d rounds", got, len(r.paced))
	}
	// What is known of write calls: the floor makes one a frame, an edge few.
	if each := writesEach(r.rows[0].Burst); each < 1 || each > 1.1 {
		t.Errorf("the floor takes %v write calls a delivery", each)
	}
	if each := writesEach(r.rows[1].Burst); each > .5 {
		t.Errorf("the edge takes %v write calls a delivery in a burst", each)
	}
	if err := c.write(r); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{c.Out, c.SVG} {
		if raw, err := os.ReadFile(file); err != nil || !strings.Contains(string(raw), "centrifuge 0.") {
			t.Errorf("%v: %s", err, raw)
		}
	}
}

func TestCompareTellsWhatIsMissing(t *testing.T) {
	script := func(name, text string) string {
		dir := t.TempDir()
		for _, n := range []string{"vibemesh", "nats-server", "nbio", "centrifuge"} {
			body := "#!/bin/sh\nexit 0\n"
			if n == name {
				body = "#!/bin/sh\n" + text
			}
			if err := os.WriteFile(filepath.Join(dir, n), []byte(body), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	good := compareCmd{Sockets: 1, ConnectRate: 1, Rounds: 1, Broadcasts: 1, Burst: 1, Limit: time.Minute}
	for _, tc := range []struct {
		name   string
		change func(*compareCmd)
		want   string
	}{
		{"no programs", func(c *compareCmd) { c.Bin = t.TempDir() }, "scripts/bench-report builds"},
		{"not Go programs", func(c *compareCmd) { c.Bin = script("", "") }, "--bin: "},
		{"nothing to compare", func(c *compareCmd) { c.Bin, c.Burst = script("", ""), 0 }, "--burst"},
		{"no sockets", func(c *compareCmd) { c.Bin, c.Sockets = script("", ""), 0 }, "--sockets"},
	} {
		c := good
		tc.change(&c)
		if err := c.Run(timeout(t)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	t.Run("mesh", func(t *testing.T) {
		const nats = `while [ $# -gt 0 ]; do if [ "$1" = --ports_file_dir ]; then echo '{"nats":["nats://127.0.0.1:1"]}' >"$2/x.ports"; fi; shift; done; exec sleep 60`
		for name, tc := range map[string]struct{ nats, vibemesh, want string }{
			"nats ends":      {`while [ $# -gt 0 ]; do if [ "$1" = -l ]; then echo no room >"$2"; fi; shift; done; exit 1`, "exit 0", "no room"},
			"no provision":   {nats, `echo no log; exit 1`, "no log"},
			"the edge ends":  {nats, `if [ "$1" = edge ]; then echo out of luck >&2; fi`, "out of luck"},
			"it stays alone": {nats, `if [ "$1" = edge ]; then exec sleep 60; fi`, "stopped"},
		} {
			t.Run(name, func(t *testing.T) {
				bin := script("nats-server", tc.nats)
				if err := os.WriteFile(filepath.Join(bin, "vibemesh"), []byte("#!/bin/sh\n"+tc.vibemesh), 0o755); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeoutCause(timeout(t), 2*time.Second, errors.New("stopped"))
				defer cancel()
				if m, err := startMesh(ctx, bin, false); m != nil || err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
			})
		}
	})
}

func testCompareKeepsToItsLimit(t *testing.T, bin string) {
	c := compareCmd{Bin: bin, Sockets: 100, ConnectRate: 10, Rounds: 1, Broadcasts: 1, Burst: 1, Limit: 500 * time.Millisecond, tokens: &credentials{}}
	began := time.Now()
	if _, err := c.measure(timeout(t)); err == nil || !strings.Contains(err.Error(), "--limit=500ms") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestCentrifugeDialect: many messages in a frame, among them a ping.
func TestCentrifugeDialect(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	w := &worker{
		minted: time.Now(),
		speak:  dialects[speakCentrifuge], mark: titleMark("abc123"), faults: map[string]int64{}, clock: newClock(),
		socks: []sock{{fd: int32(fds[0]), state: sockGreeting}},
	}
	push := func(n uint32) string {
		return `{"push":{"channel":"all","pub":{"data":` + string(stamp{kind: kindBroadcast, seq: n}.payload("abc123", 100)) + "}}}"
	}
	if !w.introduce(&w.socks[0]) {
		t.Error("the connect command was not sent")
	}
	for _, frame := range []string{`{"id":1,"connect":{"client":"x"}}` + "\n", push(0), "{}\n" + push(1) + "\n" + push(2)} {
		if fault := w.messages(0, []byte(frame), w.clock.now()); fault != "" {
			t.Errorf("%s: %s", frame, fault)
		}
	}
	if w.tally.got != 3 || w.socks[0].bseq != 3 || len(w.faults) > 0 {
		t.Errorf("%d messages, next %d, %v", w.tally.got, w.socks[0].bseq, w.faults)
	}
	var sent [100]byte
	n, err := unix.Read(fds[1], sent[:])
	if got, want := string(sent[:n]), "\x81\x95\x00\x00\x00\x00"+`{"id":1,"connect":{}}`+"\x81\x82\x00\x00\x00\x00{}"; err != nil || got != want {
		t.Errorf("sent %q, %v; want %q", got, err, want)
	}
	w.socks[0].state = sockGreeting
	if fault := w.messages(0, []byte(`{"id":1,"error":{"code":109}}`), 0); fault == "" {
		t.Error("a refused connect was taken for a hello")
	}
}
