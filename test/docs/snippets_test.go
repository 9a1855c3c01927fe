package docs_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const backendGuide = "docs/backend-developers.md"

// TestGoProgram runs the Go program of the backend guide and looks for its toast.
func TestGoProgram(t *testing.T) {
	m := startMesh(t, "127.0.0.1:0", t.TempDir())
	// Inside of the module, for its nats.go; "_" hides it from ./... .
	dir, err := os.MkdirTemp(".", "_program")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	write(t, filepath.Join(dir, "main.go"), m.local(theBlock(t, backendGuide, "go").text))
	vet := exec.CommandContext(t.Context(), "go", "vet", "./"+dir)
	if out, err := vet.CombinedOutput(); err != nil {
		t.Fatalf("go vet: %v\n%s", err, out)
	}
	for _, want := range []string{"stored as 1 false\n", "stored as 1 true\n"} { // the second time under the same id
		out, err := exec.CommandContext(t.Context(), "go", "run", "./"+dir).CombinedOutput()
		if err != nil || string(out) != want {
			t.Fatalf("%q, %v; want %q", out, err, want)
		}
	}
	history := m.get("http://" + m.addr + "/api/v1/ws/history?token=" + token(t, "grace@example.com"))
	if strings.Count(history, "Order 9 has shipped") != 1 {
		t.Errorf("its toast is not in the history once: %s", history)
	}
}

// TestIDFunctions runs the two functions that encode ids over the golden vectors.
func TestIDFunctions(t *testing.T) {
	var vectors struct {
		IDs []struct {
			ID    *string
			Token string
		}
	}
	if err := json.Unmarshal([]byte(read(t, "internal/wire/testdata/vectors/subjects.json")), &vectors); err != nil {
		t.Fatal(err)
	}
	var ids, want []string
	for _, v := range vectors.IDs {
		if v.ID != nil { // the others are not UTF-8, which JSON cannot carry
			ids, want = append(ids, *v.ID), append(want, v.Token)
		}
	}
	ids, want = append(ids, "", strings.Repeat("€", 43)), append(want, "refused", "refused")
	input, err := json.Marshal(ids)
	if err != nil || len(ids) < 10 {
		t.Fatalf("%d vectors, %v", len(ids), err)
	}
	for _, tt := range []struct{ lang, program, file, main string }{
		{"js ids", "node", "ids.mjs", `
const token = (id) => { try { return svId(id); } catch (e) { if (e instanceof RangeError) return 'refused'; throw e; } };
console.log(JSON.stringify(JSON.parse(process.argv[2]).map(token)));`},
		{"python ids", "python3", "ids.py", `
import json, sys
def token(id):
    try: return sv_id(id)
    except ValueError: return "refused"
print(json.dumps([token(i) for i in json.loads(sys.argv[1])]))`},
	} {
		t.Run(tt.program, func(t *testing.T) {
			needs(t, tt.program)
			file := filepath.Join(t.TempDir(), tt.file)
			write(t, file, theBlock(t, backendGuide, tt.lang).text+tt.main)
			out, err := exec.CommandContext(t.Context(), tt.program, file, string(input)).Output()
			if err != nil {
				t.Fatal(explain(err))
			}
			var got []string
			if err := json.Unmarshal(out, &got); err != nil || !slices.Equal(got, want) {
				t.Errorf("%v\n got %q\nwant %q", err, got, want)
			}
		})
	}
}

// TestSyntax: nats-py cannot be had where these tests run.
func TestSyntax(t *testing.T) {
	needs(t, "python3")
	file := filepath.Join(t.TempDir(), "publish.py")
	write(t, file, theBlock(t, backendGuide, "python ids").text+theBlock(t, backendGuide, "python syntax").text)
	const compile = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')"
	if out, err := exec.CommandContext(t.Context(), "python3", "-c", compile, file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestBrowserClient has the client of the guide follow a mesh that is drained
// and then killed: it gets everything once, in order.
func TestBrowserClient(t *testing.T) {
	data := t.TempDir()
	m := startMesh(t, "127.0.0.1:0", data)
	snippet := filepath.Join(t.TempDir(), "follow.mjs")
	write(t, snippet, theBlock(t, "docs/app-developers.md", "js follow").text)
	node := exec.CommandContext(t.Context(), "node", "testdata/browser.mjs", snippet, "http://"+m.addr, "ada@example.com", "end")
	var stderr bytes.Buffer
	node.Stderr = &stderr
	stdout, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			lines <- s.Text()
		}
	}()
	want := func(lists ...string) {
		t.Helper()
		for _, want := range lists {
			select {
			case got := <-lines:
				if got != want {
					t.Fatalf("the client says %q, want %q\n%s", got, want, &stderr)
				}
			case <-time.After(60 * time.Second):
				t.Fatalf("no %q after 60 s\n%s", want, &stderr)
			}
		}
	}
	var titles []string
	publish := func(n int) {
		for range n {
			title := fmt.Sprint("message ", len(titles))
			m.toast("ada@example.com", title)
			titles = append(titles, title)
		}
	}
	want("the cursor is kept")
	publish(2)
	want(titles...)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		titles = titles[:0:0]
		m.end(sig)
		m = startMesh(t, m.addr, data)
		publish(3)
		want(titles...)
	}
	m.toast("ada@example.com", "end")
	want("end", "stopped with 1000", "") // and nothing keeps the process alive
	if err := node.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &stderr)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// needs fails where a program is missing: the tests require Node and Python.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("the snippets need %s: %v", program, err)
	}
}

func explain(err error) string {
	if e, ok := err.(*exec.ExitError); ok {
		return fmt.Sprintf("%v\n%s", err, e.Stderr)
	}
	return err.Error()
}
