package api

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/trace"
)

// caller is who asks, as rates, metrics and logs tell callers apart.
type caller struct {
	principal principal
	secret    int // the number of the shared secret, from 1; 0: not by one
}

// kind is what a metric may say of a caller.
func (c caller) kind() string {
	switch {
	case c.secret > 0:
		return "secret"
	case c.principal != "":
		return "token"
	}
	return "none"
}

// name is what the log may say: which secret, but not which person.
func (c caller) name() string {
	if c.secret > 0 {
		return secretPrefix + strconv.Itoa(c.secret)
	}
	return c.kind()
}

const secretPrefix = "secret-"

// isSecret reports whether a bucket is that of a secret, of which there are few.
func isSecret(bucket string) bool { return strings.HasPrefix(bucket, secretPrefix) }

// bucket tells callers apart for their rates. No person's principal looks like a secret's.
func (c caller) bucket() string {
	if c.secret > 0 {
		return c.name()
	}
	return string(c.principal)
}

// seen is what the log says of a request: its id, and what a handler finds out about it.
type seen struct {
	id     string
	caller caller
}

type seenKey struct{}

func withSeen(ctx context.Context, id string) (context.Context, *seen) {
	s := &seen{id: id}
	return context.WithValue(ctx, seenKey{}, s), s
}

// note tells the log who asks.
func note(r *http.Request, c caller) {
	if s, ok := r.Context().Value(seenKey{}).(*seen); ok {
		s.caller = c
	}
}

// logOf is the log of what goes wrong in a request: its lines name the request by the id
// that the caller has, whether or not requests are logged.
func (a *API) logOf(ctx context.Context) *slog.Logger {
	log := a.log
	if s, ok := ctx.Value(seenKey{}).(*seen); ok {
		log = log.With("request_id", s.id)
	}
	if id := trace.ID(ctx); id != "" {
		log = log.With("trace_id", id)
	}
	return log
}

// methods are those that a log or a metric may repeat: any other is a client's own text.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
	http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
}

// logRequest writes the line of a request that has been answered. It has the route and not
// the URL, whose query may hold a token, and no header but the request's id.
func (a *API) logRequest(r *http.Request, route, id string, w *answer, who caller, took time.Duration) {
	level := slog.LevelDebug
	if a.cfg.AccessLog {
		level = slog.LevelInfo
	}
	method := r.Method
	if !slices.Contains(methods, method) {
		method = "other"
	}
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("route", route), slog.Int("status", w.status), slog.Int64("bytes", w.bytes),
		slog.Duration("took", took), slog.String("request_id", id), slog.String("caller", who.name()), slog.String("client", r.RemoteAddr),
	}
	if id := trace.ID(r.Context()); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	a.log.LogAttrs(r.Context(), level, "request", attrs...)
}
