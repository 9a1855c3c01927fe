package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAppExamples: the guide shows the app's example files as they are, which the app's own
// checks compile.
func TestAppExamples(t *testing.T) {
	guide, err := os.ReadFile("../../docs/app-developers.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../frontend/src/examples/*.ts*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(guide), string(text)) {
			t.Errorf("docs/app-developers.md does not show %s as it is", filepath.Base(f))
		}
	}
}
