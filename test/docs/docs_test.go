// Package docs_test keeps the documentation true: its tables are compared with
// the program, its commands are run, its examples parsed, its links followed.
package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

var (
	guides = []string{"docs/app-developers.md", "docs/backend-developers.md", "docs/operators.md", "docs/reliability.md"}
	pages  = append([]string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/performance.md"}, guides...)
)

var bin string // where the built programs are

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vibemesh-docs")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, root+"/cmd/vibemesh", root+"/cmd/sv-cli")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the programs: %v\n%s", err, out)
		return 1
	}
	if err := linkNATS(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	bin = dir
	return m.Run()
}

// linkNATS puts the nats command among the programs. It is of a module of its own, since
// the program does not need it.
func linkNATS(dir string) error {
	tool := exec.Command("go", "tool", "-n", "nats")
	tool.Dir = filepath.Join(root, "test", "tools")
	out, err := tool.Output()
	if err != nil {
		return fmt.Errorf("building the nats command: %s", explain(err))
	}
	return os.Symlink(strings.TrimSpace(string(out)), filepath.Join(dir, "nats"))
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block of a page.
type block struct {
	at   string // page:line
	lang string // all behind the fence, such as "sh runnable"
	text string
}

// parse separates a page into its fenced blocks and the prose around them.
func parse(t *testing.T, path string) (blocks []block, prose string) {
	t.Helper()
	var open *block
	var rest strings.Builder
	for i, line := range strings.Split(read(t, path), "\n") {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{at: fmt.Sprintf("%s:%d", path, i+1), lang: lang}
		case fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		default:
			rest.WriteString(line + "\n")
		}
	}
	if open != nil {
		t.Errorf("%s: the block is not closed", open.at)
	}
	return blocks, rest.String()
}

// theBlock is the only block of a page with some language.
func theBlock(t *testing.T, path, lang string) block {
	t.Helper()
	var found []block
	blocks, _ := parse(t, path)
	for _, b := range blocks {
		if b.lang == lang {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %q, want one", path, len(found), lang)
	}
	return found[0]
}

// table is the rows of the table whose header begins with a word, cells trimmed.
func table(t *testing.T, path, header string) (rows [][]string) {
	t.Helper()
	_, prose := parse(t, path)
	in := false
	for line := range strings.SplitSeq(prose, "\n") {
		if !strings.HasPrefix(line, "|") {
			if in {
				return rows
			}
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		switch {
		case in && !strings.HasPrefix(cells[0], "--"):
			rows = append(rows, cells)
		case cells[0] == header:
			in = true
		}
	}
	if rows == nil {
		t.Fatalf("%s has no table %q", path, header)
	}
	return rows
}

// code is what stands between back quotes.
func code(cell string) string { return strings.Trim(cell, "`") }
