//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"
)

// footprint is the memory of everything at one moment, in bytes.
type footprint struct {
	edges   memory // summed up
	clients memory // likewise
	used    int64  // of the machine's memory: what no process could have any more
	slab    int64  // of that, the kernel's objects: sockets, files, and what stands for them
	buffers int64  // that TCP counts for what is on its way
	sockets int64  // TCP sockets in use on the machine, both ends
}

// measure takes the next footprint.
func (h *crowd) measure() error {
	f, err := h.footprint()
	h.footprints = append(h.footprints, f)
	return err
}

func (h *crowd) footprint() (f footprint, err error) {
	if f, err = sampleMachine(); err != nil {
		return f, err
	}
	if f.edges, err = sumMemory(h.pids); err != nil {
		return f, err
	}
	clients := make([]int, len(h.fleet.workers))
	for i, w := range h.fleet.workers {
		clients[i] = w.cmd.Process.Pid
	}
	f.clients, err = sumMemory(clients)
	return f, err
}

func sumMemory(pids []int) (sum memory, err error) {
	for _, pid := range pids {
		m, err := sampleMemory(pid)
		if err != nil {
			return sum, err
		}
		sum.RSS += m.RSS
		sum.Anon += m.Anon
	}
	return sum, nil
}

// sampleMachine reads what the kernel says of itself.
func sampleMachine() (f footprint, err error) {
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return f, err
	}
	sockstat, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return f, err
	}
	kb := func(name string) int64 { return 1024 * fieldAfter(string(meminfo), name) }
	f.used, f.slab = kb("MemTotal:")-kb("MemAvailable:"), kb("Slab:")
	_, tcp, ok := strings.Cut(string(sockstat), "TCP: ")
	if tcp, _, _ = strings.Cut(tcp, "\n"); !ok || f.used <= 0 || f.slab <= 0 {
		return f, errors.New("/proc/meminfo or /proc/net/sockstat has an unknown form")
	}
	f.sockets = fieldAfter(tcp, "inuse")
	f.buffers = fieldAfter(tcp, "mem") * int64(os.Getpagesize())
	return f, nil
}

// fieldAfter is the number behind a name, or 0.
func fieldAfter(text, name string) int64 {
	fields := strings.Fields(text)
	for i, f := range fields[:max(len(fields)-1, 0)] {
		if f == name {
			n, _ := strconv.ParseInt(fields[i+1], 10, 64) // 0 says as much
			return n
		}
	}
	return 0
}

// watchEvery is how often a long run says how far it is.
const watchEvery = 30 * time.Second

// watch says now and then how far the run is.
func (h *crowd) watch(ctx context.Context) {
	for sleep(ctx, watchEvery) == nil {
		if f, err := h.footprint(); err == nil { // or somebody has just ended, which others will say
			h.say("%d TCP sockets on this machine; edges %d MB, clients %d MB, kernel objects %d MB, all %d MB",
				f.sockets, mb(f.edges.RSS), mb(f.clients.RSS), mb(f.slab), mb(f.used))
		}
	}
}
