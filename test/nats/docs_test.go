package nats_test

import (
	"os"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/credentials"
)

// TestGuideHasTheRoles: the table of docs/operators.md says what the file says.
func TestGuideHasTheRoles(t *testing.T) {
	text, err := os.ReadFile("../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	all, err := credentials.Roles()
	if err != nil {
		t.Fatal(err)
	}
	want := "| role | what it does |\n|---|---|\n"
	for _, r := range all {
		want += "| `" + r.Name + "` | " + r.What + " |\n"
	}
	if !strings.Contains(string(text), want+"\n") {
		t.Errorf("docs/operators.md lacks this table:\n%s", want)
	}
}
