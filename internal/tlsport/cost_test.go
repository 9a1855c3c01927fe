package tlsport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/tlsport"
	"golang.org/x/sync/errgroup"
)

const (
	costFirst = 1000 // connections before the first reading, by which everything has been used once
	costMore  = 2000 // connections that are measured
	costDials = 4    // handshakes at a time
)

// costSizes are of what is written, bytes.
var costSizes = []int{200, 4000}

// BenchmarkConnection measures what an open connection costs the process that holds
// it, without TLS and with TLS on each path: what TLS adds is the difference. Clients
// are in another process, so that nothing of theirs is in the figures:
//
//   - rss-B/conn: resident bytes of the process, with the connections open and idle,
//     after they have been read from and written to once and free memory was given
//     back to the kernel. What the kernel keeps, for sockets and for its own TLS, is
//     no part of it. It is right to some hundred bytes.
//   - heap-B/conn: bytes that are reachable in its heap.
//   - cpu-us/…B-write: microseconds of CPU, user and system, of a write of so many
//     bytes to each connection in turn, until the last client has read it. The kernel
//     does a loopback receiver's share in the sender's call.
//
// With -v it says why it leaves a path out.
func BenchmarkConnection(b *testing.B) {
	for _, path := range []costPath{
		{name: "plain"},
		{"relay-TLS1.3", costRelay, tls.VersionTLS13},
		{"relay-TLS1.2", costRelay, tls.VersionTLS12},
		{"kernel-TLS1.3", costKernel, tls.VersionTLS13},
	} {
		b.Run(path.name, path.measure)
	}
}

// Who ends TLS.
const (
	costPlain  = "" // nobody: there is none
	costRelay  = "relay"
	costKernel = "kernel"
)

type costPath struct {
	name    string
	by      string
	version uint16
}

func (p costPath) measure(b *testing.B) {
	if p.by == costKernel && len(netloop.KernelCiphers()) == 0 {
		b.Skip("this kernel has no TLS (module tls): a kernel that has it must run this benchmark")
	}
	crowd := startCrowd(b, p)
	first := crowd.grow(costFirst)
	all := crowd.grow(costMore)
	spent := map[int]time.Duration{}
	for b.Loop() {
		for _, size := range costSizes {
			spent[size] += crowd.round(size)
		}
	}
	b.ReportMetric(0, "ns/op") // it is of the clients as well
	b.ReportMetric(float64(all.RSS-first.RSS)/costMore, "rss-B/conn")
	b.ReportMetric(float64(all.Heap-first.Heap)/costMore, "heap-B/conn")
	writes := float64(b.N) * float64(len(crowd.conns))
	for _, size := range costSizes {
		b.ReportMetric(float64(spent[size].Nanoseconds())/1e3/writes, fmt.Sprintf("cpu-us/%dB-write", size))
	}
}

// crowd are the clients of a holder.
type crowd struct {
	b      *testing.B
	path   costPath
	config *tls.Config
	in     *json.Encoder
	out    *json.Decoder
	addr   string
	conns  []net.Conn
	buf    []byte
}

// startCrowd starts a holder, which ends with the benchmark.
func startCrowd(b *testing.B, path costPath) *crowd {
	b.Helper()
	p := newPair(b, withECDSA, "cost", time.Now().Add(time.Hour))
	c := &crowd{b: b, path: path, config: p.client(), buf: make([]byte, 4096)}
	c.config.MinVersion, c.config.MaxVersion = path.version, path.version
	certFile, keyFile := p.store(b, b.TempDir())
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, path.by, certFile, keyFile)
	cmd.Env, cmd.Stderr = append(os.Environ(), holderEnv+"=1"), os.Stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		b.Fatal(err)
	}
	stuck := time.AfterFunc(costPatience, func() { _ = cmd.Process.Kill() })
	b.Cleanup(func() {
		for _, conn := range c.conns {
			conn.Close()
		}
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			b.Errorf("the process that holds the connections: %v", err)
		}
		stuck.Stop()
	})
	c.in, c.out = json.NewEncoder(in), json.NewDecoder(out)
	c.addr = c.hear().Addr
	return c
}

// costPatience bounds one path, of which an emulated machine's handshakes take most.
const costPatience = 10 * time.Minute

func (c *crowd) tell(op string, n int) {
	c.b.Helper()
	if err := c.in.Encode(holderCommand{Op: op, N: n}); err != nil {
		c.b.Fatal(err)
	}
}

func (c *crowd) hear() (a holderAnswer) {
	c.b.Helper()
	if err := c.out.Decode(&a); err != nil {
		c.b.Fatalf("the process that holds the connections has ended: %v", err)
	}
	return a
}

// grow connects n more clients, has each of them answered once, and gives the
// holder's memory.
func (c *crowd) grow(n int) holderAnswer {
	c.b.Helper()
	c.tell("hold", len(c.conns)+n)
	conns := make([]net.Conn, n)
	var g errgroup.Group
	g.SetLimit(costDials)
	for i := range conns {
		g.Go(func() (err error) {
			conns[i], err = c.dial()
			return err
		})
	}
	err := g.Wait()
	for _, conn := range conns {
		if conn != nil {
			c.conns = append(c.conns, conn)
		}
	}
	if err != nil {
		c.b.Fatal(err)
	}
	c.hear()
	c.round(costSizes[0])
	c.tell("memory", 0)
	a := c.hear()
	relays := 0
	if c.path.by == costRelay {
		relays = len(c.conns)
	}
	if a.Relays != relays {
		c.b.Fatalf("%d of %d connections are relayed", a.Relays, len(c.conns))
	}
	return a
}

// dial connects a client, which sends a request as a WebSocket's does.
func (c *crowd) dial() (net.Conn, error) {
	conn, err := net.Dial("tcp", c.addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(costPatience)); err != nil {
		return conn, err
	}
	if c.path.by != costPlain {
		conn = tls.Client(conn, c.config)
	}
	_, err = conn.Write(make([]byte, holderRequest))
	return conn, err
}

// round has the holder write so many bytes to every client, and gives the CPU time
// that this took of it.
func (c *crowd) round(size int) time.Duration {
	c.b.Helper()
	c.tell("write", size)
	for _, conn := range c.conns {
		if _, err := io.ReadFull(conn, c.buf[:size]); err != nil {
			c.b.Fatal(err)
		}
	}
	c.tell("spent", 0)
	return c.hear().CPU
}

// A holder is this program again, in whose environment is holderEnv: a process that
// ends TLS as an edge does, and does what it is told on stdin. Its arguments are who
// ends TLS, and the files of a certificate and its key.
const holderEnv = "VIBEMESH_TEST_HOLDER"

// holderRequest is the length of the request that a client begins with, bytes.
const holderRequest = 300

type holderCommand struct {
	Op string // hold N connections, write N bytes to each, tell the CPU time spent since, tell the memory
	N  int
}

type holderAnswer struct {
	Addr      string        `json:",omitempty"` // of the listener, said first
	CPU       time.Duration `json:",omitempty"`
	RSS, Heap int64         `json:",omitempty"` // bytes
	Relays    int           `json:",omitempty"`
}

func init() {
	if os.Getenv(holderEnv) == "" || len(os.Args) != 4 {
		return
	}
	if err := runHolder(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "holder:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

type holder struct {
	port    *tlsport.Port // nil: no TLS
	arrived chan arrival
	conns   []int
	buf     []byte
	cpu     time.Duration // when the last write began
}

// arrival is a connection that has sent its request, or why there is none.
type arrival struct {
	fd  int
	err error
}

// runHolder obeys until stdin ends.
func runHolder(by, certFile, keyFile string) error {
	h := holder{arrived: make(chan arrival), buf: make([]byte, 4096)}
	if by != costPlain {
		var err error
		if h.port, err = tlsport.New(certFile, keyFile, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		if by == costRelay {
			h.port.WithoutKernel()
		}
		go func() { h.arrived <- arrival{err: h.port.Run(context.Background())} }()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go h.accept(ln)
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	answer := holderAnswer{Addr: ln.Addr().String()}
	for {
		if err := out.Encode(answer); err != nil {
			return err
		}
		for again := true; again; {
			var c holderCommand
			switch err := in.Decode(&c); {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
			if answer, err = h.obey(c); err != nil {
				return err
			}
			again = c.Op == "write" // which is not answered
		}
	}
}

func (h *holder) obey(c holderCommand) (answer holderAnswer, err error) {
	switch c.Op {
	case "hold":
		for len(h.conns) < c.N {
			a := <-h.arrived
			if a.err != nil {
				return answer, a.err
			}
			h.conns = append(h.conns, a.fd)
		}
	case "write":
		h.cpu, err = cpuTime()
		for _, fd := range h.conns {
			if n, err := netloop.Write(fd, h.buf[:c.N]); n != c.N {
				return answer, fmt.Errorf("wrote %d of %d bytes: %w", n, c.N, err)
			}
		}
	case "spent":
		answer.CPU, err = cpuTime()
		answer.CPU -= h.cpu
	case "memory":
		answer, err = memory()
		if h.port != nil {
			answer.Relays = h.port.Relays()
		}
	default:
		err = fmt.Errorf("unknown command %q", c.Op)
	}
	return answer, err
}

func (h *holder) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			h.arrived <- arrival{err: err}
			return
		}
		go func() {
			fd, err := h.arrive(conn)
			h.arrived <- arrival{fd, err}
		}()
	}
}

// arrive brings a connection to where an edge's loop would have it.
func (h *holder) arrive(accepted net.Conn) (fd int, err error) {
	fd, err = netloop.Take(accepted)
	if err = errors.Join(err, accepted.Close()); err != nil {
		return -1, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), costPatience)
	defer cancel()
	if h.port != nil {
		if fd, err = h.port.Terminate(ctx, fd); err != nil {
			return -1, err
		}
	}
	conn, err := netloop.Conn(fd)
	if err != nil {
		return -1, err
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, holderRequest)); err != nil {
		return -1, err
	}
	return netloop.Take(conn)
}

// cpuTime is what this process has run.
func cpuTime() (time.Duration, error) {
	var r syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), err
}

// memory is what this process has when nothing is left that it could give back.
func memory() (a holderAnswer, err error) {
	for range 2 { // what is in a sync.Pool survives the first
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	a.Heap = int64(m.HeapAlloc)
	a.RSS, err = residentBytes()
	return a, err
}

// residentBytes reads the exact sum, where /proc/self/status has one that may be some
// hundred kilobytes behind.
func residentBytes() (int64, error) {
	raw, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(raw, []byte("\nRss:"))
	line, _, _ := strings.Cut(string(rest), "\n")
	kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
	return kb << 10, err
}
