package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// fileLimit is the environment variable that makes TestFileLimit the edge.
const fileLimit = "EDGE_TEST_FILE_LIMIT"

// TestFileLimit: an edge that may open no more files refuses who comes, serves who
// is there, and lets others in again when some have left. The edge is another
// process, since its limit would be this one's too.
func TestFileLimit(t *testing.T) {
	if limit := os.Getenv(fileLimit); limit != "" {
		serveWithFewFiles(t, limit)
		return
	}
	const limit = 64
	edgeProcess := exec.Command(os.Args[0], "-test.run=^TestFileLimit$", "-test.timeout=60s")
	edgeProcess.Env = append(os.Environ(), fmt.Sprint(fileLimit, "=", limit))
	edgeProcess.Stderr = os.Stderr
	in, err := edgeProcess.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := edgeProcess.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := edgeProcess.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		io.Copy(io.Discard, out)
		if err := edgeProcess.Wait(); err != nil {
			t.Error("the edge:", err)
		}
	}()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("the edge does not say its address:", err)
	}
	m := &mesh{t: t, url: "http://" + strings.TrimSpace(addr)}

	var peers []*peer
	try := func() error {
		c, err := client.Dial(m.ctx(), client.Options{URL: m.url, Token: "alice", DialTimeout: 5 * time.Second})
		if err == nil {
			t.Cleanup(func() { c.Close(wire.CloseNormal) })
			p := &peer{Conn: c, m: m}
			p.next() // hello
			peers = append(peers, p)
		}
		return err
	}
	for err = error(nil); err == nil && len(peers) <= limit; err = try() {
		continue
	}
	if n := len(peers); n < limit/2 || n >= limit {
		t.Fatalf("%d sessions with %d files, then: %v", n, limit, err)
	}
	for range 3 {
		if try() == nil {
			t.Fatal("one more is let in")
		}
	}
	publish := func(title string) {
		t.Helper()
		if _, err := fmt.Fprintln(in, title); err != nil {
			t.Fatal(err)
		}
		for _, p := range peers {
			p.wants(title)
		}
	}
	publish("full")
	for range 10 {
		peers[0].Close(wire.CloseNormal)
		peers = peers[1:]
	}
	most := len(peers) + 8
	for deadline := time.Now().Add(20 * time.Second); len(peers) < most; {
		if err := try(); err != nil && time.Now().After(deadline) {
			t.Fatalf("nobody is let in, although 10 have left: %v", err)
		}
	}
	publish("again")
}

// serveWithFewFiles is the edge: it says its address on stdout, and publishes the
// lines of stdin until that ends.
func serveWithFewFiles(t *testing.T, limit string) {
	n, err := strconv.ParseUint(limit, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		t.Fatal(err)
	}
	m := newMesh(t, edge.Config{Loops: 2})
	fmt.Println(m.addr)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		m.publish(wire.Broadcast(), lines.Text())
	}
}
