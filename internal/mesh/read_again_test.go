package mesh_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestUnreadAgainOfLargeEvents: what was marked as unread again counts, also when it is
// more than one page may hold.
func TestUnreadAgainOfLargeEvents(t *testing.T) {
	m := connected(t)
	const total = 60
	pad := strings.Repeat("x", 60<<10)
	var ids []wire.EventID
	for i := range total {
		ids = append(ids, publish(t, m, message(wire.User("ada"), fmt.Sprint(i, pad)))[0].ID)
	}
	if _, err := m.Mark(t.Context(), "ada", wire.Change{All: true}); err != nil {
		t.Fatal(err)
	}
	state, err := m.Mark(t.Context(), "ada", wire.Change{Unread: ids})
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.Unread(t.Context(), "ada", state, nil)
	if err != nil || got != total {
		t.Errorf("%d unread, %v; want %d", got, err, total)
	}
}
