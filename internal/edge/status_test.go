package edge_test

import (
	"testing"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestStatus(t *testing.T) {
	m := newMesh(t, edge.Config{Loops: 2})
	if s := m.edge.Status(); s.Sessions != 0 || s.Delivered != 0 || s.Draining || s.RingSpan != 0 {
		t.Errorf("before anything: %+v", s)
	}
	peers := []*peer{m.connect(client.Options{Token: "alice"}), m.connect(client.Options{Token: "alice"}), m.connect(client.Options{Token: "bob"})}
	m.publish(wire.Broadcast(), "all")
	m.publish(wire.User("alice"), "hers")
	for _, p := range peers[:2] {
		p.wants("all", "hers")
	}
	peers[2].wants("all")
	peers[2].quiet() // its loop has written down what it delivered
	s := m.edge.Status()
	if s.Sessions != 3 || s.Draining || s.RingBytes == 0 || s.RingSpan < 0 {
		t.Errorf("with three sessions: %+v", s)
	}
	for _, p := range peers[:2] {
		p.quiet()
	}
	if s := m.edge.Status(); s.Delivered != 5 {
		t.Errorf("%d delivered, want 5", s.Delivered)
	}
	go m.edge.Drain(m.ctx())
	for _, p := range peers {
		p.closes(wire.CloseDrain)
	}
	if s := m.edge.Status(); !s.Draining {
		t.Errorf("while it drains: %+v", s)
	}
}
