//go:build linux

package main

// rowFunc adds a row to a table: a value of each measurement, 0 if it has none.
type rowFunc func(name string, value func(*measure) float64, format string)

// rows lists what a table shows, in its order.
func rows(row rowFunc) {
	row("sockets", func(m *measure) float64 { return float64(m.Sockets) }, "%.0f")
	row("frame, bytes", func(m *measure) float64 { return float64(m.FrameBytes) }, "%.0f")
	row("resident bytes a connection", perSocket(func(m *measure) int64 { return m.After.RSS - m.Before.RSS }), "%.0f")
	row("  of these anonymous", perSocket(func(m *measure) int64 { return m.After.Anon - m.Before.Anon }), "%.0f")
	row("  slope, from a third of them to all", (*measure).slope, "%.0f")
	phaseRows(row, "connect, tokens new", "handshakes", func(m *measure) *phase { return m.Connect })
	phaseRows(row, "connect, tokens seen before", "handshakes", func(m *measure) *phase { return m.Again })
	phaseRows(row, "paced", "deliveries", func(m *measure) *phase { return m.Paced })
	phaseRows(row, "burst", "deliveries", func(m *measure) *phase { return m.Burst })
	phaseRows(row, "user messages", "deliveries", func(m *measure) *phase { return m.Users })
	latencyRows(row)
	mixedRows(row)
	comebackRows(row, "resume", func(m *measure) *comeback { return m.Resume })
	comebackRows(row, "resume at once", func(m *measure) *comeback { return m.Storm })
	peakRows(row)
	slowRows(row)
}

// some reads a value of a part that may not have been measured.
func some[T any](part func(*measure) *T, value func(*T) float64) func(*measure) float64 {
	return func(m *measure) float64 {
		if p := part(m); p != nil {
			return value(p)
		}
		return 0
	}
}

func phaseRows(row rowFunc, name, unit string, part func(*measure) *phase) {
	row(name+": "+unit+" a CPU second", some(part, func(p *phase) float64 { return p.PerCPU }), "%.0f")
	row("  CPU microseconds each", some(part, microsecondsEach), "%.2f")
	row("  CPU seconds", some(part, func(p *phase) float64 { return p.CPUSeconds }), "%.3f")
	row("  write calls each", some(part, writesEach), "%.3f")
	row("  bytes on the wire each", some(part, func(p *phase) float64 { return p.WireBytes }), "%.1f")
	row("  seconds", some(part, func(p *phase) float64 { return p.Seconds }), "%.2f")
	spreadRows(row, "", func(m *measure) *spread {
		if p := part(m); p != nil {
			return &p.spread
		}
		return nil
	})
}

// spreadRows shows how long things took; of says what, if the rows before do not.
func spreadRows(row rowFunc, of string, part func(*measure) *spread) {
	if of != "" {
		of += ": "
	}
	row("  "+of+"p50, ms", some(part, func(s *spread) float64 { return s.P50MS }), "%.3f")
	row("  "+of+"p99, ms", some(part, func(s *spread) float64 { return s.P99MS }), "%.3f")
	row("  "+of+"max, ms", some(part, func(s *spread) float64 { return s.MaxMS }), "%.3f")
}

// within narrows a part that may not have been measured to one of its fields.
func within[T, F any](part func(*measure) *T, field func(*T) *F) func(*measure) *F {
	return func(m *measure) *F {
		if p := part(m); p != nil {
			return field(p)
		}
		return nil
	}
}

func latencyRows(row rowFunc) {
	part := func(m *measure) *latency { return m.Latency }
	row("beside core NATS and the log alone: messages by each", some(part, func(l *latency) float64 { return float64(l.Messages) }), "%.0f")
	spreadRows(row, "core NATS, publish to subscriber", within(part, func(l *latency) *spread { return &l.Core }))
	spreadRows(row, "JetStream, publish to consumer", within(part, func(l *latency) *spread { return &l.Log }))
	spreadRows(row, "publish to acknowledgement", within(part, func(l *latency) *spread { return &l.Ack }))
	spreadRows(row, "publish to socket", within(part, func(l *latency) *spread { return &l.Users }))
	row("  publish to socket divided by core NATS, at p50", some(part, func(l *latency) float64 { return l.Ratio }), "%.2f")
	row("  publish to socket divided by JetStream's consumer, at p50", some(part, func(l *latency) float64 { return l.LogRatio }), "%.2f")
}

func mixedRows(row rowFunc) {
	part := func(m *measure) *mixed { return m.Mixed }
	row("mixed: broadcasts, one a second", some(part, func(x *mixed) float64 { return float64(x.Broadcasts) }), "%.0f")
	spreadRows(row, "to all", within(part, func(x *mixed) *spread { return &x.All }))
	row("  user messages meanwhile", some(part, func(x *mixed) float64 { return float64(x.Messages) }), "%.0f")
	spreadRows(row, "user messages", within(part, func(x *mixed) *spread { return &x.Users }))
}

func comebackRows(row rowFunc, name string, part func(*measure) *comeback) {
	phaseRows(row, name, "handshakes", within(part, func(c *comeback) *phase { return &c.phase }))
	row("  of them resumed, in %", some(part, func(c *comeback) float64 {
		return 100 * float64(c.Resumed) / float64(max(c.Count, 1))
	}), "%.2f")
	spreadRows(row, "connect to first missed message", within(part, func(c *comeback) *spread { return &c.First }))
}

func peakRows(row rowFunc) {
	part := func(m *measure) *peak { return m.Peak }
	phaseRows(row, "storm of connects", "handshakes", within(part, func(p *peak) *phase { return p.Connect }))
	each := func(bytes func(*peak) int64) func(*measure) float64 {
		return some(part, func(p *peak) float64 { return float64(bytes(p)) / float64(max(p.Connect.Count, 1)) })
	}
	row("  resident bytes a connection at most", each(func(p *peak) int64 { return p.High - p.Before.RSS }), "%.0f")
	row("  resident bytes a connection, settled", each(func(p *peak) int64 { return p.After.RSS - p.Before.RSS }), "%.0f")
	row("  the most divided by the settled", some(part, func(p *peak) float64 { return p.Ratio }), "%.2f")
}

func slowRows(row rowFunc) {
	part := func(m *measure) *slow { return m.Slow }
	number := func(name string, value func(*slow) float64, format string) { row(name, some(part, value), format) }
	const mib = 1 << 20
	number("sessions that stop reading", func(s *slow) float64 { return float64(s.Sockets) }, "%.0f")
	number("  broadcasts meanwhile", func(s *slow) float64 { return float64(s.Broadcasts) }, "%.0f")
	number("  frame, bytes", func(s *slow) float64 { return float64(s.FrameBytes) }, "%.0f")
	number("  seconds", func(s *slow) float64 { return s.SecondsDuring }, "%.2f")
	spreadRows(row, "the others, before", within(part, func(s *slow) *spread { return &s.Before }))
	spreadRows(row, "the others, meanwhile", within(part, func(s *slow) *spread { return &s.During }))
	number("  server's memory before, MiB", func(s *slow) float64 { return float64(s.MemoryBefore.RSS) / mib }, "%.1f")
	number("  server's memory at the end, MiB", func(s *slow) float64 { return float64(s.MemoryDuring.RSS) / mib }, "%.1f")
	number("  server's memory at most, MiB", func(s *slow) float64 { return float64(s.MemoryDuring.High) / mib }, "%.1f")
	number("  times that the ring left one behind", func(s *slow) float64 { return float64(s.Behind) }, "%.0f")
	phaseRows(row, "  catching up", "deliveries", within(part, func(s *slow) *phase { return s.CatchUp }))
}

// writesEach is how many write calls one delivery took.
func writesEach(p *phase) float64 {
	if p.Count == 0 {
		return 0
	}
	return float64(p.Writes) / float64(p.Count)
}

// microsecondsEach is the CPU time of one handshake or delivery.
func microsecondsEach(p *phase) float64 {
	if p.Count == 0 {
		return 0
	}
	return 1e6 * p.CPUSeconds / float64(p.Count)
}

func perSocket(bytes func(*measure) int64) func(*measure) float64 {
	return func(m *measure) float64 {
		if m.After.RSS == 0 { // it did not come that far
			return 0
		}
		return float64(bytes(m)) / float64(m.Sockets)
	}
}
