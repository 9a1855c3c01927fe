package mesh_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// running has something of the mesh work until the test ends, or stop is called.
func running(t *testing.T, work func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// until waits for what others do.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not %s within 30 s", what)
		case <-tick.C:
		}
	}
}

// fakeEdge has sessions of some users.
type fakeEdge struct {
	sessions map[string]int
	slow     bool
	reason   string
}

func (e *fakeEdge) Count(ctx context.Context, who []wire.Audience) (counts []int, err error) {
	if e.slow {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, a := range who {
		counts = append(counts, e.sessions[a.ID])
	}
	return counts, nil
}

func (e *fakeEdge) Disconnect(_ context.Context, uid, reason string) (int, error) {
	e.reason = reason
	return e.sessions[uid], nil
}

func (e *fakeEdge) Status() wire.EdgeStatus {
	return wire.EdgeStatus{Sessions: len(e.sessions), RingBytes: 7}
}

// node is a mesh of a name on a server.
func node(t *testing.T, s *natsserver.Server, name string) *mesh.Mesh {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	m, err := mesh.Connect(ctx, mesh.Config{Server: s, Node: name}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestOperator(t *testing.T) {
	s := server(t, t.TempDir(), "127.0.0.1:0")
	one := &fakeEdge{sessions: map[string]int{"ada": 2, "chess": 5}}
	two := &fakeEdge{sessions: map[string]int{"ada": 1, "bob": 1, "chess": 7}}
	running(t, node(t, s, "edge-1").NewControl("v1-dirty", one).Run)
	stopTwo := running(t, node(t, s, "edge-2").NewControl("1.2.3", two).Run)
	o := node(t, s, "api").NewOperator()

	// Before it knows the edges it says that it may lack some.
	if _, complete, err := o.Members(t.Context(), "chess"); complete || err != nil {
		t.Errorf("complete %v, %v before it has looked", complete, err)
	}
	running(t, o.Run)
	presence := func() string {
		t.Helper()
		got, complete, err := o.Presence(t.Context(), []string{"ada", "bob", "nobody"})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got, complete)
	}
	both := "[map[edge-1:2 edge-2:1] map[edge-2:1] map[]] true"
	until(t, "complete", func() bool { return presence() == both })
	if n, complete, err := o.Members(t.Context(), "chess"); n != 12 || !complete || err != nil {
		t.Errorf("%d members, %v, %v", n, complete, err)
	}
	got, complete, err := o.Disconnect(t.Context(), "ada", "spam")
	if fmt.Sprint(got, complete, err) != "map[edge-1:2 edge-2:1] true <nil>" || one.reason != "spam" {
		t.Errorf("disconnect: %v %v %v %q", got, complete, err, one.reason)
	}

	// A third one says that it is there before it could be asked; one that goes, too.
	three := &fakeEdge{sessions: map[string]int{"bob": 4}}
	running(t, node(t, s, "edge-3").NewControl("1.2.3", three).Run)
	until(t, "three", func() bool { return presence() == "[map[edge-1:2 edge-2:1] map[edge-2:1 edge-3:4] map[]] true" })
	stopTwo()
	until(t, "two again", func() bool { return presence() == "[map[edge-1:2] map[edge-3:4] map[]] true" })

	// One that does not answer is not passed over silently.
	stuck := node(t, s, "edge-4")
	running(t, stuck.NewControl("1.2.3", &fakeEdge{slow: true}).Run)
	until(t, "incomplete", func() bool { return presence() == "[map[edge-1:2] map[edge-3:4] map[]] false" })
	stuck.Close() // as if it was killed: it is forgotten after some pings
	until(t, "complete without it", func() bool { return presence() == "[map[edge-1:2] map[edge-3:4] map[]] true" })
}

// TestService: what `nats micro` and `nats request` see.
func TestService(t *testing.T) {
	s := server(t, t.TempDir(), "127.0.0.1:0")
	running(t, node(t, s, "edge-1").NewControl("1.2.3", &fakeEdge{sessions: map[string]int{"ada": 2}}).Run)
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	request := func(subject, data string) *nats.Msg {
		t.Helper()
		var answer *nats.Msg
		until(t, "answered", func() bool { // once it is there
			answer, err = nc.Request(subject, []byte(data), 5*time.Second)
			return err == nil
		})
		return answer
	}
	var info micro.Info
	if err := json.Unmarshal(request("$SRV.INFO.vibemesh-edge", "").Data, &info); err != nil {
		t.Fatal(err)
	}
	var endpoints []string
	for _, e := range info.Endpoints {
		endpoints = append(endpoints, e.Name+" "+e.Subject+e.QueueGroup)
	}
	if len(endpoints) != 3 || info.Version != "1.2.3" || info.Metadata["node"] != "edge-1" {
		t.Errorf("info: %+v", info)
	}
	for order, want := range map[string]string{
		`{"user":"ada"}`:           `"sessions":2}`,
		`{"user":"bob"}`:           `"sessions":0}`,
		`{"topic":"ada"}`:          `"members":2}`,
		`{"users":["ada","bob"]}`:  `"counts":[2,0]}`,
		`{"users":[],"user":""}`:   "400",
		`{"user":"a","topic":"b"}`: "400",
		`nonsense`:                 "400",
	} {
		msg := request("sv.ctl.presence", order)
		got := string(msg.Data)
		if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
			got = code
		}
		if !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", order, got, want)
		}
	}
	for order, want := range map[string]string{
		``: `"sessions":1,"draining":false,"caught_up":false,"lag":0,"ring_bytes":7,"ring_span_seconds":0,"delivered":0}}`, `{}`: `"delivered":0}}`,
		`{"user":"ada"}`: `"node":"edge-1"}`, // refused
	} {
		if got := string(request("sv.ctl.status", order).Data); !strings.HasSuffix(got, want) {
			t.Errorf("status %s: %s, want %s", order, got, want)
		}
	}
	if msg := request("sv.ctl.disconnect", `{"topic":"x"}`); msg.Header.Get(micro.ErrorCodeHeader) != "400" {
		t.Errorf("a topic was disconnected: %s", msg.Data)
	}
}
