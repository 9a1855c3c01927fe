//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// print writes the results, the first of which the others are compared with.
func print(w io.Writer, results []measure, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(results)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, value func(*measure) float64, format string) {
		values := make([]float64, len(results))
		for i := range results {
			values[i] = value(&results[i])
		}
		if !slices.ContainsFunc(values, func(v float64) bool { return v != 0 }) {
			return
		}
		fmt.Fprint(t, name, "\t")
		for i, v := range values {
			switch {
			case v == 0:
				fmt.Fprint(t, "-\t")
			case i == 0 || values[0] == 0:
				fmt.Fprintf(t, format+"\t", v)
			default:
				fmt.Fprintf(t, format+" (%.2f)\t", v, values[0]/v)
			}
		}
		fmt.Fprintln(t)
	}
	fmt.Fprint(t, "\t")
	for _, m := range results {
		fmt.Fprint(t, m.Name, "\t")
	}
	fmt.Fprintln(t)
	rows(row)
	if err := t.Flush(); err != nil {
		return err
	}
	if len(results) > 1 {
		fmt.Fprintf(w, "\nIn parentheses: %s divided by it.\n", results[0].Name)
	}
	for _, m := range results {
		for _, what := range slices.Sorted(maps.Keys(m.Faults)) {
			fmt.Fprintf(w, "FAULT %s: %s: %d\n", m.Name, what, m.Faults[what])
		}
	}
	return nil
}

// rows lists what a table shows, in its order.
func rows(row func(name string, value func(*measure) float64, format string)) {
	row("sockets", func(m *measure) float64 { return float64(m.Sockets) }, "%.0f")
	row("frame, bytes", func(m *measure) float64 { return float64(m.FrameBytes) }, "%.0f")
	row("resident bytes a connection", perSocket(func(m *measure) int64 { return m.After.RSS - m.Before.RSS }), "%.0f")
	row("  of these anonymous", perSocket(func(m *measure) int64 { return m.After.Anon - m.Before.Anon }), "%.0f")
	for _, p := range []struct {
		name, unit string
		of         func(*measure) *phase
	}{
		{"connect", "handshakes", func(m *measure) *phase { return m.Connect }},
		{"paced", "deliveries", func(m *measure) *phase { return m.Paced }},
		{"burst", "deliveries", func(m *measure) *phase { return m.Burst }},
		{"user messages", "deliveries", func(m *measure) *phase { return m.Users }},
		{"resume", "handshakes", func(m *measure) *phase { return m.Resume }},
	} {
		number := func(f func(*phase) float64) func(*measure) float64 {
			return func(m *measure) float64 {
				if ph := p.of(m); ph != nil {
					return f(ph)
				}
				return 0
			}
		}
		row(p.name+": "+p.unit+" a CPU second", number(func(p *phase) float64 { return p.PerCPU }), "%.0f")
		row("  CPU seconds", number(func(p *phase) float64 { return p.CPUSeconds }), "%.3f")
		row("  write calls each", number(writesEach), "%.3f")
		row("  seconds", number(func(p *phase) float64 { return p.Seconds }), "%.2f")
		row("  p50, ms", number(func(p *phase) float64 { return p.P50MS }), "%.2f")
		row("  p99, ms", number(func(p *phase) float64 { return p.P99MS }), "%.2f")
		row("  max, ms", number(func(p *phase) float64 { return p.MaxMS }), "%.2f")
	}
}

// writesEach is how many write calls one delivery took.
func writesEach(p *phase) float64 {
	if p.Count == 0 {
		return 0
	}
	return float64(p.Writes) / float64(p.Count)
}

func perSocket(bytes func(*measure) int64) func(*measure) float64 {
	return func(m *measure) float64 {
		if m.After.RSS == 0 { // it did not come that far
			return 0
		}
		return float64(bytes(m)) / float64(m.Sockets)
	}
}
