//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestRunOfAnHonestServer(t *testing.T) {
	b := newFakeEdge(t).bench(t)
	b.pid = os.Getpid()
	b.extras = extras{
		Thirds: true, Again: true, UserMessages: 30, UserRate: 1e6, Mixed: 2, MixedRate: 20, Resume: 5, ResumeStorm: 7,
	}
	m, err := b.run(timeout(t))
	if err != nil || len(m.Faults) > 0 {
		t.Fatalf("%v, %v", err, m.Faults)
	}
	got := map[string]int64{
		"connect": m.Connect.Count, "paced": m.Paced.Count, "burst": m.Burst.Count,
		"users": m.Users.Count, "resume": m.Resume.Count, "storm": m.Storm.Count, "again": m.Again.Count,
		"resumed": m.Resume.Resumed, "storm resumed": m.Storm.Resumed, "mixed": int64(m.Mixed.Messages), "thirds": int64(len(m.Thirds)),
	}
	want := map[string]int64{
		"connect": 12, "paced": 36, "burst": 84, "users": 30, "resume": 12, "storm": 12, "again": 12,
		"resumed": 12, "storm resumed": 12, "mixed": 40, "thirds": 3,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, p := range []*phase{m.Connect, m.Again, m.Paced, m.Burst, m.Users, &m.Resume.phase, &m.Storm.phase} {
		if p.CPUSeconds <= 0 || p.PerCPU <= 0 || !p.spread.sane() {
			t.Errorf("%+v", *p)
		}
	}
	for _, s := range []spread{m.Mixed.All, m.Mixed.Users, m.Resume.First, m.Storm.First} {
		if !s.sane() {
			t.Errorf("%+v", s)
		}
	}
	if wire := m.Paced.WireBytes; wire != float64(m.FrameBytes+4) {
		t.Errorf("%v bytes on the wire of frames of %d", wire, m.FrameBytes)
	}
	if m.FrameBytes < 300 || m.FrameBytes > 400 || m.Before.RSS <= 0 || m.After.Anon <= 0 {
		t.Errorf("%+v", m)
	}
}

func (s spread) sane() bool {
	return s.P50MS > 0 && s.P99MS >= s.P50MS && s.MaxMS >= s.P99MS && s.MaxMS <= 30000
}

// TestFaultsAreFound: every way in which a server can betray a client fails the
// run and is named.
func TestFaultsAreFound(t *testing.T) {
	const good = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + wsAccept + "\r\n\r\n"
	once := func(user string, n int, frames ...string) func(string, string, int) []string {
		return func(u, entry string, k int) []string {
			if u == user && k == n {
				for i, f := range frames {
					frames[i] = strings.ReplaceAll(f, "ENTRY", entry)
				}
				return frames
			}
			return []string{entry}
		}
	}
	var held string // of a swap
	for _, tc := range []struct {
		name    string
		deliver func(string, string, int) []string
		greet   string
		want    string
	}{
		{"twice", once("u3", 4, "ENTRY", "ENTRY"), "", "message twice or out of order"},
		{"lost in the middle", once("u3", 4), "", "message missing"},
		{"the last one lost", once("u3", 9), "", "socket without its last messages"},
		{"swapped", func(u, entry string, k int) []string {
			switch {
			case u == "u3" && k == 4:
				held = entry
				return nil
			case u == "u3" && k == 5:
				return []string{entry, held}
			}
			return []string{entry}
		}, "", "message twice or out of order"},
		{"a gap", once("u3", 4, `{"type":"gap"}`, "ENTRY"), "", "gap frame"},
		{"closed", once("u3", 4, "close"), "", "closed with 4001"},
		{"refused", nil, "HTTP/1.1 503 Busy\r\n\r\n", "upgrade refused: HTTP/1.1 503 Busy"},
		{"wrong accept", nil, "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: x\r\n\r\n", "upgrade with a wrong Sec-WebSocket-Accept"},
		{"no hello", nil, good + "\x81\x02{}", "the first frame is not hello"},
		{"masked", nil, good + "\x81\x82abcd{}", "broken frame"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newFakeEdge(t)
			e.deliver, e.greet = tc.deliver, tc.greet
			b := e.bench(t)
			b.Wait = 300 * time.Millisecond
			m, err := b.run(timeout(t))
			if err == nil || m.Faults[tc.want] == 0 {
				t.Errorf("%v; faults %v, want %q", err, m.Faults, tc.want)
			}
		})
	}
	t.Run("not resumed", func(t *testing.T) {
		e := newFakeEdge(t)
		e.forgets = true
		b := e.bench(t)
		b.Resume = 3
		m, err := b.run(timeout(t))
		if err == nil || m.Faults["hello of a resume without resumed:true"] != 12 || m.Resume.Resumed != 0 {
			t.Errorf("%v; faults %v", err, m.Faults)
		}
	})
	t.Run("another's message", func(t *testing.T) {
		e := newFakeEdge(t)
		e.deliver = func(_, entry string, _ int) []string { return []string{entry} } // to everybody
		b := e.bench(t)
		b.UserMessages, b.UserRate = 5, 1e6
		m, err := b.run(timeout(t))
		if err == nil || m.Faults["message of another user"] == 0 {
			t.Errorf("%v; faults %v", err, m.Faults)
		}
	})
}

func TestRunStopsWithItsContext(t *testing.T) {
	e := newFakeEdge(t)
	ctx, cancel := context.WithCancel(timeout(t))
	e.deliver = func(string, string, int) []string { cancel(); return nil }
	if _, err := e.bench(t).run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFloor(t *testing.T) {
	for _, how := range []string{"raw", "syscall"} {
		t.Run(how, func(t *testing.T) {
			p := plan{Sockets: 40, ConnectRate: 4000, Broadcasts: 3, Burst: 200, Size: 256, Wait: 10 * time.Second}
			m, err := measureFloor(timeout(t), p, how, 401, false)
			if err != nil || len(m.Faults) > 0 {
				t.Fatalf("%v, %v", err, m.Faults)
			}
			if m.Connect.Count != 40 || m.Paced.Count != 120 || m.Burst.Count != 8000 || m.FrameBytes != 401 {
				t.Errorf("%+v", m)
			}
			if m.Burst.PerCPU < 1000 {
				t.Errorf("%.0f deliveries a CPU second cannot be", m.Burst.PerCPU)
			}
		})
	}
}

// TestSeveralWorkers: shares cover all users once, whatever the numbers.
func TestSeveralWorkers(t *testing.T) {
	for _, tc := range []struct{ messages, sockets int }{{0, 3}, {7, 3}, {10, 10}, {1, 7}, {29, 7}} {
		var sum int64
		for i := range tc.sockets {
			got := usersBefore(tc.messages, tc.sockets, i+1) - usersBefore(tc.messages, tc.sockets, i)
			want := int64(0)
			for k := range tc.messages {
				if k%tc.sockets == i {
					want++
				}
			}
			if got != want {
				t.Errorf("%+v: user %d gets %d, want %d", tc, i, got, want)
			}
			sum += got
		}
		if sum != int64(tc.messages) {
			t.Errorf("%+v: %d in all", tc, sum)
		}
	}
}

func TestBadUsage(t *testing.T) {
	good := plan{Sockets: 1, ConnectRate: 1, Size: 1}
	for _, tc := range []struct {
		name string
		cmd  runCmd
		want string
	}{
		{"no way to publish", runCmd{plan: good}, "--nats=nats://127.0.0.1:4222, or --secret"},
		{"pin without pid", runCmd{plan: good, Secret: "s", Pin: true}, "needs --pid"},
		{"no sockets", runCmd{plan: plan{ConnectRate: 1}, Secret: "s"}, "--sockets"},
		{"no rate", runCmd{plan: plan{Sockets: 1}, Secret: "s"}, "--connect-rate"},
		{"too big", runCmd{plan: plan{Sockets: 1, ConnectRate: 1, Size: 70000}, Secret: "s"}, "--size"},
		{"resume", runCmd{plan: good, Secret: "s", extras: extras{Resume: 1001}}, "--resume"},
		{"another machine", runCmd{plan: good, Secret: "s", URL: "http://192.0.2.1:8080"}, "not a loopback address"},
		{"https", runCmd{plan: good, Secret: "s", URL: "https://127.0.0.1"}, "must look like"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.cmd.Run(timeout(t)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
