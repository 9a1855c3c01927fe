package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/api"
	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/mesh"
)

// revocations bring what was revoked to who verifies tokens and to who holds sessions.
type revocations struct {
	tokens *auth.Revoked
	edge   atomic.Pointer[edge.Edge] // nil until there is one
}

// Revoke implements mesh.RevokedSink. The order matters: who is signed in meanwhile is
// either refused, or found by the edge.
func (r *revocations) Revoke(uid string, before time.Time) {
	r.tokens.Set(uid, before)
	if e := r.edge.Load(); e != nil {
		e.Revoke(uid, before)
	}
}

// Restore implements mesh.RevokedSink.
func (r *revocations) Restore(uid string) { r.tokens.Remove(uid) }

// startRevoked lets nobody in before it is known who was locked out.
func (a *App) startRevoked(ctx context.Context) error {
	a.revoke.tokens = a.tokens.Revoked()
	r := a.mesh.NewRevocations(&a.revoke)
	a.metrics.MustRegister(r.Collectors()...)
	a.run("revoked tokens", r.Run)
	return r.Known(ctx)
}

// topicRule is who may join which topic, as the settings say.
func (a *App) topicRule() edge.TopicRule {
	switch a.cfg.Topics {
	case "claim":
		return edge.TopicRule{Claim: true}
	case "service":
		gate := a.mesh.NewTopicGate()
		a.metrics.MustRegister(gate.Collectors()...)
		return edge.TopicRule{Gate: gate}
	}
	return edge.TopicRule{}
}

// startControl has an edge hear signals and orders.
func (a *App) startControl(e *edge.Edge, signals *mesh.Signals) {
	a.revoke.edge.Store(e)
	a.metrics.MustRegister(signals.Collectors()...)
	a.run("signals", func(ctx context.Context) error { return signals.Run(ctx, e) })
	control := a.mesh.NewControl(a.version, e)
	a.metrics.MustRegister(control.Collectors()...)
	a.run("control", control.Run)
}

// startOperator has an API know the edges.
func (a *App) startOperator() api.Edges {
	o := a.mesh.NewOperator()
	a.metrics.MustRegister(o.Collectors()...)
	a.run("operator", o.Run)
	return o
}

// startLogSize has APIs measure the log: edges are too many to ask it.
func (a *App) startLogSize() {
	size := a.mesh.NewLogSize()
	a.metrics.MustRegister(size.Collectors()...)
	a.run("log size", size.Run)
}
