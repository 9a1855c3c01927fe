package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const requestIDHeader = "X-Request-Id"

var (
	requestID  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110, 5.6.2
)

type metrics struct {
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	published *prometheus.CounterVec
	limited   *prometheus.CounterVec
}

func newMetrics() metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vibemesh_api_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "vibemesh_api_request_seconds", Help: "Time from a request's header to the end of its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vibemesh_api_published_total", Help: "Messages the log acknowledged as new, by kind of audience.",
		}, []string{"audience"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vibemesh_api_rate_limited_total", Help: "Publishes refused since their publisher sends too much, by how it shows who it is.",
		}, []string{"publisher"}),
	}
	for _, kind := range []string{"secret", "token"} {
		m.limited.WithLabelValues(kind)
	}
	return m
}

func (m metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.seconds, m.published, m.limited}
}

func (m metrics) count(msgs []wire.Message, receipts []wire.Receipt) {
	for i, r := range receipts {
		if !r.Duplicate {
			kind, _, _ := strings.Cut(msgs[i].Audience.To(), ":")
			m.published.WithLabelValues(kind).Inc()
		}
	}
}

// took counts a request's time; one of a sampled trace is an example of it.
func (m metrics) took(route string, d time.Duration, traceID string) {
	h := m.seconds.WithLabelValues(route)
	if e, ok := h.(prometheus.ExemplarObserver); ok && traceID != "" {
		e.ObserveWithExemplar(d.Seconds(), prometheus.Labels{"trace_id": traceID})
		return
	}
	h.Observe(d.Seconds())
}

// answer watches what a handler writes.
type answer struct {
	http.ResponseWriter
	status int   // 0 until the header is written
	bytes  int64 // of the body
}

func (w *answer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *answer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// observe is outermost: it names the request, sets what every answer has, and counts.
func (a *API) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		start, w := time.Now(), &answer{ResponseWriter: rw}
		id := r.Header.Get(requestIDHeader)
		if !requestID.MatchString(id) {
			id = rand.Text()
		}
		h := w.Header()
		h.Set(requestIDHeader, id)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		ctx, seen := withSeen(r.Context(), id)
		ctx, span := a.cfg.Trace.Request(ctx, r.Header)
		r = r.WithContext(ctx)
		defer func() {
			route, took := a.routeOf(r), time.Since(start)
			a.metrics.requests.WithLabelValues(route, strconv.Itoa(w.status)).Inc()
			a.metrics.took(route, took, trace.ID(ctx))
			span.End(r.Method, route, w.status)
			a.logRequest(r, route, id, w, seen.caller, took)
		}()
		next.ServeHTTP(w, r)
	})
}

// routeOf is the route's path for metrics and logs: never what a client made up.
func (a *API) routeOf(r *http.Request) string {
	_, pattern := a.mux.match(r)
	if _, path, ok := strings.Cut(pattern, " "); ok {
		return path
	}
	return "other"
}

// recover turns a panic into a 500 that tells nothing of it; the log has it all.
func (a *API) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			sent := w.(*answer).status != 0
			if sent && r.Context().Err() != nil {
				panic(http.ErrAbortHandler) // Huma panics when the client is gone while it writes
			}
			id := w.Header().Get(requestIDHeader)
			a.log.Error("panic in a request", "route", a.routeOf(r), "panic", v, "request_id", id, "stack", string(debug.Stack()))
			if sent {
				panic(http.ErrAbortHandler) // half an answer must not look like a whole one
			}
			internal(id).write(w)
		}()
		next.ServeHTTP(w, r)
	})
}

func internal(id string) *Problem {
	return problem(http.StatusInternalServerError, "Something went wrong here. The log knows more: look for request "+id+".")
}

// limitTime bounds a request, the reading of its body included.
func (a *API) limitTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		// A recorder in a test has no deadlines; a connection has.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTimeout))
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// cors lets pages of the allowed origins read answers, and answers their
// preflights. Nobody is signed in by cookie, so a page that is not allowed can do
// nothing here that any other program could not.
func (a *API) cors(next http.Handler) http.Handler {
	headers := "Authorization, Content-Type, Idempotency-Key, " + a.cfg.SecretHeader + ", " + requestIDHeader +
		", " + wire.HeaderTraceparent + ", " + wire.HeaderTracestate
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, h := r.Header.Get("Origin"), w.Header()
		preflight := origin != "" && r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		if len(a.origins) > 0 {
			h.Add("Vary", "Origin")
		}
		allowed := origin != "" && (a.origins["*"] || a.origins[strings.ToLower(origin)])
		if allowed {
			if a.origins["*"] {
				origin = "*"
			}
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", requestIDHeader+", Retry-After, WWW-Authenticate")
		}
		if !preflight {
			next.ServeHTTP(w, r)
			return
		}
		if allowed {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", headers)
			h.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
