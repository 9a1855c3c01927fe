package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
	"go.uber.org/goleak"
)

// TestMain looks for goroutines that are left. A nats-server that is stopped in the
// middle of a batch leaves one of its own behind; one that was just making a mirror
// has one that waits 30 s for the answer.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*msgBlock).flushLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*stream).setupMirrorConsumer.func3"))
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func server(t testing.TB, dir, listen string) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(natsserver.Config{DataDir: dir, Listen: listen, Node: "test"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// connected is a provisioned mesh over a real nats-server of its own.
func connected(t testing.TB) *mesh.Mesh {
	t.Helper()
	m := connectTo(t, mesh.Config{Server: server(t, t.TempDir(), "")})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	return m
}

func connectTo(t testing.TB, cfg mesh.Config) *mesh.Mesh {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cfg.Node = "test"
	cfg.Check = func(e wire.Envelope) error {
		if strings.Contains(string(e.Payload), "unfit") {
			return errors.New("unfit")
		}
		return nil
	}
	m, err := mesh.Connect(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func message(a wire.Audience, title string) wire.Message {
	return wire.Message{Audience: a, Envelope: wire.Envelope{Type: "toast", Payload: fmt.Appendf(nil, `{"title":%q}`, title)}}
}

func publish(t testing.TB, m *mesh.Mesh, msgs ...wire.Message) []wire.Receipt {
	t.Helper()
	receipts, err := m.Publish(t.Context(), msgs)
	if err != nil {
		t.Fatal(err)
	}
	return receipts
}
