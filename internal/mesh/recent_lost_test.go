package mesh_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestRememberedOfALogThatLostOthers: a power failure that took only messages for single
// users, behind the newest broadcast, has their sequences given to new broadcasts.
func TestRememberedOfALogThatLostOthers(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	srv := server(t, dir, "127.0.0.1:0")
	listen := strings.TrimPrefix(srv.URL(), "nats://")
	m := connectTo(t, mesh.Config{URLs: []string{srv.URL()}})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	answered := func(try func() error) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			err := try()
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	store := func(to wire.Audience, title string) {
		t.Helper()
		answered(func() error {
			_, err := m.Publish(t.Context(), []wire.Message{message(to, title)})
			return err
		})
	}
	newest := func() (titles []string) {
		t.Helper()
		var entries []wire.Entry
		answered(func() (err error) {
			entries, err = m.Newest(t.Context(), []wire.Audience{wire.Broadcast()}, nil, 10)
			return err
		})
		for _, e := range entries {
			titles = append(titles, string(e.Payload))
		}
		return titles
	}
	store(wire.Broadcast(), "kept")
	srv.Stop()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	srv = server(t, dir, listen)
	for range 10 {
		store(wire.User("ada"), "lost")
	}
	if got := newest(); len(got) != 1 {
		t.Fatalf("%v", got)
	}
	srv.Stop()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	server(t, dir, listen)
	store(wire.Broadcast(), "new")
	if got := slices.Compact(newest()); !slices.Equal(got, []string{`{"title":"new"}`, `{"title":"kept"}`}) {
		t.Errorf("%v, want new and kept", got)
	}
}
