// Package natsserver is the nats-server that a process brings along when it is given no
// cluster: with JetStream, on this machine only.
package natsserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Server is the embedded nats-server.
type Server struct {
	ns   *server.Server
	lock *os.File // on the data directory; nats-server itself takes none
}

// Config is how the server runs.
type Config struct {
	DataDir string
	Listen  string // host:port, or empty: only this process
	Node    string

	Subjects wire.Subjects // of the log; one of several partitions needs its mapping
}

// embeddedSync is how often the embedded server forces the log to the disk. A
// crash of the process loses nothing; a power failure at most this much.
const embeddedSync = time.Second

// Start starts a server with JetStream.
func Start(cfg Config, log *slog.Logger) (*Server, error) {
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("WS_DATA_DIR: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	ns, err := start(cfg, dir, log)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Server{ns, lock}, nil
}

// lockDir makes sure that no other process keeps a log in a directory: two would
// destroy it. The system gives the lock back when the process ends, however.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "vibemesh.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("WS_DATA_DIR: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("WS_DATA_DIR %s is in use by another process: stop it, or choose another directory: %w", dir, err), f.Close())
	}
	return f, nil
}

func start(cfg Config, dir string, log *slog.Logger) (*server.Server, error) {
	opts := &server.Options{
		ServerName: "vibemesh-" + cfg.Node, JetStream: true, StoreDir: dir,
		SyncInterval: embeddedSync, NoSigs: true, NoLog: true, DontListen: cfg.Listen == "",
		JetStreamMaxMemory: 256 << 20, JetStreamMaxStore: 1 << 60,
		MaxPayload: 1 << 20, WriteDeadline: 10 * time.Second,
	}
	if cfg.Listen != "" {
		host, port, err := net.SplitHostPort(cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("WS_NATS_LISTEN: %w", err)
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, fmt.Errorf("WS_NATS_LISTEN: %w", err)
		}
		// The server ends the process when its port is taken: find out before.
		probe, err := net.Listen("tcp", cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("WS_NATS_LISTEN %s is taken (another mesh or nats-server?): set it to another port, or to nothing: %w", cfg.Listen, err)
		}
		if err := probe.Close(); err != nil {
			return nil, err
		}
		opts.Host, opts.Port = host, n
		if n == 0 {
			opts.Port = server.RANDOM_PORT
		}
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: %w", err)
	}
	for _, m := range cfg.Subjects.Mappings() {
		if err := ns.GlobalAccount().AddMapping(m.From, m.To); err != nil {
			return nil, fmt.Errorf("embedded nats-server: mapping %s to %s: %w", m.From, m.To, err)
		}
	}
	ns.SetLoggerV2(natsLog{log.With("part", "nats-server")}, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(15 * time.Second) {
		ns.Shutdown()
		return nil, errors.New("the embedded nats-server did not start within 15 s; is WS_DATA_DIR in use by another one?")
	}
	return ns, nil
}

// URL is where other programs reach the server; empty if it does not listen.
func (s *Server) URL() string {
	if s.ns.Addr() == nil {
		return ""
	}
	return "nats://" + s.ns.Addr().String()
}

// InProcessConn is a connection to the server that passes no network.
func (s *Server) InProcessConn() (net.Conn, error) { return s.ns.InProcessConn() }

// Stop ends the server and waits for its files to be closed.
func (s *Server) Stop() {
	s.ns.Shutdown()
	s.ns.WaitForShutdown()
	_ = s.lock.Close() //nolint:errcheck // nothing was written to it
}

// natsLog lets the embedded server speak through slog. Its notices are of no
// interest to somebody who runs Vibemesh.
type natsLog struct{ log *slog.Logger }

func (l natsLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l natsLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l natsLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l natsLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
