package chaos

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Go programs, static as they are, read the clock by a function that the kernel maps into every
// process, the vDSO's clock_gettime. shiftClock writes another function over it,
// which asks the kernel and adds an offset to the time of day. The monotonic
// clock stays, as it does when a machine's clock is set. It needs no privileges over
// a process of the same user that it has started itself.

// shifted is that function, for amd64. The offset, in seconds, is at shiftedOffset.
var shifted = []byte{
	0xb8, 0xe4, 0, 0, 0, // mov eax, 228 (clock_gettime)
	0x0f, 0x05, //          syscall
	0x85, 0xff, //          test edi, edi: the time of day?
	0x75, 0x0d, //          jne end
	0x48, 0xba, 0, 0, 0, 0, 0, 0, 0, 0, // mov rdx, offset
	0x48, 0x01, 0x16, //    add [rsi], rdx
	0xc3, //                end: ret
}

const shiftedOffset = 13

// shiftClock moves the clock of a process to so much beside the machine's.
func shiftClock(ctx context.Context, p *Process, by time.Duration) error {
	if runtime.GOARCH != "amd64" {
		return skip("clocks are moved on amd64 only")
	}
	pid := p.PID()
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return skip("the memory of a process cannot be written: %v", err)
	}
	defer memory.Close()
	start, room, err := clockFunction(pid, memory)
	if err != nil {
		return skip("%v", err)
	}
	if room < uint64(len(shifted)) {
		return skip("the vDSO has only %d bytes for it", room)
	}
	return eventually(ctx, 5*time.Second, "between two looks at the clock", func(context.Context) error {
		if err := p.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		defer p.Signal(syscall.SIGCONT) //nolint:errcheck // it has just been stopped, so it is there
		// A thread that stands within the function would go on in the midst of another one.
		if err := eventually(ctx, 200*time.Millisecond, "stopped outside", func(context.Context) error {
			return nobodyWithin(pid, start, start+room)
		}); err != nil {
			return err
		}
		code := bytes.Clone(shifted)
		binary.LittleEndian.PutUint64(code[shiftedOffset:], uint64(int64(by/time.Second)))
		_, err := memory.WriteAt(code, int64(start))
		return err
	})
}

// clockFunction finds clock_gettime in the vDSO of a process.
func clockFunction(pid int, memory *os.File) (start, size uint64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(maps))
	for lines.Scan() {
		var from, to uint64
		if !strings.HasSuffix(lines.Text(), "[vdso]") {
			continue
		}
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err != nil {
			return 0, 0, err
		}
		image := make([]byte, to-from)
		if _, err := memory.ReadAt(image, int64(from)); err != nil {
			return 0, 0, err
		}
		file, err := elf.NewFile(bytes.NewReader(image))
		if err != nil {
			return 0, 0, err
		}
		symbols, err := file.DynamicSymbols()
		if err != nil {
			return 0, 0, err
		}
		for _, s := range symbols {
			if s.Name == "__vdso_clock_gettime" {
				return from + s.Value, s.Size, nil
			}
		}
	}
	return 0, 0, errors.New("the process has no vDSO with a clock")
}

// nobodyWithin says whether a thread of a process is not stopped yet, or stands
// within a range of its code.
func nobodyWithin(pid int, from, to uint64) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	if err != nil || len(threads) == 0 {
		return errors.Join(err, errors.New("no threads"))
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			return err
		}
		fields := strings.Fields(string(text))
		var at uint64
		if len(fields) < 3 { // "running"
			return fmt.Errorf("%s: %s", thread, text)
		}
		if _, err := fmt.Sscanf(fields[len(fields)-1], "0x%x", &at); err != nil {
			return err
		}
		if at >= from && at < to {
			return fmt.Errorf("%s is in it", thread)
		}
	}
	return nil
}
