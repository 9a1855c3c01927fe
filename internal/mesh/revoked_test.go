package mesh_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/mesh"
)

// held remembers what it is told to refuse.
type held struct {
	mu    sync.Mutex
	users map[string]int64
}

func (h *held) Revoke(uid string, before time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users[uid] = before.UnixMilli()
}

func (h *held) Restore(uid string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.users, uid)
}

func (h *held) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprint(h.users)
}

func (h *held) becomes(t *testing.T, want string) {
	t.Helper()
	until(t, want, func() bool { return h.text() == want })
}

// followRevoked follows the bucket and returns once it was read.
func followRevoked(t *testing.T, m *mesh.Mesh) (h *held, stop func()) {
	t.Helper()
	h = &held{users: map[string]int64{}}
	r := m.NewRevocations(h)
	stop = running(t, r.Run)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := r.Known(ctx); err != nil {
		t.Fatal(err)
	}
	return h, stop
}

func TestRevocations(t *testing.T) {
	s := server(t, t.TempDir(), "127.0.0.1:0")
	m := connectTo(t, mesh.Config{Server: s})
	early, _ := followRevoked(t, m) // before there is a bucket
	o := m.NewOperator()
	if _, err := o.Revoke(t.Context(), "ada", time.UnixMilli(5)); err == nil {
		t.Error("revoked without a bucket")
	}
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	revoke := func(uid string, ms, want int64) {
		t.Helper()
		got, err := o.Revoke(t.Context(), uid, time.UnixMilli(ms))
		if err != nil || got.UnixMilli() != want {
			t.Errorf("revoked before %v, %v; want %d", got.UnixMilli(), err, want)
		}
	}
	revoke("ada", 1000, 1000)
	early.becomes(t, "map[ada:1000]")
	revoke("ada", 500, 1000) // an earlier time takes nothing back
	revoke("ada", 2000, 2000)
	revoke("bob@example.org", 3000, 3000)
	early.becomes(t, "map[ada:2000 bob@example.org:3000]")

	// Who starts later knows it before it lets anybody in.
	late, stop := followRevoked(t, m)
	if got := late.text(); got != "map[ada:2000 bob@example.org:3000]" {
		t.Errorf("at the start: %s", got)
	}
	stop()

	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), m.RevokedBucket())
	if err != nil {
		t.Fatal(err)
	}
	// A key of nobody is passed over. A value of nonsense may stand where a time was: all
	// tokens of before it are refused, and a revocation by an earlier time changes nothing.
	for key, value := range map[string]string{"carl": "soon", "=": "5"} {
		if _, err := kv.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Delete(t.Context(), "ada"); err != nil { // an operator takes it back
		t.Fatal(err)
	}
	nonsense, err := kv.Get(t.Context(), "carl")
	if err != nil {
		t.Fatal(err)
	}
	early.becomes(t, fmt.Sprintf("map[bob@example.org:3000 carl:%d]", nonsense.Created().UnixMilli()))
	revoke("carl", 7000, nonsense.Created().UnixMilli())

	// Another bucket of the same name holds other people.
	if err := js.DeleteKeyValue(t.Context(), m.RevokedBucket()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	revoke("dora", 7000, 7000)
	early.becomes(t, "map[dora:7000]")
}

// TestRevokedTogether: whoever revokes at the same time, the latest time counts.
func TestRevokedTogether(t *testing.T) {
	m := connected(t)
	h, _ := followRevoked(t, m)
	o := m.NewOperator()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if _, err := o.Revoke(t.Context(), "ada", time.UnixMilli(int64(1000+i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	h.becomes(t, "map[ada:1003]")
}
