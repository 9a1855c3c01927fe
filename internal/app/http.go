package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/socialvibes/vibemesh/internal/api"
	"github.com/socialvibes/vibemesh/internal/console"
)

func newRegistry(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "vibemesh_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// readiness is what /readyz answers, as a metric.
func (a *App) readiness() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "vibemesh_ready", Help: "1 while /readyz answers 200.",
	}, func() float64 {
		if a.Ready() != nil {
			return 0
		}
		return 1
	})
}

// startHTTP serves the API and the console, as far as the role has them, on the
// port of the sockets.
func (a *App) startHTTP(ctx context.Context) error {
	var served http.Handler
	if a.role.API {
		h, err := api.New(api.Config{
			Secrets: a.cfg.PublishSecret, SecretHeader: a.cfg.PublishHeader,
			HistorySize: a.cfg.HistorySize, AllowedOrigins: a.cfg.AllowedOrigins, Version: a.version, Node: a.cfg.Node,
			PublishRate: a.cfg.PublishRate, PublishBurst: a.cfg.PublishBurst, AccessLog: a.cfg.AccessLog,
			Edges:    a.startOperator(),
			Trace:    a.trace,
			MaxDelay: a.cfg.HistoryAge, // retention removes what waits longer, too
		}, a.tokens, a.mesh, a.mesh, a.schemas, a.log)
		if err != nil {
			return err
		}
		a.metrics.MustRegister(h.Collectors()...)
		a.startLogSize()
		served = h // it knows what to say of an unknown path, too
		page := console.Handler(console.Config{
			Dev: a.cfg.Auth == "dev" || a.cfg.EmulatorHost != "", Project: a.devProject(),
			PublishClaim: a.cfg.PublishClaim, Version: a.version,
		})
		if a.role.Edge { // the page needs both
			served = withUpgrades(a.edge, withPage(page, h))
		}
	} else {
		mux := http.NewServeMux()
		mux.Handle("GET "+socketPath, a.edge)
		served = mux
	}
	ln, err := a.listen(ctx)
	if err != nil {
		return err
	}
	a.serve("HTTP", ln, served, answerTimeout)
	attrs := []any{"addr", a.addr.String(), "edge", a.role.Edge, "api", a.role.API}
	if a.role.Edge && a.role.API {
		attrs = append(attrs, "page", a.scheme()+"://"+a.addr.String()+"/")
	}
	a.log.Info("listening", attrs...)
	return nil
}

const socketPath = "/api/v1/ws"

// withUpgrades leaves to the edge what is to become a socket on a connection that has carried
// other requests, as those of proxies do. On a new one it comes no further than the loops.
func withUpgrades(edge, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == socketPath && r.Method == http.MethodGet && r.Header.Get("Upgrade") != "" {
			edge.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// withPage leaves / and what is below /console/ to the page. A ServeMux would also redirect
// paths that are not clean, which is for the rest to judge.
func withPage(page, rest http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" || strings.HasPrefix(r.URL.Path, "/console/") {
			page.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

func (a *App) scheme() string {
	if a.tls != nil {
		return "https"
	}
	return "http"
}

// startOps serves what operators look at.
func (a *App) startOps(ctx context.Context) error {
	if a.cfg.OpsAddr == "" {
		return nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", a.cfg.OpsAddr)
	if err != nil {
		return fmt.Errorf("WS_OPS_ADDR %s: %w", a.cfg.OpsAddr, err)
	}
	a.ops = ln.Addr()
	a.metrics.MustRegister(a.readiness())
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{Registry: a.metrics, EnableOpenMetrics: true}))
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := a.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	a.serve("ops", ln, mux, 0) // a profile takes as long as it is asked to
	a.log.Info("ops", "addr", a.ops.String())
	return nil
}
