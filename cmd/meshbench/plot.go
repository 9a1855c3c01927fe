//go:build linux

package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// The plot, in pixels: a panel for each figure, in it a bar for each server.
const (
	plotWidth  = 760
	plotLeft   = 190 // where bars begin
	plotRight  = 90  // room for a number behind the longest
	plotMargin = 16
	barStep    = 22
	barHeight  = 14
	panelHead  = 34
	panelGap   = 14
)

// style names what is drawn; the colours follow the reader's scheme, and the
// background is part of the picture, so that text is legible on any page.
const plotStyle = `<style>
svg { --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --bar: #afb8c1; --ours: #0969da; }
@media (prefers-color-scheme: dark) {
svg { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --bar: #4b535d; --ours: #4493f8; }
}
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink); }
.head { font-weight: 600; }
.faint { fill: var(--faint); }
.paper { fill: var(--paper); }
.bar { fill: var(--bar); }
.ours { fill: var(--ours); }
</style>
`

// plot writes the report as an SVG of horizontal bars, each figure to its own
// linear scale from 0.
func (r *report) plot(w io.Writer) error {
	var panels []figure
	for _, f := range r.figures() {
		if f.short != "" {
			panels = append(panels, f)
		}
	}
	panelHeight := panelHead + barStep*len(r.rows) + panelGap
	height := plotMargin + panelHeight*len(panels)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-labelledby="title desc">`+"\n", plotWidth, height)
	fmt.Fprintf(&b, "<title id=\"title\">What a connection and a delivery cost: %s</title>\n", escape(strings.Join(r.labels, ", ")))
	fmt.Fprintf(&b, "<desc id=\"desc\">%s</desc>\n", escape(r.inWords(panels)))
	b.WriteString(plotStyle)
	fmt.Fprintf(&b, `<rect class="paper" width="%d" height="%d" rx="6"/>`+"\n", plotWidth, height)
	for k, f := range panels {
		r.panel(&b, f, plotMargin+k*panelHeight)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// panel draws the bars of one figure from y down.
func (r *report) panel(b *strings.Builder, f figure, y int) {
	fmt.Fprintf(b, `<text x="%d" y="%d"><tspan class="head">%s</tspan><tspan class="faint"> – %s</tspan></text>`+"\n",
		plotMargin, y+panelHead-16, escape(f.short), f.better)
	most := 0.0
	for i := range r.rows {
		most = max(most, f.of(&r.rows[i]))
	}
	for i := range r.rows {
		top := y + panelHead + barStep*i
		v := max(f.of(&r.rows[i]), 0)
		length := 0.0
		if most > 0 {
			length = math.Round(v/most*(plotWidth-plotLeft-plotRight)*10) / 10
		}
		class, value := "bar", "–"
		if r.rows[i].Name == "edge" {
			class = "ours"
		}
		if v > 0 {
			value = number(v)
		}
		baseline := top + barHeight - 2
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, plotLeft-10, baseline, escape(r.labels[i]))
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%g" height="%d" rx="2"/>`, class, plotLeft, top, max(length, 1), barHeight)
		fmt.Fprintf(b, `<text x="%g" y="%d">%s</text>`+"\n", plotLeft+max(length, 1)+8, baseline, value)
	}
}

// inWords is the plot for those who do not see it.
func (r *report) inWords(panels []figure) string {
	var parts []string
	for _, f := range panels {
		var values []string
		for i := range r.rows {
			values = append(values, r.labels[i]+" "+number(f.of(&r.rows[i])))
		}
		parts = append(parts, fmt.Sprintf("%s (%s): %s.", f.short, f.better, strings.Join(values, "; ")))
	}
	return strings.Join(parts, " ")
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
