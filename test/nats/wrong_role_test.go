package nats_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestProvisionAsAnother: who provisions with the credentials of another role is told so,
// and not that NATS is out of reach.
func TestProvisionAsAnother(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		dir, url, _ := single(t, partitions)
		for _, role := range []string{"api", "edge", "backend", "operator"} {
			t.Run(fmt.Sprintf("%s/%d", role, partitions), func(t *testing.T) {
				m, err := mesh.Connect(t.Context(), mesh.Config{
					URLs: []string{url}, Creds: filepath.Join(dir, role+".creds"), Role: role, Node: "test", Subjects: wire.Subjects{}.Partitioned(partitions),
				}, quiet())
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				_, err = m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour})
				if !errors.Is(err, mesh.ErrRefused) || !strings.Contains(err.Error(), "WS_NATS_CREDS") || !strings.Contains(err.Error(), "ermissions") {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// TestProvisionAnotherNumber: accounts are made for a number of partitions. Who provisions for
// another one is told that, beside the messages that forbid it, and not only to take the
// credentials that were taken.
func TestProvisionAnotherNumber(t *testing.T) {
	dir, url, _ := single(t, 1)
	provision := func(partitions int) error {
		m, err := mesh.Connect(t.Context(), mesh.Config{
			URLs: []string{url}, Creds: filepath.Join(dir, "provision.creds"), Role: "provision", Node: "test", Subjects: wire.Subjects{}.Partitioned(partitions),
		}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		_, err = m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour})
		return err
	}
	if err := provision(1); err != nil {
		t.Fatal(err)
	}
	const forAnother = "accounts.conf has to be made for WS_PARTITIONS=4"
	err := provision(4)
	if !errors.Is(err, mesh.ErrRefused) || !strings.Contains(err.Error(), forAnother) {
		t.Errorf("an empty log: %v", err)
	}
	if _, err := as(t, dir, url, "backend").Request("sv.ws.user.ada", envelope("kept"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	err = provision(4)
	if !errors.Is(err, mesh.ErrRefused) {
		t.Fatal(err)
	}
	holds, other := strings.Index(err.Error(), "a log of 1 partition holds 1 message"), strings.Index(err.Error(), forAnother)
	if holds < 0 || other < holds {
		t.Errorf("what forbids it does not come first: %v", err)
	}
}
