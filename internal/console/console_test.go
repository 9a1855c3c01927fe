package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	h := Handler(Config{Dev: true, Project: "demo-vibemesh", PublishClaim: "publisher", Version: "1.2.3"})
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestFiles(t *testing.T) {
	for path, want := range map[string]struct {
		status    int
		typ, text string
	}{
		"/":                        {200, "text/html; charset=utf-8", "<!doctype html>"},
		"/console/app.js":          {200, "text/javascript; charset=utf-8", "from './connection.js'"},
		"/console/connection.js":   {200, "text/javascript; charset=utf-8", "class Connection"},
		"/console/tokens.js":       {200, "text/javascript; charset=utf-8", "function mintDev"},
		"/console/style.css":       {200, "text/css; charset=utf-8", ":root"},
		"/console/icon.svg":        {200, "image/svg+xml", "<svg"},
		"/console/config.json":     {200, "application/json", `{"dev":true,"project":"demo-vibemesh","publish_claim":"publisher","version":"1.2.3"}`},
		"/console/":                {404, "", ""},
		"/console/page/index.html": {404, "", ""},
		"/index.html":              {404, "", ""},
		"/console/../console.go":   {307, "", ""},
		"/anything":                {404, "", ""},
	} {
		w := get(t, "GET", path)
		if w.Code != want.status && (want.status != 307 || w.Code != 301) {
			t.Errorf("%s: %d", path, w.Code)
			continue
		}
		if want.status == 200 && (w.Header().Get("Content-Type") != want.typ || !strings.Contains(w.Body.String(), want.text)) {
			t.Errorf("%s: %v %.60s", path, w.Header(), w.Body)
		}
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"} {
			if w.Header().Get(name) == "" {
				t.Errorf("%s has no %s", path, name)
			}
		}
	}
	if w := get(t, "POST", "/"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestUnchangedIsNotSentAgain(t *testing.T) {
	tag := get(t, "GET", "/console/app.js").Header().Get("ETag")
	if w := get(t, "GET", "/console/app.js", "If-None-Match: "+tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}

// The policy forbids inline code and foreign assets; the page must not need them.
func TestPageKeepsItsPolicy(t *testing.T) {
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("%s", policy)
	}
	html, css, js := get(t, "GET", "/").Body.String(), get(t, "GET", "/console/style.css").Body.String(), ""
	for _, file := range []string{"app", "connection", "tokens"} {
		js += get(t, "GET", "/console/"+file+".js").Body.String()
	}
	for name, re := range map[string]string{
		"inline handler": `\son[a-z]+\s*=`, "inline style": `\sstyle\s*=`, "inline script": `<script(?:[^>]*[^>]src=)?[^>]*>[^<]+<`, "style element": `<style`,
		"foreign asset": `(?:src|href)="(?:https?:)?//`,
	} {
		if found := regexp.MustCompile(re).FindString(html); found != "" {
			t.Errorf("%s in the page: %s", name, found)
		}
	}
	if found := regexp.MustCompile(`@import|url\(`).FindString(css); found != "" {
		t.Errorf("the style sheet loads %s", found)
	}
	if found := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc`).FindString(js); found != "" {
		t.Errorf("the script makes markup of text: %s", found)
	}
	for _, id := range regexp.MustCompile(`\$\('([a-z_-]+)'\)`).FindAllStringSubmatch(js, -1) {
		if !strings.Contains(html, `id="`+id[1]+`"`) {
			t.Errorf("the script looks for #%s, which the page does not have", id[1])
		}
	}
}
