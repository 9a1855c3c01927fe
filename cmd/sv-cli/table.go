package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// cell is a text of a table, and the colour that it has on a terminal.
type cell struct{ text, colour string }

// table is printed in columns as wide as they need to be.
type table struct {
	head  []string
	right []bool // columns of numbers
	rows  [][]cell
}

// add appends a row; foreign text in it is made safe for a terminal.
func (t *table) add(cells ...cell) {
	for i := range cells {
		cells[i].text = clean(cells[i].text)
	}
	t.rows = append(t.rows, cells)
}

// lines are the table's, its head first, each as cells that are padded already.
func (t *table) lines() [][]cell {
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, dim}
	}
	all := append([][]cell{head}, t.rows...)
	width := make([]int, len(t.head))
	for _, row := range all {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	for r, row := range all {
		line := make([]cell, 0, 2*len(row))
		for i, c := range row {
			space := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text))
			switch {
			case i < len(t.right) && t.right[i]:
				line = append(line, cell{text: space}, c)
			case i < len(row)-1:
				line = append(line, c, cell{text: space})
			default:
				line = append(line, c)
			}
			if i < len(row)-1 {
				line = append(line, cell{text: "  "})
			}
		}
		all[r] = line
	}
	return all
}

// print writes the table to stdout.
func (t *table) print(w world) error {
	for _, line := range t.lines() {
		if err := say(w, w.line(line, 0)); err != nil {
			return err
		}
	}
	return nil
}

// line is some cells in one line of at most width characters; 0: of any length.
func (w world) line(cells []cell, width int) string {
	var b strings.Builder
	for _, c := range cells {
		text := []rune(c.text)
		if width > 0 {
			room := width - len(text)
			if room < 0 {
				text = text[:width]
			}
			if b.WriteString(w.paint(c.colour, string(text))); room <= 0 {
				break
			}
			width = room
			continue
		}
		b.WriteString(w.paint(c.colour, string(text)))
	}
	return strings.TrimRight(b.String(), " ")
}

// plural is a number and what it counts.
func plural[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ago is a duration in its two largest units, such as 3d4h; below an hour with seconds.
func ago(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

// bytesText is a number of bytes in the largest unit that it fills.
func bytesText(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

// countText is a number with a space between thousands, so that rows compare by eye.
func countText(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
