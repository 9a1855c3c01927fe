package api

import (
	"compress/gzip"
	"io"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

var (
	named = regexp.MustCompile(`(?:src|href|url)\s*[=:]\s*["']([^"']+)["']`)
	// What a browser would load by itself: the addresses of another host, and styles' urls.
	elsewhere = regexp.MustCompile(`(?i)(?:["'(=]\s*|@import\s+["'])(?:https?:)?//[a-z0-9.-]+`)
	cssURL    = regexp.MustCompile(`url\(\s*["']?([^"')]+)`)
)

// TestDocsAreOurs: every file that the page names is served here, and neither the page
// nor its styles name another host.
func TestDocsAreOurs(t *testing.T) {
	a := newAPI(t, testConfig(), newFakeLog(), nil)
	files := 0
	var visit func(path string)
	seen := map[string]bool{}
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		w := call(t, a, "GET", path, "")
		if w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: %d", path, w.Code)
			return
		}
		files++
		text, typ := w.Body.String(), w.Header().Get("Content-Type")
		switch {
		case strings.HasPrefix(typ, "text/html"), strings.HasSuffix(path, "/docs.js"):
			for _, m := range named.FindAllStringSubmatch(text, -1) {
				if !strings.HasPrefix(m[1], "/") || strings.HasPrefix(m[1], "//") {
					t.Errorf("%s names %s, which is not a path of this server", path, m[1])
					continue
				}
				visit(m[1])
			}
			if found := elsewhere.FindAllString(text, -1); found != nil {
				t.Errorf("%s names %q", path, found)
			}
			if strings.Contains(text, "<script>") || strings.Contains(text, "<style") || regexp.MustCompile(`\son\w+=`).MatchString(text) {
				t.Errorf("%s has a script or style in it, which its policy forbids", path)
			}
		case strings.HasPrefix(typ, "text/css"):
			for _, m := range cssURL.FindAllStringSubmatch(text, -1) {
				if !strings.HasPrefix(m[1], "data:") {
					t.Errorf("%s names %s", path, m[1])
				}
			}
			if strings.Contains(text, "@import") {
				t.Errorf("%s imports another one", path)
			}
		}
	}
	visit("/docs")
	if files != 7 { // the page, the document, and five files
		t.Errorf("%d files: %v", files, seen)
	}
	if len(a.docs) != 6 {
		t.Errorf("%d files are served, 6 are used", len(a.docs))
	}
}

func TestDocsHeaders(t *testing.T) {
	a := newAPI(t, testConfig(), newFakeLog(), nil)
	for _, path := range []string{"/docs", "/docs/swagger-ui-bundle.js"} {
		h := call(t, a, "GET", path, "").Header()
		policy := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "//") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
		if w := call(t, a, "GET", path, "", "If-None-Match: "+h.Get("ETag")); w.Code != 304 || w.Body.Len() > 0 {
			t.Errorf("%s: %d with %d bytes for who has it", path, w.Code, w.Body.Len())
		}
		if w := call(t, a, "GET", path, "", `If-None-Match: "other"`); w.Code != 200 {
			t.Errorf("%s: %d for who has another", path, w.Code)
		}
	}
	if w := call(t, a, "GET", "/docs/../api.go", ""); w.Code == 200 {
		t.Errorf("a file of the program: %d", w.Code)
	}
	for _, path := range []string{"/docs/none.js", "/docs/", "/docs/a/b"} {
		if w := call(t, a, "GET", path, ""); w.Code != 404 || w.Header().Get("Content-Type") != problemType {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// TestDocsCompressed: who takes gzip gets the same text by it, under another tag.
func TestDocsCompressed(t *testing.T) {
	a := newAPI(t, testConfig(), newFakeLog(), nil)
	get := func(encodings string) *httptest.ResponseRecorder {
		return call(t, a, "GET", "/docs/swagger-ui.css", "", "Accept-Encoding: "+encodings)
	}
	plain, zipped := get("identity"), get("br, gzip")
	if plain.Header().Get("Content-Encoding") != "" || zipped.Header().Get("Content-Encoding") != "gzip" || plain.Header().Get("ETag") == zipped.Header().Get("ETag") {
		t.Errorf("plain %v, zipped %v", plain.Header(), zipped.Header())
	}
	if plain.Header().Get("Vary") != "Accept-Encoding" {
		t.Errorf("Vary %q", plain.Header().Get("Vary"))
	}
	r, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil || string(text) != plain.Body.String() || len(text) < 10_000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
