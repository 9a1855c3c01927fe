// Package config is every setting of Vibemesh: one struct, its defaults and what
// makes it valid. Each setting is an environment variable, a line of .env and a
// flag of the same name; the tags are read by github.com/alecthomas/kong.
package config

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Config is the settings of one process.
type Config struct {
	Addr    string `name:"ws-addr" env:"WS_ADDR" default:":8080" placeholder:"HOST:PORT" help:"Where sockets and HTTP are served, on one port."`
	OpsAddr string `name:"ws-ops-addr" env:"WS_OPS_ADDR" default:"127.0.0.1:9090" placeholder:"HOST:PORT" help:"Where /metrics, /healthz, /readyz and /debug/pprof are served; empty: nowhere."`

	NATSURL    []string `name:"ws-nats-url" env:"WS_NATS_URL" placeholder:"URL" help:"The NATS cluster, a comma list; empty: an embedded nats-server with JetStream."`
	NATSCreds  string   `name:"ws-nats-creds" env:"WS_NATS_CREDS" placeholder:"FILE" help:"NATS credentials file."`
	NATSCA     string   `name:"ws-nats-ca" env:"WS_NATS_CA" placeholder:"FILE" help:"Authorities in PEM that have signed the certificates of the NATS servers; set: TLS, always; empty: those of the system."`
	NATSCert   string   `name:"ws-nats-cert" env:"WS_NATS_CERT" placeholder:"FILE" help:"Certificate in PEM that NATS asks for, where it does."`
	NATSKey    string   `name:"ws-nats-key" env:"WS_NATS_KEY" placeholder:"FILE" help:"Its private key in PEM."`
	NATSListen string   `name:"ws-nats-listen" env:"WS_NATS_LISTEN" default:"127.0.0.1:4222" placeholder:"HOST:PORT" help:"Where the embedded nats-server listens, on a loopback address since it asks nobody who they are; empty: for this process only."`
	DataDir    string   `name:"ws-data-dir" env:"WS_DATA_DIR" default:"./data" placeholder:"DIR" help:"Where the embedded nats-server keeps the log."`
	Replicas   int      `name:"ws-replicas" env:"WS_REPLICAS" default:"1" help:"Replicas of the log: 1, 3 or 5."`
	Partitions int      `name:"ws-partitions" env:"WS_PARTITIONS" default:"1" help:"Partitions of the log, 1 to 256, as the subject mapping of the cluster has them; fixed once the log holds messages."`
	ReadMirror bool     `name:"ws-read-mirror" env:"WS_READ_MIRROR" default:"false" help:"Keep a mirror of the log that answers reads of the past, too."`
	AllowLoss  bool     `name:"ws-allow-data-loss" env:"WS_ALLOW_DATA_LOSS" default:"false" help:"Provision although it removes stored messages; for one run, never for good."`
	Prefix     string   `name:"ws-subject-prefix" env:"WS_SUBJECT_PREFIX" default:"sv" help:"First token of every NATS subject."`

	Auth            string `name:"ws-auth" env:"WS_AUTH" default:"firebase" enum:"firebase,dev" help:"Who vouches for people: firebase, or dev (unsigned tokens, for development on this machine)."`
	FirebaseProject string `name:"firebase-project-id" env:"FIREBASE_PROJECT_ID" placeholder:"ID" help:"The Firebase project whose users may sign in."`
	EmulatorHost    string `name:"firebase-auth-emulator-host" env:"FIREBASE_AUTH_EMULATOR_HOST" placeholder:"HOST:PORT" help:"The Firebase Auth emulator, for development; tokens are then not verified."`

	PublishSecret []string `name:"ws-publish-secret" env:"WS_PUBLISH_SECRET" placeholder:"SECRET" help:"Shared secrets that may publish, a comma list (two while rotating); empty: none."`
	PublishHeader string   `name:"ws-publish-header" env:"WS_PUBLISH_HEADER" default:"X-SV-KEY" help:"The header that carries the shared secret."`
	PublishClaim  string   `name:"ws-publish-claim" env:"WS_PUBLISH_CLAIM" default:"publisher" help:"The token claim that may publish; empty: any signed-in user may."`

	PublishRate  float64 `name:"ws-publish-rate" env:"WS_PUBLISH_RATE" default:"0" help:"Most messages a second that an API takes of one publisher, which is a secret or a token's person; more get 429; 0: no limit."`
	PublishBurst int     `name:"ws-publish-burst" env:"WS_PUBLISH_BURST" default:"0" help:"How many of them at once; 0: what comes in a second, at least 1000."`

	Topics     string `name:"ws-topics" env:"WS_TOPICS" default:"open" enum:"open,claim,service" help:"Who may join which topic: open (anybody any), claim (the token says), or service (a NATS service of the backend says)."`
	TopicClaim string `name:"ws-topic-claim" env:"WS_TOPIC_CLAIM" default:"topics" help:"The token claim that lists the topics, * at the end for all that begin so."`

	HistorySize  int           `name:"ws-history-size" env:"WS_HISTORY_SIZE" default:"50" help:"Messages a page of a person's history holds; 0: no history beyond the ring."`
	HistoryAge   time.Duration `name:"ws-history-age" env:"WS_HISTORY_AGE" default:"720h" help:"How long the log keeps a message."`
	HistoryBytes Bytes         `name:"ws-history-bytes" env:"WS_HISTORY_BYTES" default:"0" help:"Most bytes the log keeps on disk, such as 50GiB; 0: no limit but the disk."`
	ReplayLimit  int           `name:"ws-replay-limit" env:"WS_REPLAY_LIMIT" default:"1000" help:"Most events one resume replays."`
	RingBytes    Bytes         `name:"ws-ring-bytes" env:"WS_RING_BYTES" default:"64MiB" help:"Memory for the recent log."`

	TLSCert string `name:"ws-tls-cert" env:"WS_TLS_CERT" placeholder:"FILE" help:"Certificate chain in PEM, to serve WS_ADDR by TLS; read again when it changes."`
	TLSKey  string `name:"ws-tls-key" env:"WS_TLS_KEY" placeholder:"FILE" help:"Its private key in PEM."`

	ProxyProtocol      bool    `name:"ws-proxy-protocol" env:"WS_PROXY_PROTOCOL" default:"false" help:"Every connection begins with the PROXY protocol's header, version 2; only for a port that a load balancer alone can reach."`
	ConnectionRate     float64 `name:"ws-connection-rate" env:"WS_CONNECTION_RATE" default:"0" help:"Most new connections a second that an edge takes; more get 429; 0: no limit."`
	AddressRate        float64 `name:"ws-address-rate" env:"WS_ADDRESS_RATE" default:"0" help:"Most new connections a second from one address; more get 429; 0: no limit."`
	AddressConnections int     `name:"ws-address-connections" env:"WS_ADDRESS_CONNECTIONS" default:"0" help:"Most connections at once from one address; more get 429; 0: no limit."`

	Threshold      int           `name:"ws-connection-threshold" env:"WS_CONNECTION_THRESHOLD" default:"0" help:"Sessions above which new upgrades get 503; 0: no limit."`
	AllowedOrigins []string      `name:"ws-allowed-origins" env:"WS_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Origins of web pages that may connect, beside the same origin; * allows all."`
	PingInterval   time.Duration `name:"ws-ping-interval" env:"WS_PING_INTERVAL" default:"60s" help:"Silence after which a client is pinged."`
	DrainTimeout   time.Duration `name:"ws-drain-timeout" env:"WS_DRAIN_TIMEOUT" default:"30s" help:"Longest time to drain before stopping."`
	Loops          int           `name:"ws-loops" env:"WS_LOOPS" default:"0" help:"Event loops; 0: one for each core."`
	Slice          int           `name:"ws-slice" env:"WS_SLICE" default:"256" help:"Sessions that a broadcast visits before everything else has its turn."`
	Deflate        bool          `name:"ws-deflate" env:"WS_DEFLATE" default:"true" negatable:"" help:"Compress broadcasts and large messages for clients that offer permessage-deflate."`

	Node      string `name:"ws-node" env:"WS_NODE" placeholder:"NAME" help:"Name of this node, as clients and logs see it; default: the host's."`
	AccessLog bool   `name:"ws-access-log" env:"WS_ACCESS_LOG" default:"false" help:"Log every request of the HTTP API."`
	LogLevel  string `name:"ws-log-level" env:"WS_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"Least severe messages that are logged: debug, info, warn or error."`
	LogFormat string `name:"ws-log-format" env:"WS_LOG_FORMAT" default:"auto" enum:"auto,text,json" help:"text, json, or auto: text on a terminal."`
}

// Embedded reports whether this process brings its own nats-server.
func (c *Config) Embedded() bool { return len(c.NATSURL) == 0 }

// Role is which part of the mesh a process runs. The zero value runs nothing, and
// reaches no NATS.
type Role struct {
	Edge, API, Provision bool
}

// String is the role's name in nats/permissions.json.
func (r Role) String() string {
	switch r {
	case Role{Edge: true}:
		return "edge"
	case Role{API: true}:
		return "api"
	case Role{Provision: true}:
		return "provision"
	default:
		return "run"
	}
}

// Validate checks the settings that a role uses, completes those that depend on
// others, and says of every wrong one what to do.
func (c *Config) Validate(role Role) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if c.Node == "" {
		if host, err := os.Hostname(); err == nil {
			c.Node = host
		} else {
			c.Node = "vibemesh"
		}
	}
	if _, err := wire.NewSubjects(c.Prefix); err != nil || c.Prefix == "" {
		wrong("WS_SUBJECT_PREFIX %q: use letters, digits, _ and -, in tokens separated by dots, such as sv or acme.sv", c.Prefix)
	}
	c.validateNATS(role, wrong)
	if role.Edge || role.API {
		c.validateServing(wrong)
		c.validateAuth(wrong)
	}
	for _, s := range c.PublishSecret {
		if len(s) < minSecret {
			wrong("WS_PUBLISH_SECRET: a secret of %d characters is guessed too easily: use %d or more, such as from `openssl rand -hex 24`", len(s), minSecret)
		}
	}
	if c.HistoryAge < time.Minute {
		wrong("WS_HISTORY_AGE %v: the log keeps messages for a minute at least, such as 720h for 30 days", c.HistoryAge)
	}
	for _, n := range []struct {
		name     string
		v        int64
		min, max int64
	}{
		{"WS_HISTORY_SIZE", int64(c.HistorySize), 0, 1000},
		{"WS_REPLAY_LIMIT", int64(c.ReplayLimit), 1, 100_000},
		{"WS_RING_BYTES", int64(c.RingBytes), 256 << 10, math.MaxInt32},
		{"WS_HISTORY_BYTES", int64(c.HistoryBytes), 0, math.MaxInt64},
		{"WS_CONNECTION_THRESHOLD", int64(c.Threshold), 0, math.MaxInt32},
		{"WS_LOOPS", int64(c.Loops), 0, 1024},
		{"WS_SLICE", int64(c.Slice), 1, math.MaxInt32},
		{"WS_PUBLISH_BURST", int64(c.PublishBurst), 0, math.MaxInt32},
		{"WS_ADDRESS_CONNECTIONS", int64(c.AddressConnections), 0, math.MaxInt32},
		{"WS_PING_INTERVAL (seconds)", int64(c.PingInterval / time.Second), 1, 600},
		{"WS_DRAIN_TIMEOUT (seconds)", int64(c.DrainTimeout / time.Second), 0, 3600},
	} {
		if n.v < n.min || n.v > n.max {
			wrong("%s is %d: it goes from %d to %d", n.name, n.v, n.min, n.max)
		}
	}
	return errors.Join(errs...)
}

// minSecret is how many characters a publish secret has at least.
const minSecret = 16

func (c *Config) validateNATS(role Role, wrong func(string, ...any)) {
	for _, u := range c.NATSURL {
		p, err := url.Parse(u)
		if err != nil || p.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, p.Scheme) {
			wrong("WS_NATS_URL %q: use URLs such as nats://nats-0:4222,nats://nats-1:4222", u[strings.LastIndexByte(u, '@')+1:]) // no password
		}
	}
	if c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5 {
		wrong("WS_REPLICAS %d: JetStream keeps 1, 3 or 5 replicas", c.Replicas)
	}
	if c.Partitions < 1 || c.Partitions > maxPartitions {
		wrong("WS_PARTITIONS %d: a log has from 1 to %d partitions", c.Partitions, maxPartitions)
	}
	if role == (Role{}) {
		return
	}
	for _, file := range []struct{ name, path string }{
		{"WS_NATS_CREDS", c.NATSCreds}, {"WS_NATS_CA", c.NATSCA}, {"WS_NATS_CERT", c.NATSCert}, {"WS_NATS_KEY", c.NATSKey},
	} {
		if err := readable(file.path); file.path != "" && err != nil {
			wrong("%s: %v", file.name, err)
		}
	}
	if (c.NATSCert == "") != (c.NATSKey == "") {
		wrong("WS_NATS_CERT and WS_NATS_KEY go together: name the files of the certificate and of its key, or neither")
	}
	if c.Embedded() && (c.NATSCA != "" || c.NATSCert != "") {
		wrong("WS_NATS_CA and WS_NATS_CERT are for a cluster: name it in WS_NATS_URL; the embedded nats-server speaks no TLS")
	}
	if !c.Embedded() {
		return
	}
	if role.Edge != role.API || !role.Edge && !role.API {
		wrong("WS_NATS_URL is empty: only `vibemesh run` brings its own nats-server; give the cluster's, such as nats://127.0.0.1:4222")
	}
	if c.Replicas != 1 {
		wrong("WS_REPLICAS %d: the embedded nats-server is one; give a cluster in WS_NATS_URL, or leave it at 1", c.Replicas)
	}
	if c.DataDir == "" {
		wrong("WS_DATA_DIR is empty: name a folder for the log, such as ./data")
	}
	if c.NATSListen != "" && !loopback(c.NATSListen) {
		wrong("WS_NATS_LISTEN %q: the embedded nats-server asks nobody who they are, so it listens on a loopback address only, such as 127.0.0.1:4222; run a nats-server of your own and name it in WS_NATS_URL", c.NATSListen)
	}
}

// maxPartitions is how many partitions a log has at most: a cursor has a place for each.
const maxPartitions = 256

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

func (c *Config) validateServing(wrong func(string, ...any)) {
	for _, a := range []struct{ name, addr string }{{"WS_ADDR", c.Addr}, {"WS_OPS_ADDR", c.OpsAddr}} {
		if a.name == "WS_OPS_ADDR" && a.addr == "" {
			continue
		}
		_, port, err := net.SplitHostPort(a.addr)
		if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
			wrong("%s %q: use HOST:PORT or :PORT, such as :8080", a.name, a.addr)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		wrong("WS_TLS_CERT and WS_TLS_KEY go together: name the files of the certificate chain and of its key, or neither")
	}
	for _, r := range []struct {
		name, what string
		v          float64
	}{
		{"WS_CONNECTION_RATE", "connections", c.ConnectionRate},
		{"WS_ADDRESS_RATE", "connections", c.AddressRate},
		{"WS_PUBLISH_RATE", "messages", c.PublishRate},
	} {
		if !(r.v >= 0 && r.v <= 1e6) {
			wrong("%s %v: %s a second, from 0 (no limit) to 1000000", r.name, r.v, r.what)
		}
	}
	if !headerName.MatchString(c.PublishHeader) {
		wrong("WS_PUBLISH_HEADER %q: a header's name has letters, digits and -, such as X-SV-KEY", c.PublishHeader)
	}
	for i, o := range c.AllowedOrigins {
		c.AllowedOrigins[i] = strings.TrimSuffix(o, "/")
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "") {
			wrong("WS_ALLOWED_ORIGINS %q: an origin is a scheme and a host, such as https://app.example.com, or *", o)
		}
	}
}

func (c *Config) validateAuth(wrong func(string, ...any)) {
	if !slices.Contains([]string{"", "open", "claim", "service"}, c.Topics) {
		wrong("WS_TOPICS %q: use open, claim or service", c.Topics)
	}
	if c.Topics == "claim" && c.TopicClaim == "" {
		wrong("WS_TOPIC_CLAIM is empty: name the token claim that lists the topics, such as topics")
	}
	if c.Auth == "firebase" {
		if c.FirebaseProject == "" {
			wrong("FIREBASE_PROJECT_ID is empty: name the Firebase project whose users may sign in; for development on this machine use WS_AUTH=dev WS_ADDR=127.0.0.1:8080 instead")
		}
		return
	}
	if !loopback(c.Addr) && c.EmulatorHost == "" {
		wrong("WS_AUTH=dev on WS_ADDR %q would let anybody on the network be anyone: use 127.0.0.1:8080, or WS_AUTH=firebase; with the Firebase emulator set FIREBASE_AUTH_EMULATOR_HOST", c.Addr)
	}
}

// readable says why the file at a path cannot be read: a start would wait for it in vain.
func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = f.Read(make([]byte, 1)); err == io.EOF {
		return nil
	}
	return err
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Bytes is a number of bytes that is written like 64MiB, 10GB or 65536.
type Bytes int64

var units = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, factor := strings.TrimSpace(string(text)), 1.0
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = strings.TrimSpace(n), u.factor
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || math.IsNaN(v) || v*factor >= math.MaxInt64 {
		return fmt.Errorf("%q is not a size: write it like 64MiB, 10GB or 65536", text)
	}
	*b = Bytes(v * factor)
	return nil
}
