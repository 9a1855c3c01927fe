package deploy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestComposeRoutes: whoever reaches the port of the routes is a server of the cluster, and
// reads and writes everything. So nobody else is on the network that it is bound to.
func TestComposeRoutes(t *testing.T) {
	p := trial(t)
	servers := []string{"nats-1", "nats-2", "nats-3"}
	if !p.Networks["routes"].Internal {
		t.Error("the routes are on a network that leads outside")
	}
	var on []string
	for name, s := range p.Services {
		if _, ok := s.Networks["routes"]; ok {
			on = append(on, name)
		}
	}
	if slices.Sort(on); !slices.Equal(on, servers) {
		t.Errorf("on the network of the routes are %v, want %v", on, servers)
	}
	for _, name := range servers {
		s := p.Services[name]
		if networks := slices.Sorted(maps.Keys(s.Networks)); !slices.Equal(networks, []string{"log", "routes"}) {
			t.Errorf("%s is on %v", name, networks)
		}
		for setting, network := range map[string]string{"NATS_LISTEN": "log", "NATS_CLUSTER_LISTEN": "routes"} {
			host, _, err := net.SplitHostPort(*s.Environment[setting])
			if err != nil || host != name+"."+network {
				t.Errorf("%s: %s is %s, %v", name, setting, *s.Environment[setting], err)
			}
			if c := s.Networks[network]; c == nil || !slices.Contains(c.Aliases, host) {
				t.Errorf("%s is not called %s on %s", name, host, network)
			}
		}
		if routes := *s.Environment["NATS_ROUTES"]; !strings.Contains(routes, "nats://"+name+".routes:6222") || strings.Count(routes, ".routes:") != len(servers) {
			t.Errorf("NATS_ROUTES of %s is %s", name, routes)
		}
	}
}

// hasRoutesApart: the servers are a cluster, by addresses that they alone have, and clients
// learn of no address that they cannot reach.
func (m *mesh) hasRoutesApart() {
	m.t.Helper()
	want := []string{m.ip("nats-1") + ":4222", m.ip("nats-2") + ":4222", m.ip("nats-3") + ":4222"}
	slices.Sort(want)
	for _, name := range []string{"nats-1", "nats-2", "nats-3"} {
		if c, err := net.DialTimeout("tcp", m.ip(name)+":6222", time.Second); err == nil {
			c.Close()
			m.t.Errorf("an edge reaches the routes of %s", name)
		}
		if c, err := net.DialTimeout("tcp", m.ip(name+".routes")+":4222", time.Second); err == nil {
			c.Close()
			m.t.Errorf("%s takes clients on the network of the routes", name)
		}
		if got := advertised(m.t, m.ip(name)+":4222"); !slices.Equal(got, want) {
			m.t.Errorf("%s names %v to clients, want %v", name, got, want)
		}
	}
}

// advertised is what a nats-server says of where clients may connect.
func advertised(t *testing.T, server string) []string {
	t.Helper()
	c, err := net.DialTimeout("tcp", server, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		ConnectURLs []string `json:"connect_urls"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info); err != nil {
		t.Fatal(fmt.Errorf("%q: %w", line, err))
	}
	slices.Sort(info.ConnectURLs)
	return info.ConnectURLs
}
