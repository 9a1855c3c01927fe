package mesh_test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestRememberedOfALogThatWentBackElsewhere: the server of a cluster that holds the log,
// to which this process has no connection, loses its end. None of ours breaks.
func TestRememberedOfALogThatWentBackElsewhere(t *testing.T) {
	var ports [3]int
	var routes, dirs []string
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports[i] = ln.Addr().(*net.TCPAddr).Port
		routes, dirs = append(routes, "nats-route://"+ln.Addr().String()), append(dirs, t.TempDir())
		ln.Close()
	}
	start := func(i int) *natsd.Server {
		t.Helper()
		s, err := natsd.NewServer(&natsd.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: dirs[i], NoSigs: true, NoLog: true,
			Cluster: natsd.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i], NoAdvertise: true}, Routes: natsd.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		startAll(t, []*natsd.Server{s})
		return s
	}
	stop := func(s *natsd.Server) {
		s.Shutdown()
		s.WaitForShutdown()
	}
	var servers []*natsd.Server
	for i := range ports {
		servers = append(servers, start(i))
	}
	answered := func(try func() error) {
		t.Helper()
		for deadline := time.Now().Add(40 * time.Second); ; {
			err := try()
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	maker := connectTo(t, mesh.Config{URLs: []string{servers[0].ClientURL()}})
	answered(func() error {
		_, err := maker.Provision(t.Context(), mesh.LogConfig{Replicas: 1, MaxAge: time.Hour})
		return err
	})
	holder := slices.Index([]string{"n0", "n1", "n2"}, info(t, jetStream(t, servers[0].ClientURL()), "SV_LOG").Cluster.Leader)
	m := connectTo(t, mesh.Config{URLs: []string{servers[(holder+1)%3].ClientURL()}})
	store := func(title string) {
		t.Helper()
		answered(func() error {
			msg := message(wire.Broadcast(), title)
			msg.MsgID = title
			_, err := m.Publish(t.Context(), []wire.Message{msg})
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
	store("kept")
	stop(servers[holder])
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(dirs[holder])); err != nil {
		t.Fatal(err)
	}
	servers[holder] = start(holder)
	store("lost 1")
	store("lost 2")
	if got := newest(); len(got) != 3 {
		t.Fatalf("%v", got)
	}
	stop(servers[holder])
	dirs[holder] = backup
	start(holder)
	store("new")
	if got := newest(); !slices.Equal(got, []string{`{"title":"new"}`, `{"title":"kept"}`}) {
		t.Errorf("%v, want new and kept", got)
	}
}
