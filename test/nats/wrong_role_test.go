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
