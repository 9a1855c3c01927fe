package api

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	swaggerui "github.com/swaggest/swgui/v5/static"
)

//go:embed page
var page embed.FS

// docsPolicy lets the page of /docs run its own files and ask this server, and nothing
// else. Swagger UI draws its icons as data URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is a file of /docs, which changes only with the program.
type asset struct {
	typ     string
	plain   []byte
	gzipped []byte // nil: it is not worth it
	tag     string
}

// docs are the page of /docs, under the name "", and its files.
type docs map[string]asset

// builtIn are the files, unpacked once for all APIs of a process.
var builtIn = sync.OnceValues(readDocs)

// readDocs reads the files that were built in.
func readDocs() (docs, error) {
	d := docs{}
	for _, f := range []struct{ name, file, typ string }{
		{"", "page/docs.html", "text/html; charset=utf-8"},
		{"docs.js", "page/docs.js", "text/javascript; charset=utf-8"},
		{"docs.css", "page/docs.css", "text/css; charset=utf-8"},
		{"swagger-ui-bundle.js", "swagger-ui-bundle.js.gz", "text/javascript; charset=utf-8"},
		{"swagger-ui.css", "swagger-ui.css.gz", "text/css; charset=utf-8"},
		{"favicon-32x32.png", "favicon-32x32.png", "image/png"},
	} {
		from := swaggerui.FS
		if strings.HasPrefix(f.file, "page/") {
			from = page
		}
		text, err := from.ReadFile(f.file)
		if err != nil {
			return nil, fmt.Errorf("api: a file of /docs: %w", err)
		}
		a := asset{typ: f.typ, plain: text}
		if strings.HasSuffix(f.file, ".gz") {
			a.gzipped = text
			if a.plain, err = gunzip(text); err != nil {
				return nil, fmt.Errorf("api: %s: %w", f.file, err)
			}
		}
		sum := sha256.Sum256(a.plain)
		a.tag = base64.RawURLEncoding.EncodeToString(sum[:12])
		d[f.name] = a
	}
	return d, nil
}

func gunzip(text []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// getDocs answers the page and its files.
func (a *API) getDocs(w http.ResponseWriter, r *http.Request) {
	file, ok := a.docs[r.PathValue("file")]
	if !ok {
		problem(http.StatusNotFound, "There is no such file. /docs is the page.").write(w)
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // kept, and asked for each time whether it is still the same
	h.Add("Vary", "Accept-Encoding")
	text, tag := file.plain, `"`+file.tag+`"`
	if file.gzipped != nil && acceptsGzip(r) {
		text, tag = file.gzipped, `"`+file.tag+`-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", file.typ)
	w.Write(text) //nolint:errcheck // the client is gone
}

// acceptsGzip: every browser says just "gzip"; who weighs encodings gets plain text.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if strings.TrimSpace(part) == "gzip" {
			return true
		}
	}
	return false
}
