//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine says in a line what was measured on: cores, CPU model, kernel, Go; nothing
// that tells whose machine it is.
func machine() string {
	release := ""
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		release = unix.ByteSliceToString(name.Release[:])
	}
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo") // without it the architecture is all there is to say
	return machineLine(runtime.NumCPU(), string(cpuinfo), release, runtime.Version())
}

func machineLine(cores int, cpuinfo, release, goVersion string) string {
	model := runtime.GOARCH
	for line := range strings.Lines(cpuinfo) {
		key, value, _ := strings.Cut(line, ":")
		if value = strings.Join(strings.Fields(value), " "); strings.TrimSpace(key) == "model name" && value != "" {
			model = value
			break
		}
	}
	unit := "cores"
	if cores == 1 {
		unit = "core"
	}
	// What stands behind the number is whoever built the kernel.
	number := release[:len(release)-len(strings.TrimLeft(release, "0123456789."))]
	return fmt.Sprintf("%d %s of %s, Linux %s, %s", cores, unit, model, number, goVersion)
}
