package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program writes a program of the guide, with more behind it, where it finds what npm
// has installed here; "_" hides it from ./... .
func (m *mesh) program(t *testing.T, name, text string) (file string) {
	t.Helper()
	dir, err := os.MkdirTemp(".", "_snippet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file = filepath.Join(dir, name)
	write(t, file, m.local(text))
	return file
}

func runSnippet(t *testing.T, program, file string) string {
	t.Helper()
	needs(t, program)
	cmd := exec.CommandContext(t.Context(), program, file)
	cmd.Env = append(os.Environ(), "SV_SECRET="+secret)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %s", program, file, explain(err))
	}
	return string(out)
}

// TestHTTPPublishers runs the publishers that need nothing installed: twice, so that the
// second is a duplicate, and against a mesh that lets one message a second through.
func TestHTTPPublishers(t *testing.T) {
	for _, tt := range []struct{ program, lang, file, again string }{
		{"python3", "python http", "publish.py", `
for i in range(2):
    print(json.dumps(publish("toast", {"title": f"limited {i}", "to": {"user": "ada"}}, f"limited-{i}")))`},
		{"node", "js http", "publish.mjs", `
for (const i of [0, 1]) {
  console.log(JSON.stringify(await publish('toast', { title: 'limited ' + i, to: { user: 'ada' } }, 'limited-' + i)));
}`},
	} {
		t.Run(tt.program, func(t *testing.T) {
			text := theBlock(t, backendGuide, tt.lang).text
			m := startMesh(t, "127.0.0.1:0", t.TempDir())
			for _, duplicate := range []bool{false, true} {
				got := receipts(t, runSnippet(t, tt.program, m.program(t, tt.file, text)))
				if len(got) != 1 || got[0].Duplicate != duplicate || got[0].Subject != "sv.ws.user.ada" || got[0].Seq != 1 {
					t.Errorf("%+v", got)
				}
			}
			m = startMesh(t, "127.0.0.1:0", t.TempDir(), "WS_PUBLISH_RATE=1", "WS_PUBLISH_BURST=1")
			got := receipts(t, runSnippet(t, tt.program, m.program(t, tt.file, text+tt.again)))
			if len(got) != 3 || got[2].Seq != 3 {
				t.Errorf("%+v", got)
			}
			if metrics := m.get("http://" + m.ops + "/metrics"); !strings.Contains(metrics, `vibemesh_api_rate_limited_total{publisher="secret"}`) {
				t.Error("nothing was limited")
			}
		})
	}
}

type receipt struct {
	Seq       int
	Subject   string
	Duplicate bool
}

// receipts are the lines that a publisher prints.
func receipts(t *testing.T, out string) (all []receipt) {
	t.Helper()
	for line := range strings.Lines(out) {
		var r receipt
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// TestNodeOverNATS runs the publisher of Node over NATS.
func TestNodeOverNATS(t *testing.T) {
	if _, err := os.Stat("node_modules/@nats-io/jetstream"); err != nil {
		t.Fatalf("%v: `make test-go` installs what it imports", err)
	}
	m := startMesh(t, "127.0.0.1:0", t.TempDir())
	file := m.program(t, "publish.mjs", theBlock(t, backendGuide, "js ids").text+theBlock(t, backendGuide, "js nats").text)
	for _, want := range []string{"stored as 1 false\n", "stored as 1 true\n"} { // the second time under the same id
		if got := runSnippet(t, "node", file); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	if history := m.get("http://" + m.addr + "/api/v1/ws/history?token=" + token(t, "ada@example.com")); !strings.Contains(history, "Order 11 has shipped") {
		t.Errorf("its toast is not in the history: %s", history)
	}
}
