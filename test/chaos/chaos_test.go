package chaos

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestChaos is the short form of the suite: some faults, few clients, about a minute. SEED decides
// order, targets and times, as it does for cmd/chaos, which is the full form.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("a cluster of whole processes")
	}
	seed := uint64(time.Now().UnixNano()%1e6) + 1
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	faults, err := Select("short")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out := &lines{t: t}
	report, err := Chaos(t.Context(), Options{
		Seed: seed, Faults: faults, Short: true, Crowd: Crowd{Sessions: 150, Topics: 5}, Load: Load{Rate: 100}, Dir: dir, Out: out,
	})
	if err != nil {
		t.Fatal(err)
	}
	report.Print(out)
	if report.OK() {
		return
	}
	t.Errorf("the promise was broken; SEED=%d go test -run TestChaos repeats the run", seed)
	for _, p := range []string{"n1", "n2", "n3", "api", "edge1", "edge2", "edge3"} {
		if text, err := os.ReadFile(dir + "/" + p + ".log"); err == nil {
			t.Logf("%s said at last:\n%s", p, text[max(0, len(text)-8<<10):])
		}
	}
}

// lines brings what a run writes to the test's log, as it happens.
type lines struct {
	t    *testing.T
	rest []byte
}

func (l *lines) Write(text []byte) (int, error) {
	l.rest = append(l.rest, text...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(text), nil
		}
		l.t.Logf("%s", line)
		l.rest = rest
	}
}
