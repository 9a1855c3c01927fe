package mesh_test

import (
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestWhatWaitsHidesNoLoss: a message that waits for its time stays at the beginning of the
// log, however old it is. What retention has removed behind it is gone nevertheless, and
// whoever reads on from before is to be told.
func TestWhatWaitsHidesNoLoss(t *testing.T) {
	const age = 4 * time.Second
	m := connectTo(t, mesh.Config{Server: server(t, t.TempDir(), "")})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: age}); err != nil {
		t.Fatal(err)
	}
	waits := message(wire.User("ada"), "tomorrow")
	waits.At = time.Now().Add(24 * time.Hour)
	publish(t, m, waits)
	publish(t, m, message(wire.User("ada"), "lost"))
	lost := publish(t, m, message(wire.User("ada"), "lost, too"))[0].ID.Seq
	first := func() uint64 {
		t.Helper()
		page, err := m.Page(t.Context(), wire.PageRequest{
			Audiences: []wire.Audience{wire.User("ada")}, After: wire.Vector{lost - 2}, UpTo: wire.Vector{lost}, Limit: 10, MaxBytes: 1 << 20,
		})
		if err != nil {
			t.Fatal(err)
		}
		first := page.State[0].First
		if len(page.Entries) < 2 && first < lost {
			t.Fatalf("the page has %d of 2 messages, and the log begins at %d: nothing is said of the others", len(page.Entries), first)
		}
		return first
	}
	if got := first(); got > lost-2 {
		t.Fatalf("the log begins at %d while all is there", got)
	}
	deadline := time.Now().Add(20 * time.Second)
	for first() != lost+1 { // the log is empty but for what waits
		if time.Now().After(deadline) {
			t.Fatalf("the log begins at %d, and everything up to %d has expired", first(), lost)
		}
		time.Sleep(20 * time.Millisecond)
	}
	keptAt := time.Now()
	kept := publish(t, m, message(wire.User("ada"), "kept"))[0].ID.Seq
	if got := first(); got != kept {
		t.Errorf("the log begins at %d, want %d", got, kept)
	}
	state, err := m.State(t.Context())
	if err != nil || state[0].First != kept || state[0].Last != kept {
		t.Errorf("the state is %+v, %v", state, err)
	}
	size := m.NewLogSize()
	size.Ask(t.Context())
	const oldest = "vibemesh_log_oldest_timestamp_seconds 0"
	if got := gauges(t, size)[oldest]; got < float64(keptAt.UnixMilli())/1e3-1 {
		t.Errorf("the oldest message is said to be of %v, and what does not wait is of %v", got, keptAt)
	}
	status, err := m.NewOperator().LogStatus(t.Context())
	if err != nil || status.Oldest.Before(keptAt.Add(-time.Second)) {
		t.Errorf("the status is %+v, %v; what does not wait is of %v", status, err, keptAt)
	}
}

// TestWhatWaitsIsNoLoss: whoever has seen all but messages that wait for their time has lost
// nothing, however old those are.
func TestWhatWaitsIsNoLoss(t *testing.T) {
	const age = time.Second
	m := connectTo(t, mesh.Config{Server: server(t, t.TempDir(), "")})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: age}); err != nil {
		t.Fatal(err)
	}
	later := func(title string) {
		t.Helper()
		waits := message(wire.User("ada"), title)
		waits.At = time.Now().Add(24 * time.Hour)
		publish(t, m, waits)
	}
	later("one")
	seen := publish(t, m, message(wire.User("ada"), "seen"))[0].ID.Seq
	later("two")
	later("three")
	deadline := time.Now().Add(20 * time.Second)
	for {
		state, err := m.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := state[0].First; got == seen+1 {
			break
		} else if got > seen+1 || time.Now().After(deadline) {
			t.Fatalf("the log begins at %d, and only what was up to %d has expired", got, seen)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestShorterAgeThanWhatWaits: a message that waits for its time tells nothing of how old the
// others are, and is not removed by an age.
func TestShorterAgeThanWhatWaits(t *testing.T) {
	m := connectTo(t, mesh.Config{Server: server(t, t.TempDir(), "")})
	cfg := mesh.LogConfig{Replicas: 1, MaxAge: 200 * time.Millisecond}
	if _, err := m.Provision(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	waits := message(wire.User("ada"), "tomorrow")
	waits.At = time.Now().Add(24 * time.Hour)
	publish(t, m, waits)
	shorter := cfg
	shorter.MaxAge = 100 * time.Millisecond
	until(t, "said", func() bool {
		err := plan(t, m, shorter).Err()
		if err == nil {
			return false // it is not old enough
		}
		if strings.Contains(err.Error(), "set WS_HISTORY_AGE to 1h") {
			t.Fatalf("the message that waits is taken for one that an age removes: %v", err)
		}
		return strings.Contains(err.Error(), "waits for its time and stays") && strings.Contains(err.Error(), "set WS_HISTORY_AGE to 200ms")
	})
}
