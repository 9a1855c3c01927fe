package mesh_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestPublishToReplicas: in a cluster messages are proposed before they are stored, and
// until then their ids are known and their sequences are not.
func TestPublishToReplicas(t *testing.T) {
	url := cluster(t)
	a, b := connectTo(t, mesh.Config{URLs: []string{url}}), connectTo(t, mesh.Config{URLs: []string{url}})
	if _, err := a.Provision(t.Context(), mesh.LogConfig{Replicas: 3, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	js := jetStream(t, url)
	const rounds = 30
	stored := 0
	for round := range rounds {
		size := 1 + 29*(round%2) // alone, or a batch
		stored += size
		var got [2][]wire.Receipt
		var errs [2]error
		var both sync.WaitGroup
		for i, m := range []*mesh.Mesh{a, b} {
			both.Go(func() { got[i], errs[i] = m.Publish(t.Context(), crowd(fmt.Sprint("r", round), 0, size)) })
		}
		both.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		for i := range size {
			if got[0][i].ID != got[1][i].ID || got[0][i].Duplicate == got[1][i].Duplicate {
				t.Fatalf("round %d, message %d: %+v and %+v", round, i, got[0][i], got[1][i])
			}
		}
	}
	// One more than was there, and the same again.
	more := publish(t, a, crowd("r1", 0, 31)...)
	if !more[29].Duplicate || more[30].Duplicate {
		t.Errorf("%+v, %+v", more[29], more[30])
	}
	if n := info(t, js, "SV_LOG").State.Msgs; n != uint64(stored+1) {
		t.Errorf("%d messages are stored, want %d", n, stored+1)
	}

	soon, never := later(message(wire.User("soon"), "soon"), time.Second), later(message(wire.User("never"), "never"), time.Second)
	soon.TTL, soon.Collapse = time.Hour, "key"
	receipts := publish(t, a, soon, never)
	if !cancel(t, b, receipts[1].ID) {
		t.Error("not cancelled")
	}
	msg := delivered(t, js, "SV_LOG", "sv.ws.user.soon", 1)[0]
	if h := msg.Headers(); h.Get(wire.HeaderTTL) != "3600" || h.Get(wire.HeaderCollapse) != "key" {
		t.Errorf("%v", h)
	}
	if waits(t, b, receipts[0].ID) {
		t.Error("what is delivered still waits")
	}
	large := publish(t, a, crowd("large", 0, 1000)...)
	for i, r := range publish(t, b, crowd("large", 0, 1000)...) {
		if !r.Duplicate || r.ID != large[i].ID {
			t.Fatalf("receipt %d is %+v, was %+v", i, r, large[i])
		}
	}
}
