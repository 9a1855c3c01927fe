package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Cluster is the processes of a mesh, and the network between them.
type Cluster struct {
	Nodes []*Node
	Edges []*Edge
	API   *Edge // it has no sockets, but the same ports
	Gate  *Gate // in front of the last node's system calls

	dir     string
	build   Build
	network network
	publish string     // the URLs that publishers are given
	admin   *nats.Conn // of the run itself, never cut off
	js      jetstream.JetStream
}

// Node is one nats-server.
type Node struct {
	Process
	client, route, monitor string // addresses it listens on
}

// Edge is one vibemesh.
type Edge struct {
	Process
	Addr string // of sockets and HTTP
	Ops  string // of /readyz and /metrics
}

const (
	nodes  = 3
	secret = "a-secret-of-the-chaos-suite"
)

// Build says where the programs are and what is started of them.
type Build struct {
	Bin        string // folder of nats-server and vibemesh; empty: built from the source
	Dir        string // for stores and logs
	Edges      int
	Partitions int      // of the log
	Env        []string // further settings of vibemesh
	Namespaces bool     // the network is one of the kernel, not of proxies
}

// StartCluster starts the nodes, provisions the log with three replicas, and
// starts API and edges. Close ends them even after an error.
func StartCluster(ctx context.Context, b Build) (*Cluster, error) {
	given := b.Bin != ""
	if !given {
		b.Bin = filepath.Join(b.Dir, "bin")
	}
	b.Env = append([]string{fmt.Sprint("WS_PARTITIONS=", b.Partitions)}, b.Env...)
	c := &Cluster{dir: b.Dir, build: b, network: proxies{}}
	if !given {
		if err := build(ctx, b.Bin); err != nil {
			return c, err
		}
	}
	if b.Namespaces {
		spaces, err := newNamespaces()
		if err != nil {
			return c, err
		}
		// The addresses are not loopback ones, where alone unsigned tokens are taken otherwise.
		c.network, c.build.Env = spaces, append(b.Env, "FIREBASE_AUTH_EMULATOR_HOST=127.0.0.1:1")
	}
	if err := c.addNodes(ctx); err != nil {
		return c, err
	}
	for _, n := range c.Nodes {
		if err := n.Start(); err != nil {
			return c, err
		}
	}
	if err := c.awaitNodes(ctx); err != nil {
		return c, err
	}
	var err error
	if c.admin, err = nats.Connect(c.directURL(), nats.Name("chaos"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectBufSize(-1), quiet); err != nil {
		return c, err
	}
	if c.js, err = jetstream.New(c.admin); err != nil {
		return c, err
	}
	if err := c.provision(ctx); err != nil {
		return c, err
	}
	if c.API, err = c.newEdge("api", "api"); err != nil {
		return c, err
	}
	for i := range b.Edges {
		e, err := c.newEdge("edge", fmt.Sprint("edge", i+1))
		if err != nil {
			return c, err
		}
		c.Edges = append(c.Edges, e)
	}
	for _, e := range c.served() {
		if err := e.Start(); err != nil {
			return c, err
		}
	}
	return c, c.awaitReady(ctx)
}

// served are the processes of vibemesh.
func (c *Cluster) served() []*Edge { return append([]*Edge{c.API}, c.Edges...) }

// build builds the programs of the tree as it stands.
func build(ctx context.Context, bin string) error {
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+"/", "github.com/nats-io/nats-server/v2", "github.com/socialvibes/vibemesh/cmd/vibemesh")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return nil
}

func (c *Cluster) addNodes(ctx context.Context) error {
	for i := range nodes {
		n := &Node{Process: Process{Name: fmt.Sprint("n", i+1), path: filepath.Join(c.build.Bin, "nats-server")}}
		ip, prefix, err := c.network.place(n.Name)
		if err != nil {
			return err
		}
		for _, addr := range []*string{&n.client, &n.route, &n.monitor} {
			if *addr, err = freeAddr(ip); err != nil {
				return err
			}
		}
		n.prefix = prefix
		c.Nodes = append(c.Nodes, n)
	}
	mappings, err := c.vibemesh(ctx, "provision", "--print-mappings").Output()
	if err != nil {
		return fmt.Errorf("asking for the mapping of partitions: %w", err)
	}
	for _, n := range c.Nodes {
		conf := filepath.Join(c.dir, n.Name+".conf")
		n.log, n.args = filepath.Join(c.dir, n.Name+".log"), []string{"-c", conf}
		text, err := c.nodeConfig(n)
		if err != nil {
			return err
		}
		if err := os.WriteFile(conf, append([]byte(text), mappings...), 0o600); err != nil {
			return err
		}
	}
	c.Gate = newGate(c.store(c.Nodes[nodes-1]))
	c.Nodes[nodes-1].gate = c.Gate
	return nil
}

func (c *Cluster) store(n *Node) string { return filepath.Join(c.dir, "store-"+n.Name) }

// nodeConfig is the configuration file of a node. Nodes reach each other by the
// ways of the network alone: none tells where another listens.
func (c *Cluster) nodeConfig(n *Node) (string, error) {
	var routes []string
	for _, to := range c.Nodes {
		if to == n {
			continue
		}
		addr, err := c.network.join(way{n.Name, to.Name, "route"}, to.route)
		if err != nil {
			return "", err
		}
		routes = append(routes, fmt.Sprintf("%q", "nats-route://"+addr))
	}
	return fmt.Sprintf(`server_name: %s
listen: %q
http: %q
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
jetstream {
  store_dir: %q
  sync_interval: "1s"
  max_file_store: 20GB
}
cluster {
  name: chaos
  listen: %q
  # Whoever hears of this address finds nobody there, and keeps to its routes.
  advertise: "127.0.0.1:1"
  no_advertise: true
  routes: [%s]
}
`, n.Name, n.client, n.monitor, c.store(n), n.route, strings.Join(routes, ", ")), nil
}

// clientURL makes ways from a process to all nodes: the URLs that it is given.
func (c *Cluster) clientURL(from string) (string, error) {
	var urls []string
	for _, n := range c.Nodes {
		addr, err := c.network.join(way{from, n.Name, "client"}, n.client)
		if err != nil {
			return "", err
		}
		urls = append(urls, "nats://"+addr)
	}
	return strings.Join(urls, ","), nil
}

func (c *Cluster) directURL() string {
	var urls []string
	for _, n := range c.Nodes {
		urls = append(urls, "nats://"+n.client)
	}
	return strings.Join(urls, ",")
}

// newEdge prepares a process of vibemesh.
func (c *Cluster) newEdge(command, name string) (*Edge, error) {
	ip, prefix, err := c.network.place(name)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr(ip)
	if err != nil {
		return nil, err
	}
	ops, err := freeAddr(ip)
	if err != nil {
		return nil, err
	}
	urls, err := c.clientURL(name)
	if err != nil {
		return nil, err
	}
	return &Edge{
		Process: Process{
			Name: name, prefix: prefix, path: filepath.Join(c.build.Bin, "vibemesh"), args: []string{command}, log: filepath.Join(c.dir, name+".log"),
			env: c.settings("WS_NATS_URL="+urls, "WS_ADDR="+addr, "WS_OPS_ADDR="+ops, "WS_NODE="+name),
		},
		Addr: addr, Ops: ops,
	}, nil
}

// settings are those of every process of vibemesh. Nothing may be said as a gap of
// reason limit, and a peer that has gone is to be noticed within a run.
func (c *Cluster) settings(more ...string) []string {
	env := append([]string{
		"WS_AUTH=dev", "WS_PUBLISH_SECRET=" + secret, "WS_LOG_FORMAT=text", "WS_REPLICAS=3",
		"WS_REPLAY_LIMIT=100000", "WS_PING_INTERVAL=5s", "WS_DRAIN_TIMEOUT=15s",
	}, more...)
	return append(env, c.build.Env...)
}

// vibemesh is a command of the program that ends by itself.
func (c *Cluster) vibemesh(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.build.Bin, "vibemesh"), args...)
	cmd.Env = append(os.Environ(), c.settings("WS_NATS_URL="+c.directURL())...)
	return cmd
}

// provision makes the log, as soon as the nodes have chosen who leads them.
func (c *Cluster) provision(ctx context.Context) error {
	var err error
	if c.publish, err = c.clientURL(host); err != nil {
		return err
	}
	return eventually(ctx, patience, "provisioned", func(ctx context.Context) error {
		if out, err := c.vibemesh(ctx, "provision").CombinedOutput(); err != nil {
			return fmt.Errorf("vibemesh provision: %w\n%s", err, out)
		}
		return nil
	})
}

// Close ends every process and the network.
func (c *Cluster) Close() {
	if c.admin != nil {
		c.admin.Close()
	}
	for _, p := range c.processes() {
		if p.Running() {
			_ = p.Signal(syscall.SIGCONT) // it may be stopped; either way it ends now
			p.Kill()
		}
	}
	c.network.close()
}

func (c *Cluster) processes() (all []*Process) {
	for _, e := range c.Edges {
		all = append(all, &e.Process)
	}
	if c.API != nil {
		all = append(all, &c.API.Process)
	}
	for _, n := range c.Nodes {
		all = append(all, &n.Process)
	}
	return all
}

// get asks a process by HTTP.
func get(ctx context.Context, url string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(text)), err
}
