package mesh_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestEdgeStatus: every edge tells of itself, sorted, and one that does not answer is
// not passed over silently.
func TestEdgeStatus(t *testing.T) {
	s := server(t, t.TempDir(), "")
	before := time.Now().Add(-time.Second)
	for _, name := range []string{"edge-2", "edge-1"} {
		running(t, node(t, s, name).NewControl("v1-dirty", &fakeEdge{sessions: map[string]int{"ada": 2}}).Run)
	}
	o := node(t, s, "api").NewOperator()
	running(t, o.Run)
	var edges []wire.EdgeStatus
	until(t, "complete", func() bool {
		var complete bool
		var err error
		if edges, complete, err = o.EdgeStatus(t.Context()); err != nil {
			t.Fatal(err)
		}
		return complete && len(edges) == 2
	})
	for i, e := range edges {
		if e.Node != fmt.Sprint("edge-", i+1) || e.Version != "v1-dirty" || e.Sessions != 1 || e.RingBytes != 7 || e.CaughtUp ||
			e.Started.Before(before) || e.Started.After(time.Now()) {
			t.Errorf("edge %d: %+v", i, e)
		}
	}
}

// TestNoEdges: that there is none is an answer, not a failure.
func TestNoEdges(t *testing.T) {
	o := node(t, server(t, t.TempDir(), ""), "api").NewOperator()
	if edges, complete, err := o.EdgeStatus(t.Context()); edges != nil || complete || err != nil {
		t.Errorf("before it has looked: %v, %v, %v", edges, complete, err)
	}
	running(t, o.Run)
	until(t, "complete", func() bool {
		sessions, complete, err := o.Presence(t.Context(), []string{"ada"})
		if err != nil || len(sessions) != 1 || len(sessions[0]) > 0 {
			t.Fatalf("%v, %v", sessions, err)
		}
		return complete
	})
}

// TestLogStatus: what all partitions hold together, and that there is no log.
func TestLogStatus(t *testing.T) {
	subjects, err := wire.NewSubjects("sv")
	if err != nil {
		t.Fatal(err)
	}
	subjects = subjects.Partitioned(3)
	s, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Node: "test", Subjects: subjects}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	m := connectTo(t, mesh.Config{Server: s, Subjects: subjects})
	o := m.NewOperator()
	if _, err := o.LogStatus(t.Context()); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("without a log: %v", err)
	}
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	empty, err := o.LogStatus(t.Context())
	if want := (wire.LogStatus{Partitions: 3}); err != nil || empty != want {
		t.Errorf("empty: %+v, %v", empty, err)
	}
	before := time.Now().Add(-time.Second)
	for i := range 12 {
		publish(t, m, message(wire.User(fmt.Sprint("user-", i)), "x"))
	}
	log, err := o.LogStatus(t.Context())
	if err != nil || log.Messages != 12 || log.Last != 12 || log.Bytes == 0 || log.Oldest.Before(before) || log.Oldest.After(time.Now()) {
		t.Errorf("%+v, %v", log, err)
	}
}
