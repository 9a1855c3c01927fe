package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests below run this program again as one of these, so that something can
// happen to it.
func init() {
	if os.Getenv(launchEnv) != "" {
		return // not yet: it is to put itself behind a gate first
	}
	switch os.Getenv("VIBEMESH_CHAOS_TEST") {
	case "write": // writes a file, over and over, and says how it went
		for {
			began := time.Now()
			err := os.WriteFile(filepath.Join(os.Getenv("DIR"), "file"), []byte("text"), 0o600)
			fmt.Println(errors.Is(err, syscall.ENOSPC), err == nil, time.Since(began) > slowWrite/2)
			time.Sleep(5 * time.Millisecond)
		}
	case "clock": // says what time it is
		for {
			fmt.Println(time.Now().Unix())
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// program runs this program as one of the above.
func program(t *testing.T, what string, gate *Gate, dir string) *Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{
		Name: what, path: exe, log: filepath.Join(t.TempDir(), "log"), gate: gate,
		env: []string{"VIBEMESH_CHAOS_TEST=" + what, "DIR=" + dir},
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// says waits until the last line of a process is one that is wanted.
func says(t *testing.T, p *Process, what string, want func(line string) bool) {
	t.Helper()
	var line string
	err := eventually(t.Context(), 20*time.Second, what, func(context.Context) error {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if line = lines[len(lines)-1]; !want(line) {
			return errors.New(line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGate(t *testing.T) {
	dir := t.TempDir()
	g := newGate(dir)
	p := program(t, "write", g, dir)
	if err := g.Usable(); err != nil {
		t.Skip(err)
	}
	is := func(want string) func(string) bool { return func(line string) bool { return line == want } }
	says(t, p, "writing", is("false true false"))
	g.set(gateFull)
	says(t, p, "full", is("true false false"))
	g.set(gateSlow)
	says(t, p, "slow", is("false true true"))
	g.set(gateOpen)
	says(t, p, "writing again", is("false true false"))
}

func TestGateLeavesOtherFilesAlone(t *testing.T) {
	g := newGate(t.TempDir())
	p := program(t, "write", g, t.TempDir())
	if err := g.Usable(); err != nil {
		t.Skip(err)
	}
	g.set(gateFull)
	says(t, p, "writing elsewhere", func(line string) bool { return line == "false true false" })
}

func TestShiftClock(t *testing.T) {
	p := program(t, "clock", nil, "")
	near := func(by time.Duration) func(string) bool {
		return func(line string) bool {
			var at int64
			_, err := fmt.Sscan(line, &at)
			off := time.Since(time.Unix(at, 0)) + by
			return err == nil && off > -5*time.Second && off < 5*time.Second
		}
	}
	says(t, p, "right", near(0))
	for _, by := range []time.Duration{time.Hour, -time.Hour, 0} {
		err := shiftClock(t.Context(), p, by)
		var no *skipped
		if errors.As(err, &no) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		says(t, p, fmt.Sprint("shifted by ", by), near(by))
	}
}
