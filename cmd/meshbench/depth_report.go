//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// depthReport is what was found of a deep log.
type depthReport struct {
	Machine      string     `json:"machine"`
	Messages     int        `json:"messages"`
	Users        int        `json:"users"`
	Partitions   int        `json:"partitions"`
	ReadMirror   bool       `json:"read_mirror"`
	FillSeconds  float64    `json:"fill_seconds,omitempty"` // absent: it was filled before
	PagesDropped bool       `json:"pages_dropped"`          // by the kernel, before the cold pages
	Gaps         int64      `json:"gaps"`                   // clients that heard of one when they came back
	Again        int64      `json:"again"`                  // sessions that ended before those who came back had all
	NATSStart    durations  `json:"nats_start_ms"`
	EdgeStart    durations  `json:"edge_start_ms"`
	Rows         []depthRow `json:"rows"`
}

// depthRow is what something took.
type depthRow struct {
	Name   string  `json:"name"`
	Count  int64   `json:"count"`
	Events float64 `json:"events_each,omitempty"`
	spread
	PerSecond float64 `json:"per_second,omitempty"`
	CPUMS     float64 `json:"nats_cpu_ms_each,omitempty"` // CPU time of NATS, divided by the count
}

// durations are few of a kind, in ms.
type durations []float64

func (d *durations) add(took time.Duration) { *d = append(*d, ms(took)) }

func (d durations) String() string {
	s := slices.Sorted(slices.Values(d))
	if len(s) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f ms (%.0f to %.0f, of %d)", s[len(s)/2], s[0], s[len(s)-1], len(s))
}

// add notes what something took, unless it did not happen.
func (r *depthReport) add(name string, of readings) {
	if of.took.N == 0 {
		return
	}
	n := float64(of.took.N)
	row := depthRow{
		Name: name, Count: of.took.N, Events: float64(of.events) / n, spread: spreadOf(of.took), CPUMS: of.cpu * 1000 / n,
	}
	if of.seconds > 0 {
		row.PerSecond = n / of.seconds
	}
	r.Rows = append(r.Rows, row)
}

// print writes the table, or JSON.
func (r *depthReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	fmt.Fprintf(w, "%d messages, %d users, %d partitions, read mirror: %t\n", r.Messages, r.Users, r.Partitions, r.ReadMirror)
	if r.FillSeconds > 0 {
		fmt.Fprintf(w, "Stored in %.0f s.\n", r.FillSeconds)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tcount\tevents each\tp50, ms\tp99, ms\tmax, ms\ta second\tNATS, CPU ms each\t")
	number := func(v float64, format string) string {
		if v == 0 {
			return "-"
		}
		return fmt.Sprintf(format, v)
	}
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%d\t%s\t%.2f\t%.2f\t%.2f\t%s\t%s\t\n", row.Name, row.Count, number(row.Events, "%.1f"),
			row.P50MS, row.P99MS, row.MaxMS, number(row.PerSecond, "%.0f"), number(row.CPUMS, "%.2f"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nNATS takes connections after %v; the edge is ready after %v.\n", r.NATSStart, r.EdgeStart)
	if len(r.NATSStart) > 0 && !r.PagesDropped {
		fmt.Fprintln(w, "The kernel kept its pages (to drop them takes root): only NATS itself was cold.")
	}
	if r.Gaps > 0 {
		fmt.Fprintf(w, "%d of those who came back were told of a gap: they had missed more than an edge replays.\n", r.Gaps)
	}
	if r.Again > 0 {
		fmt.Fprintf(w, "%d sessions ended before they had all, and had to come back once more.\n", r.Again)
	}
	return nil
}
