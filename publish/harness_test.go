package publish_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/credentials"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
	"github.com/socialvibes/vibemesh/publish"
)

// world is a nats-server with a provisioned log, and somebody who may see all of it.
type world struct {
	url      string // for the users admin and backend
	mesh     *mesh.Mesh
	js       jetstream.JetStream
	nc       *nats.Conn // admin's
	subjects wire.Subjects
}

// newWorld starts one. The user backend may do no more than a backend's credentials let
// it. stop ends it.
func newWorld(dir string, partitions int) (w *world, stop func(), err error) {
	w = &world{subjects: wire.Subjects{}.Partitioned(partitions)}
	may, err := credentials.Permissions("backend", w.subjects)
	if err != nil {
		return nil, nil, err
	}
	conf := fmt.Sprintf(`
		listen: "127.0.0.1:-1"
		jetstream { store_dir: %q }
		accounts {
			MESH { jetstream: enabled
				%s
				exports: [{ service: "sv.ws.>" }, { service: "sv.signal.>" }]
				users: [{ user: admin, password: secret }] }
			BACKENDS {
				imports: [{ service: { account: MESH, subject: "sv.ws.>" } }, { service: { account: MESH, subject: "sv.signal.>" } }]
				users: [{ user: backend, password: secret, permissions: { publish: ["%s"], subscribe: ["%s"] } }] }
		}`, dir, mesh.MappingText(w.subjects), strings.Join(may.Publish, `","`), strings.Join(may.Subscribe, `","`))
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, nil, err
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return nil, nil, err
	}
	opts.NoSigs, opts.NoLog = true, true
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, nil, err
	}
	ns.Start()
	stop = func() {
		if w.mesh != nil {
			w.mesh.Close()
		}
		if w.nc != nil {
			w.nc.Close()
		}
		ns.Shutdown()
		ns.WaitForShutdown()
	}
	if !ns.ReadyForConnections(20 * time.Second) {
		return nil, stop, fmt.Errorf("the server does not start")
	}
	w.url = ns.Addr().String()
	if err := w.provision(); err != nil {
		return nil, stop, err
	}
	return w, stop, nil
}

func (w *world) provision() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	admin := "nats://admin:secret@" + w.url
	if w.nc, err = nats.Connect(admin); err != nil {
		return err
	}
	if w.js, err = jetstream.New(w.nc); err != nil {
		return err
	}
	w.mesh, err = mesh.Connect(ctx, mesh.Config{URLs: []string{admin}, Node: "test", Subjects: w.subjects}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	_, err = w.mesh.Provision(ctx, mesh.LogConfig{Replicas: 1, MaxAge: time.Hour})
	return err
}

func start(t *testing.T, partitions int) *world {
	t.Helper()
	w, stop, err := newWorld(t.TempDir(), partitions)
	if stop != nil {
		t.Cleanup(stop)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// backend connects as a backend does; whatever it is forbidden fails the test.
func (w *world) backend(t *testing.T) *publish.Publisher {
	t.Helper()
	nc := w.connect(t, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Errorf("NATS says: %v", err) }))
	return publisher(t, nc)
}

func (w *world) connect(t *testing.T, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("nats://backend:secret@"+w.url, append(opts, nats.CustomInboxPrefix("_INBOX_backend"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func publisher(t *testing.T, nc *nats.Conn, settings ...publish.Setting) *publish.Publisher {
	t.Helper()
	p, err := publish.New(nc, settings...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stored is the message of a receipt, with the headers that it was published with.
func (w *world) stored(t *testing.T, r publish.Receipt) *jetstream.RawStreamMsg {
	t.Helper()
	s, err := w.js.Stream(t.Context(), r.Stream)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	msg, err := s.GetMsg(t.Context(), r.Seq)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	for _, name := range []string{"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp"} {
		msg.Header.Del(name)
	}
	return msg
}

// count is how many messages all partitions hold.
func (w *world) count(t *testing.T) (n uint64) {
	t.Helper()
	log, err := w.mesh.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range log {
		n += part.Last + 1 - part.First
	}
	return n
}
