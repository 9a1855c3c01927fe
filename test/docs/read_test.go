package docs_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestIsRead runs the guide's isRead over the golden vectors.
func TestIsRead(t *testing.T) {
	var vectors struct {
		Frames []struct {
			Name   string
			Frame  json.RawMessage
			Read   []string `json:"is_read"`
			Unread []string `json:"is_unread"`
		}
	}
	text := read(t, "internal/wire/testdata/vectors/read_states.json")
	if err := json.Unmarshal([]byte(text), &vectors); err != nil || len(vectors.Frames) < 5 {
		t.Fatalf("%d vectors, %v", len(vectors.Frames), err)
	}
	needs(t, "node")
	file := filepath.Join(t.TempDir(), "read.mjs")
	write(t, file, theBlock(t, "docs/app-developers.md", "js read").text+`
const all = JSON.parse(process.argv[2]).frames.map((v) => [v.is_read, v.is_unread].map((ids) => ids.map((id) => isRead(v.frame, id))));
console.log(JSON.stringify(all));`)
	out, err := exec.CommandContext(t.Context(), "node", file, text).Output()
	if err != nil {
		t.Fatal(explain(err))
	}
	var got [][2][]bool
	if err := json.Unmarshal(out, &got); err != nil || len(got) != len(vectors.Frames) {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	for i, v := range vectors.Frames {
		for j, ids := range [][]string{v.Read, v.Unread} {
			if want := fmt.Sprint(constant(len(ids), j == 0)); fmt.Sprint(got[i][j]) != want {
				t.Errorf("%s: %v are read: %v, want %v", v.Name, ids, got[i][j], want)
			}
		}
	}
}

func constant(n int, v bool) []bool {
	list := make([]bool, n)
	for i := range list {
		list[i] = v
	}
	return list
}
