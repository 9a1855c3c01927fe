//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// report is a comparison.
type report struct {
	plan    plan
	tokens  string // what clients sign in with at the edge
	machine string
	pinned  bool
	labels  []string
	rows    []measure // the first is what the others are compared with
	paced   []phase   // of the first, by round
	bursts  []phase
}

// figure is one column of the table.
type figure struct {
	name   string // for the table
	short  string // for the plot; empty: not there
	better string // for the plot
	of     func(*measure) float64
}

// figures are the columns. All of them are the server's.
func (r *report) figures() []figure {
	perCPU := func(of func(*measure) *phase) func(*measure) float64 {
		return func(m *measure) float64 {
			if p := of(m); p != nil {
				return p.PerCPU
			}
			return 0
		}
	}
	burst := fmt.Sprintf("in bursts of %d", r.plan.Burst)
	return []figure{
		{"resident bytes a connection", "Resident bytes a connection", "less is better", perSocket(func(m *measure) int64 { return m.After.RSS - m.Before.RSS })},
		{"handshakes a CPU second", "Handshakes a CPU second", "more is better", perCPU(func(m *measure) *phase { return m.Connect })},
		{"deliveries a CPU second, paced", "Deliveries a CPU second, one broadcast at a time", "more is better", perCPU(func(m *measure) *phase { return m.Paced })},
		{"deliveries a CPU second, " + burst, "Deliveries a CPU second, " + burst, "more is better", perCPU(func(m *measure) *phase { return m.Burst })},
		{"write calls a delivery, " + burst, "", "", func(m *measure) float64 {
			if m.Burst == nil {
				return 0
			}
			return writesEach(m.Burst)
		}},
	}
}

// add takes a result, and the rounds that its broadcasts took: what counts is the
// round in the middle.
func (r *report) add(label string, m measure, paced, bursts []phase) {
	m.Paced, m.Burst = median(paced), median(bursts)
	if len(r.rows) == 0 {
		r.paced, r.bursts = paced, bursts
	}
	r.labels, r.rows = append(r.labels, label), append(r.rows, m)
}

// median is the phase with the middle rate, the lower of two; nil of none.
func median(rounds []phase) *phase {
	if len(rounds) == 0 {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(rounds), func(a, b phase) int { return cmp.Compare(a.PerCPU, b.PerCPU) })
	return &sorted[(len(sorted)-1)/2]
}

// cells are the table's texts by row: a value, and in parentheses what it is to
// the first row's.
func (r *report) cells() [][]string {
	out := make([][]string, len(r.rows))
	for _, f := range r.figures() {
		base := f.of(&r.rows[0])
		for i := range r.rows {
			v := f.of(&r.rows[i])
			cell := "–"
			if v != 0 {
				cell = number(v)
			}
			if i > 0 && v != 0 && base != 0 {
				cell += " (" + ratio(v/base) + ")"
			}
			out[i] = append(out[i], cell)
		}
	}
	return out
}

// number writes three digits that count, and thousands apart.
func number(v float64) string {
	if math.Abs(v) < 100 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	step := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	digits := strconv.FormatInt(int64(math.Round(v/step)*step), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func ratio(v float64) string {
	if v >= 10 {
		return number(v) + "×"
	}
	return strconv.FormatFloat(v, 'f', 2, 64) + "×"
}

// noise says how far the rounds of the first row are apart.
func (r *report) noise() string {
	if len(r.paced) < 2 || len(r.bursts) < 2 {
		return ""
	}
	byRate := func(a, b phase) int { return cmp.Compare(a.PerCPU, b.PerCPU) }
	span := func(rounds []phase) string {
		return number(slices.MinFunc(rounds, byRate).PerCPU) + " to " + number(slices.MaxFunc(rounds, byRate).PerCPU)
	}
	return fmt.Sprintf("All were held at once and had their turns in %d rounds, of which the middle one counts; handshakes and memory were measured once. The first one's rounds went from %s deliveries a CPU second paced, and from %s in bursts: so much is noise.",
		len(r.paced), span(r.paced), span(r.bursts))
}

// conditions says what was done, and where.
func (r *report) conditions() string {
	least, most := r.rows[0].FrameBytes, r.rows[0].FrameBytes
	for i := range r.rows {
		least, most = min(least, r.rows[i].FrameBytes), max(most, r.rows[i].FrameBytes)
	}
	frames := strconv.Itoa(least)
	if most > least {
		frames += "–" + strconv.Itoa(most)
	}
	where := ""
	if r.pinned {
		where = "; the servers on one core, the clients and NATS on another"
	}
	return fmt.Sprintf("%s sockets a server, payloads of %d bytes in messages of %s bytes, %d paced broadcasts and a burst of %d a round; %s%s.",
		number(float64(r.plan.Sockets)), r.plan.Size, frames, r.plan.Broadcasts, r.plan.Burst, r.machine, where)
}

// token says what the edge signs people in by.
func (r *report) token() string {
	if r.tokens == tokensRS256 {
		return "an RS256 token that it has not seen, verified as Firebase's are"
	}
	return "a development token"
}

// text prints the report for a terminal.
func (r *report) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "\t")
	for _, label := range r.labels {
		fmt.Fprint(t, label, "\t")
	}
	fmt.Fprintln(t)
	cells := r.cells()
	for k, f := range r.figures() {
		fmt.Fprint(t, f.name, "\t")
		for i := range r.rows {
			fmt.Fprint(t, cells[i][k], "\t")
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nIn parentheses: how many times the first one's. %s\n%s\n", r.conditions(), r.noise())
	for i := range r.rows {
		for _, what := range slices.Sorted(maps.Keys(r.rows[i].Faults)) {
			fmt.Fprintf(w, "FAULT %s: %s: %d\n", r.rows[i].Name, what, r.rows[i].Faults[what])
		}
	}
	return nil
}

// markdown writes the part of a document that is between the markers.
func (r *report) markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("\n| |")
	for _, f := range r.figures() {
		b.WriteString(" " + f.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(r.figures())) + "\n")
	for i, row := range r.cells() {
		label := r.labels[i]
		if r.rows[i].Name == "edge" {
			label = "**" + label + "**"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", label, strings.Join(row, " | "))
	}
	fmt.Fprintf(&b, `
![The same figures as bars](images/performance.svg)

In parentheses: how many times the first row's. Measured with %s
%s

What each of them does for a socket:

- **Bare floor**: a constant answer to every upgrade, and a loop of write(2).
- **Vibemesh edge**: signs everybody in by %s, indexes each by user, holds the recent log in memory, can resume; NATS runs in another process, which is not counted.
- **nbio**: upgrades, and writes finished frames in a loop. No sign-in, no subscriptions, no keepalive, nothing to resume from.
- **centrifuge**: the library's own WebSocket handler, queues and JSON protocol by their defaults, a user each, one channel subscribed by the server, its memory broker. No token is read, nothing to resume from. Its handshake ends with the answer to its connect command.

Memory is what the server's resident set grew by until %s after the last connect (the floor: 1 s), no garbage collected on request; the kernel's memory for sockets is not in it. CPU seconds are the server's user and system time, the kernel's work for its loopback writes with it. Write calls are the kernel's count for the whole process.
`, r.conditions(), r.noise(), r.token(), r.plan.Settle)
	_, err := io.WriteString(w, b.String())
	return err
}
