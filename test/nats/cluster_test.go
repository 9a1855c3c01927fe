package nats_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// freePorts are ports of this machine that nobody listens on.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().String())
	}
	return ports
}

// urls are where the servers of a cluster are for one another, by a name of this machine.
func urls(routes []string) string {
	return "nats://" + strings.ReplaceAll(strings.Join(routes, ", nats://"), "127.0.0.1", "localhost")
}

// member runs a server of a cluster with cluster.conf.
func member(t *testing.T, dir, tls, name, zone, listen string, routes []string) (*natsd.Server, *logged) {
	t.Helper()
	opts, err := read(t, filepath.Join(dir, "cluster.conf"), with(environment(t), map[string]string{
		"NATS_SERVER_NAME": name, "NATS_ZONE": "zone:" + zone, "NATS_CLUSTER_LISTEN": listen,
		"NATS_ROUTES":   "[" + urls(routes) + "]",
		"NATS_TLS_CERT": filepath.Join(tls, name+".crt"), "NATS_TLS_KEY": filepath.Join(tls, name+".key"), "NATS_TLS_CA": filepath.Join(tls, "ca.crt"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	return run(t, opts)
}

// three runs a cluster of three servers in three zones, by TLS: with certificates in a
// directory, where the servers are for each other, and where for clients.
func three(t *testing.T, dir string) (tls string, routes []string, servers []*natsd.Server, url string) {
	t.Helper()
	tls = certificates(t, "nats-0,localhost,127.0.0.1", "nats-1,localhost,127.0.0.1", "nats-2,localhost,127.0.0.1")
	routes = freePorts(t, 3)
	var clients []string
	for i, listen := range routes {
		s, _ := member(t, dir, tls, fmt.Sprint("nats-", i), fmt.Sprint(i), listen, routes)
		servers, clients = append(servers, s), append(clients, s.ClientURL())
	}
	return tls, routes, servers, strings.Join(clients, ",")
}

// TestCluster runs three servers as cluster.conf has them, and a mesh on it, of which one
// server after the other goes away.
func TestCluster(t *testing.T) {
	dir := install(t, 2)
	tls, routes, servers, url := three(t, dir)
	args := []string{"--ws-partitions=2", "--ws-replicas=3", "--ws-nats-ca=" + filepath.Join(tls, "ca.crt")}
	start(t, dir, url, "provision", args...)
	edge, api := start(t, dir, url, "edge", args...), start(t, dir, url, "api", args...)
	ada := signIn(t, edge, "ada", "")
	request(t, api, http.MethodPost, "toast", `{"title":"of three","to":{"users":["ada"]}}`, 201)
	ada.wantsTitle("of three")
	inThreeZones(t, as(t, dir, url, "operator", nats.RootCAs(filepath.Join(tls, "ca.crt"))))

	// Whose certificate is of another authority does not come in.
	strange := certificates(t, "nats-9,localhost,127.0.0.1")
	stranger, said := member(t, dir, strange, "nats-9", "9", freePorts(t, 1)[0], routes)
	eventually(t, "refused", func() bool { return strings.Contains(said.String(), "TLS route handshake error") })
	if stranger.NumRoutes() != 0 {
		t.Error("a server with the certificate of another authority is part of the cluster")
	}

	servers[2].Shutdown()
	servers[2].WaitForShutdown()
	eventually(t, "published without one server", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+api.Addr().String()+"/api/v1/ws/toast",
			strings.NewReader(`{"title":"of two","to":{"users":["ada"]}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-SV-KEY", secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusCreated
	})
	ada.wantsTitle("of two")
}

// inThreeZones looks where the replicas of the log are.
func inThreeZones(t *testing.T, nc *nats.Conn) {
	t.Helper()
	for _, stream := range []string{"SV_LOG_0", "SV_LOG_1", "KV_SV_REVOKED"} {
		msg, err := nc.Request("$JS.API.STREAM.INFO."+stream, nil, 5*time.Second)
		var info struct {
			Cluster struct {
				Leader   string
				Replicas []struct{ Name string }
			}
		}
		if err != nil || json.Unmarshal(msg.Data, &info) != nil {
			t.Fatal(err)
		}
		on := map[string]bool{info.Cluster.Leader: true}
		for _, r := range info.Cluster.Replicas {
			on[r.Name] = true
		}
		if !on["nats-0"] || !on["nats-1"] || !on["nats-2"] {
			t.Errorf("%s is on %v", stream, on)
		}
	}
}

// TestClientsAreNoServers: whoever has a certificate of the authority and the port of the
// cluster could run a server of it, which hears everything and says anything. Only who has
// one with the name of a server can.
func TestClientsAreNoServers(t *testing.T) {
	dir := install(t, 1)
	tls := certificates(t, "nats-0,localhost,127.0.0.1", "client:edge")
	routes := freePorts(t, 1)
	s, said := member(t, dir, tls, "nats-0", "0", routes[0], routes)
	member(t, dir, tls, "edge", "1", freePorts(t, 1)[0], routes)
	eventually(t, "looked at", func() bool {
		return s.NumRoutes() > 0 || strings.Contains(said.String(), "authentication error")
	})
	if s.NumRoutes() != 0 {
		t.Error("the certificate of a client makes a server of the cluster")
	}
}

// TestZones: servers of one zone do not hold two replicas.
func TestZones(t *testing.T) {
	dir := install(t, 1)
	withoutTLS(t, dir)
	routes := freePorts(t, 3)
	var clients []string
	for i, zone := range []string{"a", "a", "b"} {
		s, _ := member(t, dir, "", fmt.Sprint("nats-", i), zone, routes[i], routes)
		clients = append(clients, s.ClientURL())
	}
	nc := as(t, dir, clients[0], "provision")
	var answer string
	eventually(t, "an answer of the cluster", func() bool {
		msg, err := nc.Request("$JS.API.STREAM.CREATE.SV_LOG", []byte(`{"name":"SV_LOG","subjects":["sv.ws.>"],"num_replicas":3}`), 5*time.Second)
		if err != nil {
			return false
		}
		answer = string(msg.Data)
		return !strings.Contains(answer, `"code":503`)
	})
	if !strings.Contains(answer, "server tag not unique") {
		t.Errorf("three replicas in two zones: %s", answer)
	}
}
