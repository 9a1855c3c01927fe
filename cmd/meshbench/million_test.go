//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crowd is of 13 sockets, as if on three edges.
func (e *fakeEdge) crowd() *crowd {
	addr := e.listener.Addr().String()
	return &crowd{
		millionCmd: &millionCmd{Sockets: 13, Edges: 3, Broadcasts: 3, UserMessages: 40, Size: 300, Patience: 1},
		addrs:      []string{addr, addr, addr}, pids: []int{os.Getpid()}, pub: e, clock: newClock(),
		spare: 10 * time.Second, note: func(string, ...any) {},
	}
}

func TestCrowdOfAnHonestServer(t *testing.T) {
	h := newFakeEdge(t).crowd()
	if err := h.run(timeout(t)); err != nil {
		t.Fatal(err, h.faults)
	}
	if h.connected != 13 || h.broadcasts != 39 || h.users != 40 || len(h.footprints) != 3 {
		t.Errorf("%d connected, %d to all, %d to one, %d footprints", h.connected, h.broadcasts, h.users, len(h.footprints))
	}
	for i, f := range h.footprints {
		if f.edges.RSS <= f.edges.Anon || f.edges.Anon <= 0 || f.clients.RSS <= 0 || f.slab <= 0 || f.used <= 0 { // what the kernel would give back of its slabs is not used
			t.Errorf("footprint %d: %+v", i, f)
		}
	}
	if h.footprints[1].sockets < 26 {
		t.Errorf("%d sockets", h.footprints[1].sockets)
	}
	var out bytes.Buffer
	if err := h.print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"before  connected  after the messages  bytes a connection\n", "edges, resident", "kernel objects",
		"\n3 to all: each of the 13 sockets got each exactly once.\n40 to one user each, ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &out)
		}
	}
}

// TestCrowdFindsFaults: what was lost, too many, or elsewhere fails the run and is named.
func TestCrowdFindsFaults(t *testing.T) {
	for _, tc := range []struct {
		name    string
		deliver func(user, entry string, n int) []string
		greet   string
		want    string
	}{
		{"one does not have it", func(user, entry string, n int) []string {
			if n == 2 && user == "u4" {
				return nil
			}
			return mine(user, entry)
		}, "", "socket without its last messages: 1"},
		{"one has it twice", func(user, entry string, n int) []string {
			if n == 0 && user == "u4" {
				return []string{entry, entry}
			}
			return mine(user, entry)
		}, "", "message twice or out of order: 1"},
		{"another's message", func(user, entry string, n int) []string {
			if n == 3 {
				return []string{entry} // to everybody
			}
			return mine(user, entry)
		}, "", "message of another user: 12"},
		{"nobody is let in", nil, "HTTP/1.1 503 Busy\r\n\r\n", "upgrade refused: HTTP/1.1 503 Busy: 13"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newFakeEdge(t)
			e.deliver, e.greet = tc.deliver, tc.greet
			h := e.crowd()
			h.spare = 300 * time.Millisecond
			if err := h.run(timeout(t)); !errors.Is(err, errIncomplete) {
				t.Errorf("got %v", err)
			}
			var out bytes.Buffer
			if err := h.print(&out); err != nil || !strings.Contains(out.String(), "INCOMPLETE") || !strings.Contains(out.String(), "FAULT "+tc.want+"\n") {
				t.Errorf("%v; %q is not in:\n%s", err, tc.want, &out)
			}
		})
	}
}

// mine is what an honest server gives a user of one entry.
func mine(user, entry string) []string {
	_, title, _ := strings.Cut(entry, `"title":"`)
	m, ok := parseStamp([]byte(entry), titleMark(title[:runLen]))
	if ok && m.kind == kindUser && user != "u"+strconv.Itoa(int(m.user)) {
		return nil
	}
	return []string{entry}
}

func TestMillionLimits(t *testing.T) {
	good := func() *millionCmd {
		return &millionCmd{Sockets: 100, Edges: 3, Size: 256, Patience: 2}
	}
	for name, spoil := range map[string]func(*millionCmd){
		"no edge":           func(c *millionCmd) { c.Edges = 0 },
		"more edges":        func(c *millionCmd) { c.Edges = 101 },
		"too many":          func(c *millionCmd) { c.Sockets = 4_000_001 },
		"negative":          func(c *millionCmd) { c.Broadcasts = -1 },
		"negative messages": func(c *millionCmd) { c.UserMessages = -1 },
		"large":             func(c *millionCmd) { c.Size = 60_001 },
		"no patience":       func(c *millionCmd) { c.Patience = 0 },
	} {
		c := good()
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		if spoil(c); c.check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := good().perEdge(); n != 34 {
		t.Errorf("%d an edge", n)
	}
}

func TestEnoughFiles(t *testing.T) {
	for _, tc := range []struct {
		perEdge, files int
		want           bool
	}{{19000, 20000, true}, {19800, 20000, true}, {19801, 20000, false}, {1_000_000, 1_000_200, true}, {1, 100, false}} {
		if err := enoughFiles(tc.perEdge, tc.files); (err == nil) != tc.want {
			t.Errorf("%d sockets, %d files: %v", tc.perEdge, tc.files, err)
		}
	}
}

func TestFieldAfter(t *testing.T) {
	const text = "TCP: inuse 12 orphan 0 mem 3\nSlab:  40 kB\nlast"
	for name, want := range map[string]int64{"inuse": 12, "mem": 3, "Slab:": 40, "kB": 0, "last": 0, "none": 0} {
		if got := fieldAfter(text, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}
