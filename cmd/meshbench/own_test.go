//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testOwnEdge measures everything that can be measured of an edge that meshbench
// starts itself, with few sockets, and signed tokens.
func testOwnEdge(t *testing.T, bin string) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c := runCmd{
		plan: plan{Sockets: 60, ConnectRate: 4000, Broadcasts: 3, Burst: 20, Size: 256, Settle: 100 * time.Millisecond, Wait: 20 * time.Second},
		extras: extras{
			Thirds: true, Again: true, UserMessages: 90, UserRate: 1e4, Latency: 20, LatencyRate: 1000,
			Mixed: 1, MixedRate: 50, Resume: 5, ResumeStorm: 5,
		},
		scenes: scenes{
			Bin: bin, EdgeEnv: []string{"WS_NODE=measured"}, Tokens: tokensRS256, Peak: true, PeakRate: 5000,
			Slow: 6, SlowBroadcasts: 70, SlowSize: 16000, SlowRing: "256KiB",
		},
	}
	if err := c.check(); err != nil {
		t.Fatal(err)
	}
	results, err := c.measureOwn(timeout(t))
	if err != nil {
		t.Fatalf("%v, %+v", err, results)
	}
	m := results[0]
	if m.Connect.Count != 60 || m.Again.Count != 60 || m.Resume.Resumed != 60 || m.Storm.Resumed != 60 || m.Latency.Messages != 20 {
		t.Errorf("%+v", m)
	}
	if m.Peak.Connect.Count != 60 || m.Peak.High < m.Peak.Before.RSS || m.Slow.CatchUp.Count != 6*70 {
		t.Errorf("%+v, %+v", m.Peak, m.Slow)
	}
	if m.Slow.Behind < 6 {
		t.Errorf("the ring has left %d sessions behind; it should have left all six", m.Slow.Behind)
	}
	var out bytes.Buffer
	if err := print(&out, results, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"tokens seen before", "at p50", "of them resumed, in %", "at most, MiB", "user messages: p99, ms"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("without %q:\n%s", want, out.String())
		}
	}
}

func TestBadUsageOfScenes(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{"vibemesh", "nats-server"} {
		if err := os.WriteFile(filepath.Join(bin, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	good := plan{Sockets: 1, ConnectRate: 1, Size: 1}
	for _, tc := range []struct {
		name string
		cmd  runCmd
		want string
	}{
		{"no folder", runCmd{scenes: scenes{Tokens: tokensRS256}, Secret: "s"}, "need --bin"},
		{"empty folder", runCmd{scenes: scenes{Bin: t.TempDir()}}, "scripts/bench-edge builds"},
		{"two edges", runCmd{scenes: scenes{Bin: bin}, PID: 1}, "leave out --pid"},
		{"no setting", runCmd{scenes: scenes{Bin: bin, EdgeEnv: []string{"WS_LOOPS"}}}, "--edge-env=WS_LOOPS must look like"},
		{"no rate", runCmd{scenes: scenes{Bin: bin, Peak: true}}, "--peak-rate"},
		{"slow for nothing", runCmd{scenes: scenes{Bin: bin, Slow: 1}}, "--slow-broadcasts"},
		{"no mixed rate", runCmd{extras: extras{Mixed: 1}, Secret: "s"}, "--mixed-rate"},
		{"no latency rate", runCmd{extras: extras{Latency: 1}, Secret: "s"}, "--latency-rate"},
		{"latency by REST", runCmd{extras: extras{Latency: 1, LatencyRate: 1}, Secret: "s"}, "core NATS"},
		{"storm", runCmd{extras: extras{ResumeStorm: 1001}, Secret: "s"}, "--resume-storm"},
	} {
		tc.cmd.plan = good
		if err := tc.cmd.check(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}
}
