// Package api is the REST side of Vibemesh: publishing and history, below
// /api/v1, and their OpenAPI description at /openapi.json and, to read, at /docs.
//
// Huma routes, writes answers and describes; the bodies are read and checked
// here, so that one answer names every wrong field, whether the body's structure
// or an event's JSON Schema found it. An error is an RFC 9457 problem document.
package api

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/schema"
	"github.com/socialvibes/vibemesh/internal/trace"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// DefaultSecretHeader carries the shared secret unless Config says otherwise.
const DefaultSecretHeader = "X-SV-KEY"

const (
	requestTimeout = 10 * time.Second // a whole request, its body included
	publishTimeout = 5 * time.Second  // from the first message sent to the last acknowledged
	retryAfter     = "2"              // seconds, with every 503
)

// Publisher stores messages. It returns one receipt a message, in their order,
// after the log has acknowledged all of them. Its error wraps wire.ErrUnavailable
// when the log is out of reach; it is then not known whether they are stored.
type Publisher interface {
	Publish(ctx context.Context, msgs []wire.Message) ([]wire.Receipt, error)
	Scheduler
}

// History reads at most limit stored entries of some audiences, newest first, older
// than before if that is given. Its error wraps wire.ErrForeignEvent when before is
// not of this log, wire.ErrUnavailable when the log is out of reach.
type History interface {
	Newest(ctx context.Context, audiences []wire.Audience, before *wire.EventID, limit int) ([]wire.Entry, error)
	ReadStates
}

// Config is what an operator chooses.
type Config struct {
	Secrets        []string // shared secrets that may publish; none: only tokens may
	SecretHeader   string   // empty: DefaultSecretHeader
	HistorySize    int      // most events of one history page; 0: the history is off
	AllowedOrigins []string // such as "https://app.example.com", or "*"; none: same origin only
	Version        string   // of the program, shown in the OpenAPI document
	Node           string   // this process, shown in the status

	PublishRate  float64 // messages a second of one publisher: a secret, or a person; 0: no limit
	PublishBurst int     // of them at once; 0: what comes in a second, at least what one request may hold
	AccessLog    bool    // each request is logged as information, not for debugging

	Edges    Edges           // nil: there is no presence, disconnect or revoke
	Trace    *trace.Recorder // of requests; nil: none
	MaxDelay time.Duration   // how far ahead a message can be scheduled; 0, and at most: a year
}

// API is the handler of /api/v1, /openapi.json and /docs.
type API struct {
	cfg     Config
	secrets [][sha256.Size]byte
	origins map[string]bool
	verify  auth.Verifier
	publish Publisher
	history History
	reading chan struct{} // one for each history that is being read
	edges   Edges
	schemas *schema.Registry
	toast   toastFields
	rates   *rates
	log     *slog.Logger
	metrics metrics
	docs    docs
	mux     *routes
	openapi []byte
	handler http.Handler
}

// routes keeps what is registered, so that a test can hold the document against it.
type routes struct {
	*http.ServeMux
	patterns []string
}

// HandleFunc implements humago.Mux.
func (m *routes) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, handler)
}

// match is ServeMux's Handler, but for paths such as /a//b, which that redirects: there is
// nothing at them.
func (m *routes) match(r *http.Request) (h http.Handler, pattern string) {
	if path.Clean(r.URL.Path) != r.URL.Path {
		return http.NotFoundHandler(), ""
	}
	return m.Handler(r)
}

// New builds the handler. Its error says which field of cfg to change.
func New(cfg Config, v auth.Verifier, p Publisher, h History, schemas *schema.Registry, log *slog.Logger) (*API, error) {
	a := &API{
		cfg: cfg, verify: v, publish: p, history: h, reading: make(chan struct{}, maxReading), edges: cfg.Edges, schemas: schemas, log: log,
		metrics: newMetrics(), mux: &routes{ServeMux: http.NewServeMux()}, origins: make(map[string]bool),
	}
	if err := a.configure(); err != nil {
		return nil, err
	}
	toast, err := newToastFields(schemas.JSON(wire.TypeToast))
	if err != nil {
		return nil, err
	}
	a.toast = toast
	if a.docs, err = builtIn(); err != nil {
		return nil, err
	}
	if err := a.serve(); err != nil {
		return nil, err
	}
	a.handler = a.observe(a.recover(a.cors(a.limitTime(http.HandlerFunc(a.route)))))
	return a, nil
}

func (a *API) configure() error {
	if a.cfg.SecretHeader == "" {
		a.cfg.SecretHeader = DefaultSecretHeader
	}
	if !headerName.MatchString(a.cfg.SecretHeader) {
		return fmt.Errorf("api: the publish header %q is not the name of an HTTP header; use one such as %s", a.cfg.SecretHeader, DefaultSecretHeader)
	}
	for _, s := range a.cfg.Secrets {
		if strings.TrimSpace(s) != s || s == "" {
			return fmt.Errorf("api: a publish secret is empty or has spaces around it; remove them")
		}
		a.secrets = append(a.secrets, sha256.Sum256([]byte(s)))
	}
	if a.cfg.PublishRate < 0 || a.cfg.PublishBurst < 0 {
		return fmt.Errorf("api: the publish rate is %v and the burst %d; use 0 for no limit", a.cfg.PublishRate, a.cfg.PublishBurst)
	}
	a.rates = newRates(a.cfg.PublishRate, a.cfg.PublishBurst)
	if a.cfg.HistorySize < 0 {
		return fmt.Errorf("api: the history size is %d; use 0 to switch the history off", a.cfg.HistorySize)
	}
	for _, o := range a.cfg.AllowedOrigins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || o != u.Scheme+"://"+u.Host) {
			return fmt.Errorf("api: the allowed origin %q is not one; use * or scheme and host, such as https://app.example.com", o)
		}
		a.origins[strings.ToLower(o)] = true
	}
	return nil
}

// ServeHTTP answers requests for paths below /api/v1 and /docs and for /openapi.json;
// any other path is a 404 problem document.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// Collectors are the metrics of this package, to be registered by the program.
func (a *API) Collectors() []prometheus.Collector { return a.metrics.all() }

// serve registers every route and writes the document of them.
func (a *API) serve() error {
	doc := &huma.OpenAPI{OpenAPI: "3.1.0"}
	json := map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	h := humago.New(a.mux, huma.Config{OpenAPI: doc, Formats: json, DefaultFormat: "application/json"})
	if err := a.describe(doc); err != nil {
		return err
	}
	register(h, a.toastOperation(), a.postToast)
	register(h, a.eventsOperation(), a.postEvents)
	register(h, a.getScheduleOperation(doc), a.getSchedule)
	register(h, a.deleteScheduleOperation(), a.deleteSchedule)
	register(h, a.historyOperation(doc), a.getHistory)
	register(h, a.readOperation(doc), a.postRead)
	a.registerControl(h, doc)
	a.registerPlain(doc)
	// Huma registers its own error model with each operation; ours are Problems.
	delete(doc.Components.Schemas.Map(), "ErrorModel")
	delete(doc.Components.Schemas.Map(), "ErrorDetail")
	openAnswers(doc.Components.Schemas.Map())
	text, err := doc.MarshalJSON()
	if err != nil {
		return fmt.Errorf("api: writing the OpenAPI document: %w", err)
	}
	a.openapi = text
	return nil
}

// openAnswers lets answers have more fields than they have today: a client that is made of
// the document shall not break when one is added. Those are the schemas that Huma made of
// types; what a request may have is said by hand, and is all that is taken.
func openAnswers(schemas map[string]*huma.Schema) {
	for _, s := range schemas {
		s.AdditionalProperties = nil
	}
}

// register adds an operation. Huma would read and check a body that it knows of,
// so it is told of it for the document only.
func register[O any](h huma.API, op huma.Operation, handler func(context.Context, *request) (*O, error)) {
	body := op.RequestBody
	op.RequestBody = nil
	huma.Register(h, op, handler)
	if body != nil {
		h.OpenAPI().Paths[op.Path].Post.RequestBody = body
	}
}

// route finds the handler of a request. ServeMux's own answers to unknown paths
// and wrong methods are plain text; ours are problem documents.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	h, pattern := a.mux.match(r)
	if pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	probe := discard{header: make(http.Header)}
	h.ServeHTTP(&probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		problem(http.StatusNotFound, "There is nothing at this path. /openapi.json lists what there is.").write(w)
		return
	}
	p := problem(http.StatusMethodNotAllowed, "This path answers "+probe.header.Get("Allow")+" only.")
	p.with("Allow", probe.header.Get("Allow")).write(w)
}

// request is the input of every operation: checked by its handler, not by Huma.
type request struct{ r *http.Request }

// Resolve keeps the request for the handler.
func (q *request) Resolve(ctx huma.Context) []error {
	q.r, _ = humago.Unwrap(ctx)
	return nil
}

// discard keeps the status and header of an answer that is not sent.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
