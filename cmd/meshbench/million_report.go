//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

func mb(bytes int64) int64 { return bytes >> 20 }

// print writes what was found: the footprints in MB, and by connection what the
// second has more than the first.
func (h *crowd) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	columns := []string{"before", "connected", "after the messages"}
	fmt.Fprint(t, "MB\t")
	for i := range h.footprints {
		fmt.Fprint(t, columns[i], "\t")
	}
	if len(h.footprints) > 1 {
		fmt.Fprint(t, "bytes a connection\t")
	}
	fmt.Fprintln(t)
	for _, row := range []struct {
		name string
		of   func(f footprint) int64
	}{
		{"edges, resident", func(f footprint) int64 { return f.edges.RSS }},
		{"of that, anonymous", func(f footprint) int64 { return f.edges.Anon }},
		{"clients, resident", func(f footprint) int64 { return f.clients.RSS }},
		{"kernel objects, both ends", func(f footprint) int64 { return f.slab }},
		{"in TCP's buffers", func(f footprint) int64 { return f.buffers }},
		{"machine, in use", func(f footprint) int64 { return f.used }},
	} {
		fmt.Fprint(t, row.name, "\t")
		for _, f := range h.footprints {
			fmt.Fprintf(t, "%d\t", mb(row.of(f)))
		}
		if len(h.footprints) > 1 {
			fmt.Fprintf(t, "%d\t", (row.of(h.footprints[1])-row.of(h.footprints[0]))/int64(h.Sockets))
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "\n", h.describe())
	return err
}

// describe says in words what arrived.
func (h *crowd) describe() string {
	if h.complete {
		chosen := slices.Compact(slices.Sorted(slices.Values(h.chosen)))
		return fmt.Sprintf("%d to all: each of the %d sockets got each exactly once.\n"+
			"%d to one user each, %d users chosen at random: each arrived exactly once, there and nowhere else.\n",
			h.Broadcasts, h.connected, h.users, len(chosen))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "INCOMPLETE: %d of %d sockets connected, %d of %d deliveries to all, %d of %d to one user.\n", h.connected, h.Sockets,
		h.broadcasts, int64(h.Broadcasts)*int64(h.Sockets), h.users, h.UserMessages)
	for _, what := range slices.Sorted(maps.Keys(h.faults)) {
		fmt.Fprintf(&b, "FAULT %s: %d\n", what, h.faults[what])
	}
	return b.String()
}
