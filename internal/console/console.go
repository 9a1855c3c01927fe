// Package console is the page at /: sign in, see the connection live, publish,
// and watch what a cut connection gets back. It is three files without a build
// step, and it speaks to the same endpoints as any other client.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"
)

//go:embed page
var page embed.FS

// policy lets the page run its own files and nothing else. Pictures of toasts
// come from anywhere, by https.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// Config is what the page has to know of its server. Nothing in it is a secret.
type Config struct {
	Dev          bool   `json:"dev"`           // the server takes unsigned tokens: the page writes them itself
	Project      string `json:"project"`       // the Firebase project that tokens are for
	PublishClaim string `json:"publish_claim"` // the claim that may publish; empty: anybody signed in
	Version      string `json:"version"`       // of the program
}

// Handler serves / and /console/*, and 404 for every other path.
func Handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	for path, file := range map[string]struct{ name, typ string }{
		"/{$}":                   {"index.html", "text/html; charset=utf-8"},
		"/console/app.js":        {"app.js", "text/javascript; charset=utf-8"},
		"/console/connection.js": {"connection.js", "text/javascript; charset=utf-8"},
		"/console/tokens.js":     {"tokens.js", "text/javascript; charset=utf-8"},
		"/console/style.css":     {"style.css", "text/css; charset=utf-8"},
		"/console/icon.svg":      {"icon.svg", "image/svg+xml"},
	} {
		text, err := page.ReadFile("page/" + file.name)
		if err != nil {
			text = []byte("the page's file " + file.name + " was not built in\n") // TestFiles fails first
		}
		mux.Handle("GET "+path, static(text, file.typ))
	}
	text, err := json.Marshal(cfg)
	if err != nil { // strings and a bool: it cannot be
		text = []byte("{}")
	}
	mux.Handle("GET /console/config.json", static(text, "application/json"))
	return secure(mux)
}

// static serves bytes that change only with the program: browsers keep them and
// ask each time whether they are still the same.
func static(text []byte, typ string) http.Handler {
	sum := sha256.Sum256(text)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", typ)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	})
}

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
