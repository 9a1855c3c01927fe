//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// deepLog is a diver of a small log that is kept in a folder.
func deepLog(bin, dir string, partitions int) *diver {
	return &diver{
		depthCmd: &depthCmd{
			Bin: bin, Log: dir, Messages: 3000, Users: 100, Broadcasts: 2, Size: 170, Partitions: partitions,
			Cold: 2, Pages: 40, Sockets: 20, Publish: 200, Restarts: 1,
		},
		dir: dir, note: func(string, ...any) {},
	}
}

// TestDepth measures a small log twice: once filled, and once found filled.
func TestDepth(t *testing.T) {
	bin, dir := t.TempDir(), t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../vibemesh", "github.com/nats-io/nats-server/v2")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for range 2 {
		d := deepLog(bin, dir, 1)
		err := d.measure(ctx)
		if stopped := d.stop(); err != nil || stopped != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "nats.log"))
			t.Fatalf("%v, %v\n%s", err, stopped, log)
		}
		rows := map[string]depthRow{}
		for _, r := range d.out.Rows {
			rows[r.Name] = r
		}
		for name, count := range map[string]int64{
			"cold pages, one at a time": 2, "warm pages, one at a time": 40, "warm pages, 16 at a time": 40,
			"20 come back, 3000 messages behind": 20, "20 come back, 30 messages behind": 20,
		} {
			r := rows[name]
			if r.Count != count || r.Events < 1 || !r.spread.sane() || r.CPUMS < 0 {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if r := rows["warm pages, one at a time"]; r.Events != 50 {
			t.Errorf("each user has had 29 messages and 60 broadcasts, but a page had %v events", r.Events)
		}
		alone := rows["publishing alone: acknowledged"]
		if alone.Count < 2 || alone.Count != rows["publishing alone: on the socket"].Count {
			t.Errorf("published alone: %+v", alone)
		}
		if len(d.out.NATSStart) != 2 || len(d.out.EdgeStart) != 1 || d.out.PagesDropped {
			t.Errorf("%+v", d.out)
		}
	}
	other := deepLog(bin, dir, 1)
	other.Messages++
	if err := other.measure(ctx); err == nil || !strings.Contains(err.Error(), "there is a log of 3000 messages") {
		t.Errorf("of another log than asked for: %v", err)
	}
}

// TestColdUsersShareNoPartition: what one reads would be warm for the next.
func TestColdUsersShareNoPartition(t *testing.T) {
	d := deepLog("", "", 16)
	taken := map[int]bool{}
	for _, uid := range d.usersApart(newRandom()) {
		taken[d.subjects.Partitioned(16).Partition(wire.User(uid))] = true
	}
	if len(taken) != 16 {
		t.Errorf("16 users are in %d partitions", len(taken))
	}
}

func TestReportOfDepth(t *testing.T) {
	var took recorder
	for ms := range int64(100) {
		took.add(ms * int64(time.Millisecond))
	}
	r := depthReport{Messages: 3000, Users: 100, Partitions: 2, FillSeconds: 7, Gaps: 3, Again: 4}
	r.add("pages", readings{took: took.take(), events: 4200, seconds: 2, cpu: .5})
	r.add("nothing", readings{})
	r.NATSStart.add(90 * time.Millisecond)
	r.EdgeStart.add(200 * time.Millisecond)
	r.EdgeStart.add(300 * time.Millisecond)
	var out bytes.Buffer
	if err := r.print(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"3000 messages, 100 users, 2 partitions", "Stored in 7 s", "pages    100         42.0", "50               5.00",
		"after 90 ms (90 to 90, of 1)", "ready after 300 ms (200 to 300, of 2)", "The kernel kept its pages", "3 of those who came back", "4 sessions ended before",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "nothing") {
		t.Errorf("what did not happen has a row:\n%s", &out)
	}
	if err := r.print(&out, true); err != nil || !strings.Contains(out.String(), `"nats_cpu_ms_each": 5`) {
		t.Errorf("%v:\n%s", err, &out)
	}
}

func TestBadUsageOfDepth(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(c *depthCmd)
	}{
		{"--messages", func(c *depthCmd) { c.Messages = 99 }},
		{"--users", func(c *depthCmd) { c.Users = c.Messages + 1 }},
		{"--broadcasts", func(c *depthCmd) { c.Broadcasts = 51 }},
		{"--size", func(c *depthCmd) { c.Size = 60_001 }},
		{"--partitions", func(c *depthCmd) { c.Partitions = 257 }},
		{"--pages", func(c *depthCmd) { c.Pages = 0 }},
		{"--cold", func(c *depthCmd) { c.Cold = -1 }},
		{"--publish", func(c *depthCmd) { c.Publish = 0 }},
	} {
		c := deepLog("", "", 1).depthCmd
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		tc.change(c)
		if err := c.check(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
}
