package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// raw is a connection past the mesh, and the log as JetStream has it.
func raw(t *testing.T, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// reachable is a provisioned mesh whose server others can reach.
func reachable(t *testing.T, maxBytes int64) (m *mesh.Mesh, url string) {
	t.Helper()
	url = server(t, t.TempDir(), "127.0.0.1:0").URL()
	m = connectTo(t, mesh.Config{URLs: []string{url}})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour, MaxBytes: maxBytes}); err != nil {
		t.Fatal(err)
	}
	return m, url
}

// has waits until a sink satisfies a condition.
func (s *sink) has(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		done := ok()
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.moved:
		case <-time.After(20 * time.Millisecond):
		case <-timeout:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("not %s: began %d times, entries %v, skipped %v", what, s.begins, s.seqs, s.skips)
		}
	}
}

// TestLogGoesBack: a power failure takes the newest messages of the log, which
// gives their sequences again. The tail must not wait for it to come as far as
// it was.
func TestLogGoesBack(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	srv := server(t, dir, "127.0.0.1:0")
	listen := strings.TrimPrefix(srv.URL(), "nats://")
	m := connectTo(t, mesh.Config{URLs: []string{srv.URL()}})
	if _, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour}); err != nil {
		t.Fatal(err)
	}
	s := follow(t, m, 1000)
	some := func(n int) {
		for range n {
			for {
				if _, err := m.Publish(t.Context(), []wire.Message{message(wire.Broadcast(), "x")}); err == nil {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	some(5)
	srv.Stop()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	srv = server(t, dir, listen)
	some(5)
	s.until(t, 10)
	srv.Stop()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	server(t, dir, listen)
	some(2)
	state, err := m.State(t.Context())
	if err != nil || state[0].Last >= 10 {
		t.Fatalf("the log holds %+v, %v: it was to go back", state, err)
	}
	s.has(t, "starting over", func() bool {
		return s.begins == 2 && len(s.seqs) > 0 && s.seqs[len(s.seqs)-1] == state[0].Last
	})
}

// slowSink stops at the first entry until it may go on.
type slowSink struct {
	sink
	release chan struct{}
}

func (s *slowSink) Append(e *wire.Entry) {
	<-s.release
	s.sink.Append(e)
}

// TestRetentionOvertakesTheTail: what retention removed before the tail saw it
// is not passed over; the tail starts over, so that every session is told.
func TestRetentionOvertakesTheTail(t *testing.T) {
	m, _ := reachable(t, 100_000)
	s := &slowSink{sink: sink{moved: make(chan struct{}, 1)}, release: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Follow(ctx, s, 1000); err != nil {
			t.Error(err)
		}
	}()
	defer func() {
		cancel()
		<-done
	}()
	s.has(t, "begun", func() bool { return s.begins == 1 })
	for range 12 { // more than the tail asks for at once
		batch := make([]wire.Message, 1000)
		for i := range batch {
			batch[i] = message(wire.Broadcast(), "x")
		}
		publish(t, m, batch...)
	}
	close(s.release)
	s.has(t, "at the head", func() bool { return len(s.seqs) > 0 && s.seqs[len(s.seqs)-1] == 12_000 })
	if s.begins != 2 {
		t.Errorf("the tail began %d times, want it to start over: it went from %d to %d", s.begins, s.seqs[0], 12_000)
	}
	for i, seq := range s.seqs {
		if seq != s.seqs[0]+uint64(i) {
			t.Fatalf("entry %d follows %d", seq, s.seqs[i-1])
		}
	}
}

// TestTheLastMessageIsGone: the newest messages were deleted, or have expired,
// before the tail saw them. It passes over them: cursors that name them exist.
func TestTheLastMessageIsGone(t *testing.T) {
	m, url := reachable(t, 0)
	_, js := raw(t, url)
	for range 6 {
		publish(t, m, message(wire.Broadcast(), "x"))
	}
	stream, err := js.Stream(t.Context(), m.StreamName())
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{3, 5, 6} {
		if err := stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	s := follow(t, m, 1000)
	s.has(t, "at 6", func() bool { return len(s.skips) == 1 && s.skips[0] == 6 })
	publish(t, m, message(wire.Broadcast(), "x"))
	s.has(t, "at 7", func() bool { return fmt.Sprint(s.seqs) == "[1 2 4 7]" })
	if s.begins != 1 || !m.CaughtUp() || m.Lag() != 0 {
		t.Errorf("began %d times, caught up %v, lag %d", s.begins, m.CaughtUp(), m.Lag())
	}
}

// directGet answers Direct Get in the place of a replica.
func directGet(t *testing.T, nc *nats.Conn, stream string, answer func(reply string)) {
	t.Helper()
	sub, err := nc.Subscribe("$JS.API.DIRECT.GET."+stream, func(msg *nats.Msg) { answer(msg.Reply) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sub.Unsubscribe() })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func batchMsg(nc *nats.Conn, reply string, seq, before uint64) {
	msg := nats.NewMsg(reply)
	msg.Data = []byte(`{"type":"toast","payload":{"title":"x"}}`)
	for k, v := range map[string]any{
		"Nats-Subject": "sv.ws.broadcast", "Nats-Sequence": seq, "Nats-Last-Sequence": before,
		"Nats-Time-Stamp": time.Now().Format(time.RFC3339Nano),
	} {
		msg.Header.Set(k, fmt.Sprint(v))
	}
	nc.PublishMsg(msg)
}

func endBatch(nc *nats.Conn, reply string, pending, before uint64) {
	msg := nats.NewMsg(reply)
	for k, v := range map[string]any{"Status": "204", "Description": "EOB", "Nats-Num-Pending": pending, "Nats-Last-Sequence": before} {
		msg.Header.Set(k, fmt.Sprint(v))
	}
	nc.PublishMsg(msg)
}

// TestBatchWithHoles: a batch of which a reconnect has swallowed a part is no
// answer, although it comes to its end.
func TestBatchWithHoles(t *testing.T) {
	url := server(t, t.TempDir(), "127.0.0.1:0").URL()
	nc, js := raw(t, url)
	m := connectTo(t, mesh.Config{URLs: []string{url}})
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: m.StreamName(), Subjects: []string{"sv.ws.>"}}); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []uint64{0, 1, 2, 3} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			directGet(t, nc, m.StreamName(), func(reply string) {
				for seq := uint64(1); seq <= 3; seq++ {
					if seq != lost {
						batchMsg(nc, reply, seq, seq-1)
					}
				}
				endBatch(nc, reply, 0, 3)
			})
			p, err := m.Page(t.Context(), wire.PageRequest{Audiences: []wire.Audience{wire.Broadcast()}, After: wire.Vector{0}, UpTo: wire.Vector{3}, Limit: 10, MaxBytes: 1 << 20})
			if lost == 0 && (err != nil || len(p.Entries) != 3) || lost != 0 && !errors.Is(err, wire.ErrUnavailable) {
				t.Errorf("%d entries, %v", len(p.Entries), err)
			}
		})
	}
}

// TestReplicaIsBehind: a replica that has not all of the log yet does not know
// it. A page is complete only as far as the leader says so.
func TestReplicaIsBehind(t *testing.T) {
	url := cluster(t)
	nc, js := raw(t, url)
	m := connectTo(t, mesh.Config{URLs: []string{url}})
	cfg := jetstream.StreamConfig{Name: m.StreamName(), Subjects: []string{"sv.ws.>"}, Replicas: 3}
	for {
		_, err := js.CreateStream(t.Context(), cfg)
		if err == nil {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for range 4 {
		publish(t, m, message(wire.Broadcast(), "x"))
	}
	directGet(t, nc, m.StreamName(), func(reply string) {
		batchMsg(nc, reply, 1, 0)
		batchMsg(nc, reply, 2, 1)
		endBatch(nc, reply, 0, 2)
	})
	req := wire.PageRequest{Audiences: []wire.Audience{wire.Broadcast()}, After: wire.Vector{0}, UpTo: wire.Vector{4}, Limit: 10, MaxBytes: 1 << 20}
	p, err := m.Page(t.Context(), req)
	if err != nil || p.Through[0] != 2 || len(p.Entries) != 2 {
		t.Errorf("%d entries through %d, %v: want two, through 2", len(p.Entries), p.Through, err)
	}
	req.After = wire.Vector{2}
	if p, err = m.Page(t.Context(), req); !errors.Is(err, wire.ErrUnavailable) {
		t.Errorf("%d entries through %d, %v: want to be told to come again", len(p.Entries), p.Through, err)
	}
}

// cluster is three nats-servers with JetStream.
func cluster(t *testing.T) (url string) {
	t.Helper()
	var ports []int
	var routes []string
	var listeners []net.Listener
	for range 3 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
		routes = append(routes, "nats-route://"+ln.Addr().String())
	}
	for _, ln := range listeners { // only now: until then the ports differ
		ln.Close()
	}
	var servers []*natsd.Server
	for i, port := range ports {
		s, err := natsd.NewServer(&natsd.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			Cluster: natsd.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}, Routes: natsd.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, s)
	}
	return startAll(t, servers)
}

func startAll(t *testing.T, servers []*natsd.Server) (url string) {
	t.Helper()
	for _, s := range servers {
		s.Start()
		t.Cleanup(func() {
			s.Shutdown()
			s.WaitForShutdown()
		})
	}
	for _, s := range servers {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("the server does not start")
		}
	}
	return servers[0].ClientURL()
}

// TestLostAcks: acknowledgements that never come do not keep later messages from
// being published.
func TestLostAcks(t *testing.T) {
	url := server(t, t.TempDir(), "127.0.0.1:0").URL()
	_, js := raw(t, url)
	m := connectTo(t, mesh.Config{URLs: []string{url}})
	cfg := jetstream.StreamConfig{Name: m.StreamName(), Subjects: []string{"sv.ws.>"}, NoAck: true}
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	batch := make([]wire.Message, 1000)
	for i := range batch {
		batch[i] = message(wire.Broadcast(), "x")
	}
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if _, err := m.Publish(ctx, batch); !errors.Is(err, wire.ErrUnavailable) {
			t.Fatalf("got %v without acknowledgements", err)
		}
		cancel()
	}
	cfg.NoAck = false
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		_, err := m.Publish(t.Context(), batch[:1])
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing can be published any more: %v", err)
		}
	}
}

// TestPageBytes: a page's bytes are bounded whatever the number of audiences.
func TestPageBytes(t *testing.T) {
	m := connected(t)
	var audiences []wire.Audience
	var batch []wire.Message
	for i := range 10 {
		audiences = append(audiences, wire.Topic(fmt.Sprint("t", i)))
	}
	for i := range 200 {
		batch = append(batch, message(audiences[i%10], strings.Repeat("x", 10_000)))
	}
	publish(t, m, batch...)
	var got []uint64
	for after := uint64(0); after < 200; {
		p, err := m.Page(t.Context(), wire.PageRequest{Audiences: audiences, After: wire.Vector{after}, UpTo: wire.Vector{200}, Limit: 256, MaxBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Entries) > 8 || p.Through[0] <= after {
			t.Fatalf("%d entries of 10 kB through %d after %d", len(p.Entries), p.Through[0], after)
		}
		got, after = append(got, seqs(p.Entries)...), p.Through[0]
	}
	if len(got) != 200 {
		t.Errorf("%d entries in all", len(got))
	}
}

// TestReceiptsOfAnotherLife: the ids of what is published after the log was made
// anew are those of its new life, also in a process that only publishes.
func TestReceiptsOfAnotherLife(t *testing.T) {
	m, url := reachable(t, 0)
	_, js := raw(t, url)
	old := publish(t, m, message(wire.Broadcast(), "1"), message(wire.Broadcast(), "2"))[0].ID.Life
	if err := js.DeleteStream(t.Context(), m.StreamName()); err != nil {
		t.Fatal(err)
	}
	state, err := m.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if id := publish(t, m, message(wire.Broadcast(), "1"))[0].ID; id.Life != state.Life || id.Life == old {
		t.Errorf("life %d, want %d (it was %d)", id.Life, state.Life, old)
	}
}
