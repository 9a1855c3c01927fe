// Command dashboard writes the Grafana dashboard, deploy/grafana/vibemesh.json.
//
// The dashboard answers four questions, in this order: do people get their
// notifications, how fast, which edge hurts, and what will run out first. What it shows
// is in rows.go; what Grafana wants to know of it, in grafana.go.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

//go:generate go run . -o ../vibemesh.json

func main() {
	out := flag.String("o", "vibemesh.json", "the file to write")
	flag.Parse()
	if err := write(*out); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func write(path string) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // queries compare
	enc.SetIndent("", "  ")
	if err := enc.Encode(dashboard(rows())); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}
