// Package mesh is everything that Vibemesh says to NATS: connecting, the log's
// provisioning, publishing, following the log and reading it. Nothing else in
// the program imports nats.go, but for what it shares with backends that publish
// by themselves: internal/message.
package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Config is how the mesh is reached.
type Config struct {
	URLs []string // empty: Server
	// Server is the one of this process; nil: none.
	Server   nats.InProcessConnProvider
	Creds    string   // file, or empty
	TLS      TLSFiles // beside what the URLs say
	Role     string   // of nats/permissions.json, whose inbox this process has; empty: run
	Node     string   // in the names of connections
	Subjects wire.Subjects
	Check    Checker         // of payloads; nil: none
	Trace    *trace.Recorder // of what is published; nil: none

	Partitions int // of the log; 0: as Subjects says
	// ReadMirror: the log has mirrors that answer reads, too, and may be behind.
	ReadMirror bool

	options []nats.Option // of tests, the last word
}

// Mesh is a process's connections to NATS. One follows the log, one publishes, one asks
// about the log and some read old entries, so that none waits behind another's bytes.
type Mesh struct {
	cfg    Config
	log    *slog.Logger
	follow *link
	pub    *link
	read   *link
	signal *link // what is not of the log: signals, orders, revocations
	reader *reader
	recent *recent
	parts  []*partition
	tail   tail
	faults faults
}

type link struct {
	nc *conn
	js js
}

// Connect opens the connections. It waits for the first answer of a server until
// ctx ends; after that they reconnect by themselves, for ever.
func Connect(ctx context.Context, cfg Config, log *slog.Logger) (*Mesh, error) {
	if cfg.Partitions > 0 {
		cfg.Subjects = cfg.Subjects.Partitioned(cfg.Partitions)
	}
	m := &Mesh{cfg: cfg, log: log}
	m.parts = m.newPartitions()
	m.recent = newRecent(m)
	for _, l := range []struct {
		to   **link
		role string
	}{{&m.follow, "tail"}, {&m.pub, "publish"}, {&m.read, "read"}, {&m.signal, "signal"}} {
		nc, err := m.dial(ctx, l.role)
		if err != nil {
			m.Close()
			return nil, err
		}
		// Without a limit, acknowledgements that never come would fill what may be
		// under way, and nothing could be published any more.
		streams, err := jetstream.New(nc.Conn, jetstream.WithPublishAsyncTimeout(message.AckTimeout))
		if err != nil {
			nc.Close()
			m.Close()
			return nil, fmt.Errorf("jetstream: %w", err)
		}
		*l.to = &link{nc, js{streams, nc}}
	}
	var err error
	if m.reader, err = newReader(func() (*conn, error) { return m.dial(ctx, "read") }); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Mesh) dial(ctx context.Context, role string) (*conn, error) {
	opts := []nats.Option{
		nats.Name("vibemesh " + role + " " + m.cfg.Node),
		nats.CustomInboxPrefix("_INBOX_" + cmp.Or(m.cfg.Role, "run") + "." + role),
		nats.MaxReconnects(-1),
		// A server that does not know this user, since its accounts are just being changed or
		// the credentials have expired, is asked again: nats.go would give up for ever, and
		// the file of the credentials, which may be another one by then, is read each time.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second),
		// A publish while disconnected fails at once; it is not kept in memory to
		// be sent some time later, after its caller was told that it failed.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			m.recent.doubt()
			if err != nil {
				m.log.Warn("NATS is out of reach", "connection", role, "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			m.log.Info("NATS is back", "connection", role, "server", nc.ConnectedServerName())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if m.faults.count(role, err) {
				m.log.Warn("NATS", "connection", role, "err", err)
			}
		}),
	}
	if m.cfg.Creds != "" {
		opts = append(opts, nats.UserCredentials(m.cfg.Creds))
	}
	url, servers := strings.Join(m.cfg.URLs, ","), []string{}
	for _, u := range m.cfg.URLs {
		servers = append(servers, hostOf(u)) // for logs: the URLs may have passwords
	}
	if m.cfg.Server == nil {
		opts = append(opts, m.cfg.TLS.options()...)
	} else {
		opts = append(opts, nats.InProcessServer(m.cfg.Server))
		url = ""
	}
	opts = append(opts, m.cfg.options...)
	var last error
	for {
		nc, err := dialConn(url, opts...)
		if err == nil {
			return nc, nil
		}
		if m.cfg.Server == nil {
			if why := m.cfg.TLS.explain(err); why != nil {
				return nil, why // it does not pass by waiting
			}
		}
		if last == nil {
			m.log.Warn("waiting for NATS", "servers", servers, "err", err)
		}
		last = err
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: no NATS server answers at %s (WS_NATS_URL): %w", wire.ErrUnavailable, strings.Join(servers, ","), last)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// Close ends the connections.
func (m *Mesh) Close() {
	m.recent.close()
	if m.reader != nil {
		m.reader.close()
	}
	for _, l := range []*link{m.signal, m.read, m.pub, m.follow} {
		if l != nil {
			l.nc.Close()
		}
	}
}

// StreamName is the log's name: the subject prefix in capitals and "_LOG".
func (m *Mesh) StreamName() string {
	name := strings.NewReplacer(".", "_").Replace(m.cfg.Subjects.Prefix())
	return strings.ToUpper(name) + "_LOG"
}

func (m *Mesh) links() map[string]*link {
	return map[string]*link{"tail": m.follow, "publish": m.pub, "read": m.read, "signal": m.signal}
}

// conns are the connections of each role. Reading has several.
func (m *Mesh) conns() map[string][]*conn {
	all := map[string][]*conn{}
	for role, l := range m.links() {
		all[role] = []*conn{l.nc}
	}
	for _, l := range m.reader.lanes {
		all["read"] = append(all["read"], l.nc)
	}
	return all
}

// Connected reports an error that says which connection has no server.
func (m *Mesh) Connected() error {
	for role, conns := range m.conns() {
		if !allConnected(conns) {
			return fmt.Errorf("%w: the %s connection to NATS has no server", wire.ErrUnavailable, role)
		}
	}
	return nil
}

func allConnected(conns []*conn) bool {
	return !slices.ContainsFunc(conns, func(c *conn) bool { return !c.IsConnected() })
}

// unavailable wraps the errors of NATS that may pass by themselves.
func unavailable(err error) error {
	if err == nil || errors.Is(err, wire.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", wire.ErrUnavailable, err)
}
