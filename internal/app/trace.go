package app

import (
	"context"
	"time"

	"github.com/socialvibes/vibemesh/internal/trace"
)

// traceFlush bounds the wait for a collector at the end.
const traceFlush = 5 * time.Second

// startTrace comes first, and so is stopped last: what the others say at their end is
// recorded, too. Its error wraps trace.ErrSettings where the environment is wrong.
func (a *App) startTrace(ctx context.Context) error {
	name := "vibemesh"
	switch {
	case !a.role.Edge && !a.role.API:
		return nil // it neither publishes nor delivers
	case !a.role.API:
		name += "-edge"
	case !a.role.Edge:
		name += "-api"
	}
	r, err := trace.New(ctx, trace.Process{Name: name, Version: a.version, Node: a.cfg.Node}, a.metrics, a.log)
	if err != nil || r == nil {
		return err
	}
	a.trace = r
	a.onStop("tracing", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, traceFlush)
		defer cancel()
		if err := r.Stop(ctx); err != nil {
			a.log.Warn("not all spans were exported", "err", err) // no reason to fail for
		}
		return nil
	})
	return nil
}
