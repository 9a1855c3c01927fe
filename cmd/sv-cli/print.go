package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// report writes an error to stderr, readably or as a JSON document.
func report(w world, g globals, err error) {
	if !g.JSON {
		// A certificate, for one, is quoted as it comes.
		lines := strings.Split(err.Error(), "\n")
		for i := range lines {
			lines[i] = clean(lines[i])
		}
		fmt.Fprintln(w.stderr, "sv-cli:", strings.Join(lines, "\n"))
		return
	}
	doc := map[string]any{"error": err.Error(), "exit": exitCode(err)}
	var p *problemError
	if errors.As(err, &p) {
		doc["problem"] = p
	}
	raw, _ := marshal(doc) // strings and ints: it cannot fail
	fmt.Fprintln(w.stderr, string(raw))
}

// Colours of a line.
const (
	dim    = "2"
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (w world) paint(colour, s string) string {
	if s == "" || !w.colour() {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// eventLine is one event in one line: time, audience, type, what it says, id.
func (w world) eventLine(e wire.Event) string {
	at := time.UnixMilli(e.TS).In(w.zone).Format("2006-01-02 15:04:05")
	line := w.paint(dim, at) + "  " + w.paint(cyan, clean(e.To)) + "  "
	if e.Type != wire.TypeToast {
		return line + w.paint(yellow, e.Type) + " " + clip(clean(string(e.Payload)), 200) + "  " + w.paint(dim, clean(e.ID))
	}
	var t struct {
		Title  string `json:"title"`
		Teaser string `json:"teaser"`
		Text   string `json:"description"`
		URL    string `json:"action_url"`
	}
	if json.Unmarshal(e.Payload, &t) != nil {
		t.Title = string(e.Payload)
	}
	line += w.paint(bold, clean(t.Title))
	if t.Teaser == "" {
		t.Teaser = t.Text
	}
	if t.Teaser != "" {
		line += " – " + clip(clean(t.Teaser), 120)
	}
	if t.URL != "" {
		line += " → " + clean(t.URL)
	}
	return line + "  " + w.paint(dim, clean(e.ID))
}

// clean makes foreign text safe for a terminal: one line, no escape sequences,
// no invisible characters that reorder what is read.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r), r == unicode.ReplacementChar, unicode.Is(unicode.Bidi_Control, r):
			return '·'
		}
		return r
	}, s)
}

// clip shortens s to at most n characters.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// readLine says what a person has read, in a few words.
func readLine(f wire.Read) string {
	var parts []string
	for _, p := range []struct {
		what string
		ids  []string
	}{{"all up to", f.UpTo}, {"also", f.Read}, {"but not", f.Unread}} {
		if len(p.ids) > 0 {
			parts = append(parts, clip(p.what+" "+clean(strings.Join(p.ids, " ")), 200))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
