// Package app wires the parts of the mesh into a process: it starts them in
// order and stops them in the reverse order.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/config"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/limit"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/natsserver"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/proxyproto"
	"github.com/socialvibes/vibemesh/internal/schema"
	"github.com/socialvibes/vibemesh/internal/tlsport"
	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// App is a running process of the mesh.
type App struct {
	cfg     config.Config
	role    config.Role
	log     *slog.Logger
	version string

	metrics *prometheus.Registry
	trace   *trace.Recorder    // nil: nothing is traced
	server  *natsserver.Server // embedded; nil with a cluster
	mesh    *mesh.Mesh
	schemas *schema.Registry
	tokens  *auth.Cache
	tls     *tlsport.Port // nil: plain
	edge    *edge.Edge    // nil in an API process
	revoke  revocations

	remembered atomic.Bool // what every history shows
	addr       net.Addr
	ops        net.Addr

	stops  []stop // in the order of starting
	failed chan error
}

// stop ends one part. It may take until ctx ends.
type stop struct {
	name string
	end  func(ctx context.Context) error
}

// tokenMemory is how many verified tokens a process remembers.
const tokenMemory = 200_000

// Start starts the parts that a role has. cfg must have been validated. ctx
// bounds the start alone; Stop ends what was started.
func Start(ctx context.Context, cfg config.Config, role config.Role, version string, log *slog.Logger) (*App, error) {
	a := &App{cfg: cfg, role: role, log: log, version: version, failed: make(chan error, 8)}
	a.metrics = newRegistry(version)
	steps := []func(context.Context) error{a.startTrace, a.startServer, a.connect, a.provision}
	if role.Edge || role.API {
		steps = append(steps, a.startAuth, a.startRevoked)
	}
	if role.Edge || role.API {
		steps = append(steps, a.startTLS)
	}
	if role.Edge {
		steps = append(steps, a.startEdge)
	}
	if role.Edge || role.API {
		steps = append(steps, a.startHTTP, a.startOps)
	}
	if role.Edge {
		steps = append(steps, a.startTail)
	}
	if (role.Edge || role.API) && cfg.HistorySize > 0 {
		steps = append(steps, a.startRemembering)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return nil, errors.Join(err, a.unwind(stopping))
		}
	}
	return a, nil
}

func (a *App) onStop(name string, end func(ctx context.Context) error) {
	a.stops = append(a.stops, stop{name, end})
}

// run has a part work in the background until it is stopped; if it ends before,
// the process fails.
func (a *App) run(name string, work func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := work(ctx); ctx.Err() == nil {
			a.failed <- fmt.Errorf("%s: %w", name, cmpErr(err))
		}
	}()
	a.onStop(name, func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("ended by itself")
	}
	return err
}

// Failed receives the error of a part that can no longer work.
func (a *App) Failed() <-chan error { return a.failed }

// Addr is where sockets and HTTP are served, OpsAddr where metrics are, NATSURL
// where the embedded nats-server listens (empty: not).
func (a *App) Addr() net.Addr    { return a.addr }
func (a *App) OpsAddr() net.Addr { return a.ops }
func (a *App) NATSURL() string {
	if a.server == nil {
		return ""
	}
	return a.server.URL()
}

// Stop drains the edge and ends every part, the last started first.
func (a *App) Stop(ctx context.Context) error {
	if a.edge != nil && a.edge.Sessions() > 0 {
		a.log.Info("draining", "sessions", a.edge.Sessions())
		a.edge.Drain(ctx)
	}
	return a.unwind(ctx)
}

func (a *App) unwind(ctx context.Context) error {
	var errs []error
	for len(a.stops) > 0 {
		s := a.stops[len(a.stops)-1]
		a.stops = a.stops[:len(a.stops)-1]
		a.log.Debug("stopping", "part", s.name)
		if err := s.end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stopping %s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}

func (a *App) startServer(context.Context) error {
	if !a.cfg.Embedded() {
		return nil
	}
	subjects, err := logSubjects(&a.cfg)
	if err != nil {
		return err
	}
	s, err := natsserver.Start(natsserver.Config{
		DataDir: a.cfg.DataDir, Listen: a.cfg.NATSListen, Node: a.cfg.Node, Subjects: subjects,
	}, a.log)
	if err != nil {
		return err
	}
	a.server = s
	a.onStop("nats-server", func(context.Context) error {
		s.Stop()
		return nil
	})
	a.log.Info("embedded nats-server", "url", s.URL(), "data", a.cfg.DataDir)
	return nil
}

func (a *App) connect(ctx context.Context) error {
	subjects, err := logSubjects(&a.cfg)
	if err != nil {
		return err
	}
	if a.schemas, err = schema.New(); err != nil {
		return err
	}
	cfg := mesh.Config{
		URLs: a.cfg.NATSURL, Creds: a.cfg.NATSCreds, Node: a.cfg.Node, Role: a.role.String(),
		TLS:      mesh.TLSFiles{CA: a.cfg.NATSCA, Cert: a.cfg.NATSCert, Key: a.cfg.NATSKey},
		Subjects: subjects, Check: a.check, Trace: a.trace, ReadMirror: a.cfg.ReadMirror,
	}
	if a.server != nil {
		cfg.Server = a.server
	}
	if a.mesh, err = mesh.Connect(ctx, cfg, a.log); err != nil {
		return err
	}
	a.metrics.MustRegister(a.mesh.Collectors()...)
	a.onStop("NATS connections", func(context.Context) error {
		a.mesh.Close()
		return nil
	})
	return nil
}

// check says what is wrong with a payload in one error, for the logs.
func (a *App) check(e wire.Envelope) error {
	wrong := a.schemas.Check(e.Type, e.Payload)
	if len(wrong) == 0 {
		return nil
	}
	var errs []error
	for _, w := range wrong {
		errs = append(errs, fmt.Errorf("%s %s", w.Field, w.Message))
	}
	return errors.Join(errs...)
}

func (a *App) startAuth(ctx context.Context) error {
	v := auth.NewDev(a.devProject(), a.cfg.PublishClaim)
	if a.cfg.Auth == "firebase" {
		// The SDK knows its emulator by the environment alone.
		err := os.Setenv("FIREBASE_AUTH_EMULATOR_HOST", a.cfg.EmulatorHost)
		if err != nil {
			return err
		}
		if v, err = auth.NewFirebase(ctx, a.cfg.FirebaseProject, a.cfg.PublishClaim); err != nil {
			return err
		}
		if a.cfg.EmulatorHost != "" {
			a.log.Warn("tokens are those of the Firebase Auth emulator and are not verified", "emulator", a.cfg.EmulatorHost)
		}
	} else {
		a.log.Warn("WS_AUTH=dev: anybody who reaches this port can be anyone", "project", a.devProject())
	}
	a.tokens = auth.NewCache(v, tokenMemory)
	if a.cfg.Topics == "claim" {
		a.tokens.ReadTopics(a.cfg.TopicClaim)
	}
	a.metrics.MustRegister(a.tokens.Collectors()...)
	return nil
}

func (a *App) devProject() string {
	if a.cfg.FirebaseProject != "" {
		return a.cfg.FirebaseProject
	}
	return auth.DevProject
}

// deadPeer is how long a peer that has vanished keeps its connection.
const deadPeer = 90 * time.Second

// startTLS comes before the edge, and so goes on while the edge says its last words.
func (a *App) startTLS(context.Context) error {
	if a.cfg.TLSCert == "" {
		return nil
	}
	port, err := tlsport.New(a.cfg.TLSCert, a.cfg.TLSKey, a.log)
	if err != nil {
		return err
	}
	a.tls = port
	a.metrics.MustRegister(port.Collectors()...)
	a.run("TLS", port.Run)
	return nil
}

func (a *App) startEdge(ctx context.Context) error {
	c := a.cfg
	cfg := edge.Config{
		Node: c.Node, Loops: c.Loops, RingBytes: int(c.RingBytes), ReplayLimit: c.ReplayLimit,
		NoHistory: c.HistorySize == 0, Threshold: c.Threshold, AllowedOrigins: c.AllowedOrigins,
		PingInterval: c.PingInterval, DrainTimeout: c.DrainTimeout, CaughtUp: a.mesh.CaughtUp, Reads: a.mesh,
		Slice: c.Slice, NoDeflate: !c.Deflate, ProxyProtocol: c.ProxyProtocol,
		Limits: limit.Config{Rate: c.ConnectionRate, PerAddressRate: c.AddressRate, PerAddress: c.AddressConnections},
	}
	if a.tls != nil {
		cfg.TLS = a.tls
	}
	if cfg.Loops == 0 {
		cfg.Loops = runtime.GOMAXPROCS(0)
	}
	// One more than the loops may occupy: a loop that works off a broadcast does not
	// give its place up, and the runtime looks for what has come from NATS when one is
	// idle, or every 10 ms.
	if procs := cfg.Loops + 1; runtime.GOMAXPROCS(0) < procs && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(procs)
	}
	cfg.Revoked, cfg.Topics = a.tokens.Revoked(), a.topicRule()
	subjects, err := logSubjects(&c)
	if err != nil {
		return err
	}
	cfg.Trace, cfg.Subjects = a.trace, subjects
	signals := a.mesh.NewSignals()
	cfg.Signals = signals
	e, err := edge.New(cfg, a.tokens, a.mesh, a.log)
	if err != nil {
		return err
	}
	ln, err := netloop.Listen(ctx, c.Addr, deadPeer)
	if err != nil {
		return fmt.Errorf("WS_ADDR %s: %w", c.Addr, err)
	}
	a.onStop("listener", func(context.Context) error { return ln.Close() })
	a.edge = e
	a.addr = net.TCPAddrFromAddrPort(ln.Addr)
	a.metrics.MustRegister(e.Collectors()...)
	a.run("edge", func(ctx context.Context) error { return e.Serve(ctx, ln) })
	a.startControl(e, signals)
	return nil
}

// warmBytes is about what an entry takes in the ring at least: the tail begins
// as many entries in the past as the ring can hold.
const warmBytes = 512

func (a *App) startTail(context.Context) error {
	a.run("tail", func(ctx context.Context) error {
		return a.mesh.Follow(ctx, a.edge, uint64(a.cfg.RingBytes)/warmBytes)
	})
	return nil
}

// startRemembering reads what every history shows before the first is asked for.
func (a *App) startRemembering(context.Context) error {
	a.run("history", func(ctx context.Context) error {
		remembering, cancel := context.WithTimeout(ctx, rememberWait)
		a.mesh.Remember(remembering)
		cancel()
		a.remembered.Store(true)
		<-ctx.Done()
		return nil
	})
	return nil
}

// rememberWait bounds for how long a process is not ready because it still reads what
// every history shows: where broadcasts are rare, that is much of the log. It is read on
// with the first who asks.
const rememberWait = 10 * time.Second

// Ready says why the process should not get traffic; nil if it should.
func (a *App) Ready() error {
	if err := a.mesh.Connected(); err != nil {
		return err
	}
	if a.role.API && a.cfg.HistorySize > 0 && !a.remembered.Load() {
		return errors.New("what every history shows is still being read")
	}
	if a.edge == nil {
		return nil
	}
	if a.edge.Draining() {
		return errors.New("the edge is draining")
	}
	if !a.mesh.CaughtUp() {
		return fmt.Errorf("the tail has not reached the head of the log: %d messages to go", a.mesh.Lag())
	}
	return nil
}

// listen opens a net/http listener for a process without an edge.
func (a *App) listen(ctx context.Context) (net.Listener, error) {
	if a.edge != nil {
		return a.edge.HTTP(a.addr), nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", a.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("WS_ADDR %s: %w", a.cfg.Addr, err)
	}
	a.addr = ln.Addr()
	if a.cfg.ProxyProtocol {
		ln = proxyproto.NewListener(ln)
	}
	if a.tls != nil {
		return tls.NewListener(ln, a.tls.Config()), nil
	}
	return ln, nil
}

// answerTimeout is how long a client may take over a request and its answer: a page of
// history has some megabytes, and networks of phones are slow.
const answerTimeout = time.Minute

// serve runs an HTTP server until it is stopped. An answer that is not taken in time ends
// its connection; 0: it may take any time.
func (a *App) serve(name string, ln net.Listener, h http.Handler, answer time.Duration) {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: answer,
		IdleTimeout: 75 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("%s: %w", name, err)
		}
	}()
	a.onStop(name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			return srv.Close() // a request that does not end
		}
		return nil
	})
}
