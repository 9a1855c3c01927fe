//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cpuSample is what a process has run so far.
type cpuSample struct {
	threads map[string]int64 // run time by thread, ns
	ticks   int64            // utime + stime of the whole process, in 10 ms
	writes  int64            // write(2), writev(2) and the like; 0 where the kernel does not count them
}

// sampleCPU reads /proc. A process that is gone is an error.
func sampleCPU(pid int) (cpuSample, error) {
	s := cpuSample{threads: map[string]int64{}}
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
	}
	// The name in parentheses may hold anything; utime is the 12th field behind it.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 13 {
		return s, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return s, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		s.ticks += n
	}
	s.writes = sampleWrites(pid)
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return s, err
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has just ended; cpuBetween notices
		}
		first, _, _ := strings.Cut(string(raw), " ")
		if ns, err := strconv.ParseInt(first, 10, 64); err == nil {
			s.threads[filepath.Base(filepath.Dir(name))] = ns
		}
	}
	return s, nil
}

// sampleWrites reads how often a process has written, or 0 if that is unknown.
// send(2) and its kin are not among these; no server here uses them.
func sampleWrites(pid int) int64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0 // a kernel without CONFIG_TASK_IO_ACCOUNTING, or another user's process
	}
	_, rest, _ := bytes.Cut(raw, []byte("syscw: "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseInt(string(line), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// cpuBetween is the CPU time between two samples of a process, in seconds.
func cpuBetween(a, b cpuSample) float64 {
	var ns int64
	exact := len(b.threads) > 0 // a kernel without schedstat has none
	for tid, then := range a.threads {
		now, alive := b.threads[tid]
		exact = exact && alive
		ns -= min(then, now)
	}
	for _, now := range b.threads {
		ns += now
	}
	if !exact {
		return float64(b.ticks-a.ticks) / 100
	}
	return float64(ns) / 1e9
}

// memory is the resident memory of a process, in bytes.
type memory struct {
	RSS  int64 `json:"rss"`
	Anon int64 `json:"rss_anon"`
	High int64 `json:"rss_high,omitempty"` // the most since its start, or since forgetHigh
}

func sampleMemory(pid int) (memory, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	var m memory
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, err := strconv.ParseInt(f[1], 10, 64)
		switch {
		case err != nil:
		case f[0] == "VmRSS:":
			m.RSS = kb << 10
		case f[0] == "RssAnon:":
			m.Anon = kb << 10
		case f[0] == "VmHWM:":
			m.High = kb << 10
		}
	}
	return m, nil
}

// pin binds every thread of a process to one CPU. Threads that it starts later
// inherit that. restore undoes it as far as the process still lives.
func pin(pid, cpu int) (restore func(), err error) {
	if runtime.NumCPU() < 2 {
		return nil, errors.New("--pin needs two CPUs or more")
	}
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &before); err != nil {
		return nil, fmt.Errorf("reading the CPUs of process %d: %w", pid, err)
	}
	one.Set(cpu)
	for range 2 { // the second time for threads that began during the first
		if err := setAffinity(pid, &one); err != nil {
			return nil, fmt.Errorf("binding process %d to CPU %d: %w", pid, cpu, err)
		}
	}
	return func() { _ = setAffinity(pid, &before) }, nil // it may have ended
}

func setAffinity(pid int, set *unix.CPUSet) error {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

// raiseFileLimit allows as many descriptors as the hard limit does.
func raiseFileLimit() error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
}
