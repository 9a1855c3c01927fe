package chaos

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// counts are what a row counts.
type counts struct {
	Acknowledged int `json:"acknowledged"` // messages
	Delivered    int `json:"delivered"`    // messages to sessions, each once
	Before       int `json:"before"`       // sent again although the cursor covered them
	After        int `json:"after"`        // sent again beyond the cursor, as at least once allows
	Gaps         int `json:"gaps"`
	Disconnects  int `json:"disconnects"` // of sessions, but those that left by themselves
}

func (c counts) minus(b counts) counts {
	return counts{
		c.Acknowledged - b.Acknowledged, c.Delivered - b.Delivered, c.Before - b.Before, c.After - b.After,
		c.Gaps - b.Gaps, c.Disconnects - b.Disconnects,
	}
}

// Row is what one fault did.
type Row struct {
	Fault     string        `json:"fault"`
	About     string        `json:"about"`
	Skipped   string        `json:"skipped,omitempty"` // why it could not be taken
	Began     time.Duration `json:"began_ns"`          // since the run began
	Lasted    time.Duration `json:"lasted_ns"`         // until nothing was broken any more
	Recovered time.Duration `json:"recovered_ns"`      // from then until everybody had everything
	Silence   time.Duration `json:"silence_ns"`        // the longest of a client for whom there was something
	Lost      int           `json:"lost"`              // messages that sessions had not got when the patience ended
	Notes     []string      `json:"notes,omitempty"`
	Wrong     []string      `json:"wrong,omitempty"` // promises that were broken, beside those that Check finds
	counts
}

// String is the row as it is printed while the run goes on.
func (r Row) String() string {
	if r.Skipped != "" {
		return fmt.Sprintf("%s %-18s SKIPPED: %s", clock(r.Began), r.Fault, r.Skipped)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-18s lasted %s, acknowledged %d, delivered %d, duplicates before/after the cursor %d/%d, lost %d, gaps %d, longest silence %s, recovered in %s, disconnects %d",
		clock(r.Began), r.Fault, seconds(r.Lasted), r.Acknowledged, r.Delivered, r.Before, r.After, r.Lost, r.Gaps, seconds(r.Silence), seconds(r.Recovered), r.Disconnects)
	if len(r.Notes) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(r.Notes, "; "))
	}
	for _, w := range r.Wrong {
		fmt.Fprintf(&b, "\n      WRONG: %s", w)
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// Report is the outcome of a run.
type Report struct {
	Seed     uint64    `json:"seed"`
	Sessions int       `json:"sessions"`
	Rate     float64   `json:"rate"`
	Rows     []Row     `json:"rows"`
	Total    counts    `json:"total"`
	Attempts int       `json:"attempts"` // of publishing that were not acknowledged, and repeated
	Findings []Finding `json:"findings"`
	Wrong    []string  `json:"wrong,omitempty"`
}

// OK reports whether the promise was kept.
func (r *Report) OK() bool {
	if r == nil || len(r.Findings) > 0 || len(r.Wrong) > 0 {
		return false
	}
	for _, row := range r.Rows {
		if row.Lost > 0 || len(row.Wrong) > 0 {
			return false
		}
	}
	return true
}

// maxFindings is how many findings are printed; more say nothing new.
const maxFindings = 40

// Print writes the table, as Markdown, and what was found.
func (r *Report) Print(w io.Writer) {
	if len(r.Rows) > 0 {
		r.printTable(w)
	}
	fmt.Fprintf(w, "%d sessions, %d messages acknowledged, %d received, %d attempts repeated, seed %d\n",
		r.Sessions, r.Total.Acknowledged, r.Total.Delivered, r.Attempts, r.Seed)
	for _, text := range r.Wrong {
		fmt.Fprintln(w, "WRONG:", text)
	}
	r.printFindings(w)
	if r.OK() {
		fmt.Fprintln(w, "the promise was kept")
	} else {
		fmt.Fprintf(w, "THE PROMISE WAS BROKEN; SEED=%d repeats the run\n", r.Seed)
	}
}

func (r *Report) printTable(w io.Writer) {
	fmt.Fprintf(w, "\n| fault | lasted | acknowledged | delivered | duplicates before / after the cursor | lost | gaps | longest silence | recovered in |\n")
	fmt.Fprintf(w, "|---|---|---|---|---|---|---|---|---|\n")
	for _, row := range r.Rows {
		about := row.About
		if about == "" {
			about = row.Fault
		}
		if row.Skipped != "" {
			fmt.Fprintf(w, "| %s | **skipped**: %s | | | | | | | |\n", about, row.Skipped)
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %d | %d | %d / %d | %d | %d | %s | %s |\n", about, seconds(row.Lasted), row.Acknowledged,
			row.Delivered, row.Before, row.After, row.Lost, row.Gaps, seconds(row.Silence), seconds(row.Recovered))
	}
	fmt.Fprintf(w, "| the whole run, checked at the end | %s | %d | %d | %d / %d | %d | %d | | |\n\n", seconds(r.end()), r.Total.Acknowledged, r.Total.Delivered, r.Total.Before, r.Total.After, r.lost(), r.Total.Gaps)
}

// printFindings counts them by kind and prints some in full.
func (r *Report) printFindings(w io.Writer) {
	kinds := map[Kind]int{}
	sessions := map[string]bool{}
	for _, f := range r.Findings {
		kinds[f.Kind]++
		sessions[f.Session] = true
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(w, "FOUND %d × %s\n", kinds[kind], kind)
	}
	if len(sessions) > 0 {
		fmt.Fprintf(w, "in %d sessions:\n", len(sessions))
	}
	for i, f := range r.Findings {
		if i == maxFindings {
			fmt.Fprintf(w, "… and %d more; --json has all\n", len(r.Findings)-i)
			break
		}
		fmt.Fprintln(w, f.Text)
	}
}

func (r *Report) end() time.Duration {
	if len(r.Rows) == 0 {
		return 0
	}
	last := r.Rows[len(r.Rows)-1]
	return last.Began + last.Lasted + last.Recovered
}

func (r *Report) lost() (n int) {
	for _, f := range r.Findings {
		if f.Kind == Lost {
			n += int(f.To - f.From + 1)
		}
	}
	return n
}
