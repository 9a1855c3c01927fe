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
