package mesh_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/mesh"
)

var mirrored = mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, ReadMirror: true}

// mirrorHas waits until the mirror of a log has so many messages.
func mirrorHas(t *testing.T, js jetstream.JetStream, name string, messages uint64) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		info := streams(t, js)[name]
		if info != nil && info.State.Msgs == messages {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %+v", name, info)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestMirrorOff: a mirror that is switched off is removed, the log stays.
func TestMirrorOff(t *testing.T) {
	m, js := partitioned(t, 2)
	provision(t, m, mirrored)
	store(t, js, "sv.ws.broadcast")
	mirrorHas(t, js, "SV_LOG_READ_0", 1)
	p := plan(t, m, anHour)
	if !strings.Contains(p.String(), "SV_LOG_READ_0: remove\n  note: a mirror that the settings do not ask for; what it holds is a copy\n") {
		t.Errorf("%v\n%s", p.Err(), p)
	}
	provision(t, m, anHour)
	all := streams(t, js)
	if got := fmt.Sprint(names(all)); got != "[KV_SV_REVOKED SV_LOG_0 SV_LOG_1]" || all["SV_LOG_0"].State.Msgs != 1 {
		t.Error(got)
	}
}

// TestMirrorHasNoSchedules: nobody would remove them from it when their time has come,
// or when they are cancelled.
func TestMirrorHasNoSchedules(t *testing.T) {
	m, js := partitioned(t, 1)
	provision(t, m, mirrored)
	for id, at := range map[string]time.Time{"a": time.Now().Add(time.Second), "b": time.Now().Add(time.Hour)} {
		msg := nats.NewMsg("sv.ws.schedule." + id)
		msg.Header.Set(jetstream.ScheduleHeader, "@at "+at.UTC().Format(time.RFC3339Nano))
		msg.Header.Set(jetstream.ScheduleTargetHeader, "sv.ws.user.ada")
		msg.Header.Set("Nats-TTL", "never")
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	mirrorHas(t, js, "SV_LOG_READ", 1) // what has come of a
	store(t, js, "sv.ws.user.bob")
	mirrorHas(t, js, "SV_LOG_READ", 2)
	all := streams(t, js)
	if log, mirror := all["SV_LOG"].State, all["SV_LOG_READ"].State; log.Msgs != 3 || mirror.LastSeq != log.LastSeq {
		t.Errorf("the log %+v, its mirror %+v: want the same numbers, and b in the log alone", log, mirror)
	}
}

// TestMirrorOutlivesTheLog: it may hold the only copy, and answers reads with what
// the new log does not hold.
func TestMirrorOutlivesTheLog(t *testing.T) {
	m, js := partitioned(t, 1)
	provision(t, m, mirrored)
	store(t, js, "sv.ws.broadcast", "sv.ws.user.ada")
	mirrorHas(t, js, "SV_LOG_READ", 2)
	if err := js.DeleteStream(t.Context(), "SV_LOG"); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []mesh.LogConfig{mirrored, anHour} {
		if _, err := m.Provision(t.Context(), cfg); !errors.Is(err, mesh.ErrRefused) || !strings.Contains(err.Error(), "SV_LOG_READ: it holds 2 messages") {
			t.Errorf("mirror %v: %v", cfg.ReadMirror, err)
		}
	}
	if got := fmt.Sprint(names(streams(t, js))); got != "[KV_SV_REVOKED SV_LOG_READ]" {
		t.Errorf("refused, and yet there are %s", got)
	}
	lossy := mirrored
	lossy.AllowLoss = true
	provision(t, m, lossy)
	store(t, js, "sv.ws.user.bob")
	mirrorHas(t, js, "SV_LOG_READ", 1)
	if p := plan(t, m, mirrored); !p.UpToDate() {
		t.Errorf("%s", p)
	}
}

// TestMirrorOfAnother: a stream that only has the name of a mirror is not removed.
func TestMirrorOfAnother(t *testing.T) {
	m, js := partitioned(t, 1)
	create(t, js, jetstream.StreamConfig{Name: "SV_LOG_READ", Subjects: []string{"other"}})
	create(t, js, jetstream.StreamConfig{Name: "SV_LOG_7", Subjects: []string{"another"}})
	provision(t, m, anHour)
	if got := fmt.Sprint(names(streams(t, js))); got != "[KV_SV_REVOKED SV_LOG SV_LOG_7 SV_LOG_READ]" {
		t.Error(got)
	}
}
