package mesh

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// tracePublish starts the span of a publish, in the trace of ctx or in a new one. The
// messages carry the context that it returns: see trace.Carry.
func (m *Mesh) tracePublish(ctx context.Context, msgs []wire.Message) (context.Context, *trace.Publishing) {
	if m.cfg.Trace == nil {
		return ctx, nil
	}
	now := time.Now()
	return m.cfg.Trace.Publish(ctx, trace.Publication{
		Subjects: m.cfg.Subjects, Messages: msgs,
		Scheduled: slices.ContainsFunc(msgs, func(msg wire.Message) bool { return msg.At.After(now) }),
	})
}

// traceStore starts the span of what one partition is sent and answers.
func (m *Mesh) traceStore(ctx context.Context, p, msgs int) (context.Context, *trace.Storing) {
	return m.cfg.Trace.Store(ctx, m.parts[p].stream, strconv.Itoa(p), msgs)
}
