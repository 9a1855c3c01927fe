package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

type statusCmd struct {
	Watch    bool          `help:"Go on: a live view on a terminal (q ends it), else a table each --interval."`
	Interval time.Duration `help:"How often --watch asks." default:"2s"`
	Count    int           `help:"End --watch after so many answers; 0: never." placeholder:"N"`

	publisherFlags `embed:""`
}

// status is the answer of GET /ws/status.
type status struct {
	Version  string            `json:"version"` // of the API that answers
	Node     string            `json:"node"`
	Complete *bool             `json:"complete"`
	Edges    []wire.EdgeStatus `json:"edges"`
	Log      *logStatus        `json:"log"`

	raw string
	at  time.Time
}

// logStatus is what the log holds.
type logStatus struct {
	Partitions int        `json:"partitions"`
	Messages   uint64     `json:"messages"`
	Bytes      uint64     `json:"bytes"`
	Last       uint64     `json:"last_sequence"`
	Oldest     *time.Time `json:"oldest"`
}

// Run prints the state of the mesh once, or follows it.
func (c *statusCmd) Run(ctx context.Context, w world, g globals) error {
	if c.Interval < 100*time.Millisecond {
		return usage("--interval=%v: ask at most ten times a second", c.Interval)
	}
	if c.Count < 0 {
		return usage("--count=%d must not be negative", c.Count)
	}
	cred, err := c.credentials()
	if err != nil {
		return err
	}
	ask := func(ctx context.Context) (*status, error) { return askStatus(ctx, w, g, cred) }
	if c.Watch {
		return c.watch(ctx, w, g, ask)
	}
	s, err := ask(ctx)
	if err != nil {
		return err
	}
	if g.JSON {
		err = say(w, s.raw)
	} else {
		err = w.printLines(s.view(nil).lines(0))
	}
	if err == nil && !s.whole() {
		return errIncomplete
	}
	return err
}

func askStatus(ctx context.Context, w world, g globals, cred credentials) (*status, error) {
	raw, err := call(ctx, g, http.MethodGet, "/ws/status", cred, nil, nil)
	if err != nil {
		return nil, err
	}
	s := &status{raw: strings.TrimSpace(string(raw)), at: w.now()}
	if err := json.Unmarshal(raw, s); err != nil || s.Complete == nil {
		return nil, errors.New("the server's answer is not a status; is --url (SV_URL) the base URL of a Vibemesh?")
	}
	return s, nil
}

// whole reports whether every edge has answered, and the log.
func (s *status) whole() bool { return *s.Complete && s.Log != nil }

// noticeable is how many messages an edge is behind the log before that is called a
// lag: below, they are on their way.
const noticeable = 1000

// usual is the version that most edges run; of two with as many, the API's own.
func (s *status) usual() string {
	n := map[string]int{}
	for _, e := range s.Edges {
		n[e.Version]++
	}
	best := s.Version
	for _, v := range slices.Sorted(maps.Keys(n)) {
		if n[v] > n[best] {
			best = v
		}
	}
	return best
}

// trouble says in a word what is wrong with an edge; empty: nothing.
func trouble(e *wire.EdgeStatus, usual string) (word, colour string) {
	switch {
	case e.Draining:
		return "draining", yellow
	case !e.CaughtUp:
		return "catching up", yellow
	case e.Lag >= noticeable:
		return "lags", red
	case e.Version != usual:
		return "other version", yellow
	}
	return "", ""
}

// view is a status made ready for people.
type view struct {
	title []cell
	table table
	first int // rows that are in trouble, which come first when there is no room for all
	notes [][]cell
}

// view shows a status; before is what was seen of the edges earlier, nil where there
// are no rates to be shown.
func (s *status) view(before *seen) *view {
	sessions, usual := 0, s.usual()
	v := &view{table: table{
		head:  []string{"EDGE", "STATE", "VERSION", "UP", "SESSIONS", "LAG", "RING", "SPAN", "DELIVERED"},
		right: []bool{3: true, 4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 10: true},
	}}
	if before != nil {
		v.table.head = append(slices.Insert(v.table.head, 5, "±/S"), "EVENTS/S")
	}
	var well [][]cell
	for i := range s.Edges {
		e := &s.Edges[i]
		sessions += e.Sessions
		word, colour := trouble(e, usual)
		row := s.row(e, word, colour, usual, before)
		if word != "" {
			v.table.add(row...)
			v.first++
			continue
		}
		well = append(well, row)
	}
	if before != nil {
		for _, e := range before.gone(s) {
			row := make([]cell, len(v.table.head))
			row[0], row[1], row[2] = cell{e.Node, red}, cell{"gone", red}, cell{e.Version, dim}
			v.table.add(row...)
			v.first++
		}
	}
	for _, row := range well {
		v.table.add(row...)
	}
	if before == nil { // all are printed: by name
		slices.SortStableFunc(v.table.rows, func(a, b []cell) int { return strings.Compare(a[0].text, b[0].text) })
	}
	v.title = []cell{
		{plural(len(s.Edges), "edge"), bold},
		{text: ", " + countText(uint64(max(sessions, 0))) + " sessions"},
		{"; answered by " + clean(s.Node) + " " + clean(s.Version), dim},
	}
	v.notes = append(v.notes, s.logLine())
	if !*s.Complete {
		v.notes = append(v.notes, []cell{{"not every edge has answered in time: there may be more", yellow}})
	}
	return v
}

func (s *status) row(e *wire.EdgeStatus, word, colour, usual string, before *seen) []cell {
	row := []cell{
		{e.Node, colour},
		{word, colour},
		{text: e.Version},
		{text: ago(s.at.Sub(e.Started))},
		{text: countText(uint64(max(e.Sessions, 0)))},
		{text: countText(e.Lag)},
		{text: bytesText(uint64(max(e.RingBytes, 0)))},
		{text: ago(time.Duration(e.RingSpan * float64(time.Second)))},
		{text: countText(e.Delivered)},
	}
	if e.Version != usual {
		row[2].colour = yellow
	}
	if e.Lag >= noticeable {
		row[5].colour = red
	}
	if word == "" {
		row[1] = cell{"ok", green}
	}
	if before != nil {
		sessions, events := before.rates(e, s.at)
		row = append(slices.Insert(row, 5, cell{text: sessions}), cell{text: events})
	}
	return row
}

func (s *status) logLine() []cell {
	if s.Log == nil {
		return []cell{{"log: out of reach", red}}
	}
	text := fmt.Sprintf("log: %s, %s messages, %s, last %s", plural(s.Log.Partitions, "partition"),
		countText(s.Log.Messages), bytesText(s.Log.Bytes), countText(s.Log.Last))
	if o := s.Log.Oldest; o != nil && !o.IsZero() {
		text += ", oldest " + ago(s.at.Sub(*o)) + " ago"
	}
	return []cell{{text: text}}
}

// lines are the view's, at most so many; 0: all. Rows that are left out are counted.
func (v *view) lines(most int) [][]cell {
	rows := v.table.lines()
	fixed := 1 + len(v.notes)
	if left := len(rows) + fixed - most; most > 0 && left > 0 && len(rows) > 2 {
		keep := max(len(rows)-left-1, 1)
		more := len(rows) - keep
		rows = append(rows[:keep:keep], []cell{{"… and " + strconv.Itoa(more) + " more", dim}})
	}
	all := append([][]cell{v.title}, rows...)
	all = append(all, v.notes...)
	if most > 0 && len(all) > most {
		all = all[:most]
	}
	return all
}

func (w world) printLines(lines [][]cell) error {
	for _, l := range lines {
		if err := say(w, w.line(l, 0)); err != nil {
			return err
		}
	}
	return nil
}
