package openapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// session asks one running program for all that it can be asked for.
type session struct {
	*record
	run                  *server
	secret, backend, ada string // headers
}

func (s *session) ask(method, path, body string, status int, headers ...string) exchange {
	s.t.Helper()
	return s.call(s.run.url, method, "/api/v1/ws/"+path, body, headers...).is(s.t, status)
}

// field reads a text out of an answer.
func field(t testing.TB, x exchange, name string) string {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(x.answer, &o); err != nil {
		t.Fatalf("%s: %v", x.answer, err)
	}
	return fmt.Sprint(o[name])
}

const tooLong = wire.MaxEnvelope + 1

// publish goes through toasts, events and what waits for its time.
func (s *session) publish() {
	const whole = `{"title":"a","teaser":"b","description":"c","image_url":"https://a.example/b.png","action_url":"sv://x","action_label":"d",` +
		`"to":{"user":"ada"},"ttl":3600,"collapse":"order-7","deliver_at":"2020-01-01T00:00:00Z"}`
	s.ask("POST", "toast", whole, 201, s.secret, "Idempotency-Key: k-1")
	if x := s.ask("POST", "toast", whole, 201, s.secret, "Idempotency-Key: k-1"); field(s.t, x, "duplicate") != "true" {
		s.t.Errorf("the same key stored again: %s", x.answer)
	}
	const nulls = `{"title":"a","teaser":null,"description":null,"image_url":null,"action_url":null,"action_label":null`
	s.ask("POST", "toast", nulls+`,"to":{"users":["ada","bob"]}}`, 201, s.backend)
	s.ask("POST", "events", `{"events":[{"type":"toast","payload":`+nulls+`}}]}`, 201, s.secret)
	s.ask("POST", "toast", `{"title":"a","to":{"topic":"club"}}`, 201, s.secret, "X-Request-Id: mine-1")
	s.ask("POST", "toast", `{"title":"a"}`, 201, s.secret)
	s.ask("POST", "events", `{"events":[{"type":"toast","payload":{"title":"a","teaser":"b","description":"c","image_url":"https://a.example/b.png","action_url":"sv://x","action_label":"d"},"to":{"user":"ada"},"ttl":60,"collapse":"k","deliver_at":"2020-01-01T00:00:00Z"},`+
		`{"type":"offer.made","payload":{"any":["thing"]},"to":{"users":["ada"]}},{"type":"x","payload":{},"to":{"topic":"club"}},{"type":"x","payload":{}}]}`, 201, s.secret, "Idempotency-Key: k-2")
	s.ask("POST", "events", `{"events":[{"type":"x","payload":{}}]}`, 201, s.backend)

	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	at := s.ask("POST", "toast", `{"title":"a","deliver_at":"`+later+`"}`, 201, s.secret)
	path := "schedule/" + field(s.t, at, "id")
	if got := field(s.t, s.ask("GET", path, "", 200, s.secret), "deliver_at"); got != later {
		s.t.Errorf("waits until %s, want %s", got, later)
	}
	s.ask("GET", path, "", 200, s.backend)
	s.ask("DELETE", path, "", 204, s.secret)
	again := s.ask("POST", "toast", `{"title":"a","deliver_at":"`+later+`"}`, 201, s.secret)
	s.ask("DELETE", "schedule/"+field(s.t, again, "id"), "", 204, s.backend)
	for _, method := range []string{"GET", "DELETE"} {
		s.ask(method, path, "", 404, s.secret)
		s.ask(method, path, "", 401)
		s.ask(method, path, "", 403, s.ada)
	}
	for _, path := range []string{"toast", "events"} {
		s.ask("POST", path, `{}`, 401)
		s.ask("POST", path, `{}`, 401, "Authorization: Bearer a.b.c")
		s.ask("POST", path, `{}`, 403, s.ada)
		s.ask("POST", path, `{`, 400, s.secret)
		s.ask("POST", path, strings.Repeat(" ", tooLong), 413, s.secret)
		s.ask("POST", path, `{"wrong":7}`, 422, s.secret)
	}
	s.ask("POST", "toast", `{"title":""}`, 422, s.secret, "Idempotency-Key: a b")

	// The other secret spends what it may, and has to wait; the first one has not to.
	var users []string
	for i := range 60 {
		users = append(users, fmt.Sprintf(`"u%d"`, i))
	}
	spent := "X-SV-KEY: " + spentSecret
	s.ask("POST", "toast", `{"title":"a","to":{"users":[`+strings.Join(users, ",")+`]}}`, 201, spent)
	s.ask("POST", "toast", `{"title":"a"}`, 429, spent)
	s.ask("POST", "events", `{"events":[{"type":"x","payload":{}}]}`, 429, spent)
	s.ask("POST", "toast", `{"title":"a"}`, 201, s.secret)
}

// people goes through history and what is read.
func (s *session) people() {
	page := s.ask("GET", "history?limit=2", "", 200, s.ada)
	before := field(s.t, page, "next")
	rest := s.ask("GET", "history?before="+before+"&"+strings.ReplaceAll(s.ada, "Authorization: Bearer ", "token="), "", 200)
	s.ask("GET", "history", "", 401)
	s.ask("GET", "history?limit=0", "", 422, s.ada)
	var events struct{ Events []struct{ ID string } }
	if err := json.Unmarshal(rest.answer, &events); err != nil || len(events.Events) < 3 {
		s.t.Fatalf("%v: %s", err, rest.answer)
	}
	one, two, three := events.Events[0].ID, events.Events[1].ID, events.Events[2].ID
	s.ask("POST", "read", `{"up_to":"`+two+`","read":["`+one+`"],"unread":["`+three+`"],"at":`+fmt.Sprint(time.Now().UnixMilli())+`}`, 200, s.ada)
	s.ask("POST", "read", `{"all":true}`, 200, s.backend)
	s.ask("POST", "read?"+strings.ReplaceAll(s.ada, "Authorization: Bearer ", "token="), `{}`, 200)
	s.ask("POST", "read", `{`, 400, s.ada)
	s.ask("POST", "read", `{}`, 401)
	s.ask("POST", "read", strings.Repeat(" ", tooLong), 413, s.ada)
	s.ask("POST", "read", `{"at":"now"}`, 422, s.ada)
}

// control goes through what is asked of the edges, with somebody who is there.
func (s *session) control() {
	t := s.t.(*testing.T)
	c, err := client.Dial(t.Context(), client.Options{URL: s.run.url, Token: strings.TrimPrefix(s.ada, "Authorization: Bearer "), Topics: []string{"club"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(wire.CloseNormal)
	eventually(t, "seen by all edges", func() bool {
		x := s.ask("GET", "presence?user=ada", "", 200, s.secret)
		return field(t, x, "online") == "true" && field(t, x, "complete") == "true"
	})
	s.ask("GET", "presence?user=ada&user=bob", "", 200, s.backend)
	s.ask("GET", "presence?topic=club", "", 200, s.secret)
	s.ask("GET", "presence?user=ada&"+strings.ReplaceAll(s.ada, "Authorization: Bearer ", "token="), "", 200)
	s.ask("GET", "presence?user=ada", "", 401)
	s.ask("GET", "presence?user=bob", "", 403, s.ada)
	s.ask("GET", "presence?who=bob", "", 422, s.secret)

	s.ask("GET", "status", "", 200, s.secret)
	s.ask("GET", "status", "", 200, s.backend)
	s.ask("GET", "status", "", 401, "X-SV-KEY: guessed")
	s.ask("GET", "status", "", 403, s.ada)

	s.ask("POST", "disconnect", `{"user":"ada","reason":"spam"}`, 200, s.secret)
	s.ask("POST", "disconnect", `{"user":"ada"}`, 200, s.backend)
	s.ask("POST", "revoke", `{"user":"eve","before":"2026-01-01T00:00:00Z"}`, 200, s.secret)
	s.ask("POST", "revoke", `{"user":"eve","before":1700000000.5}`, 200, s.backend)
	for _, path := range []string{"disconnect", "revoke"} {
		s.ask("POST", path, `{}`, 401)
		s.ask("POST", path, `{}`, 403, s.ada)
		s.ask("POST", path, `{`, 400, s.secret)
		s.ask("POST", path, strings.Repeat(" ", tooLong), 413, s.secret)
		s.ask("POST", path, `{"user":7,"reason":8,"before":false}`, 422, s.secret)
	}
}

// about goes through the document, its page, and the socket's path.
func (s *session) about() {
	files := []string{"/docs"}
	for _, file := range []string{"docs.css", "docs.js", "favicon-32x32.png", "swagger-ui-bundle.js", "swagger-ui.css"} {
		files = append(files, "/docs/"+file)
	}
	for _, path := range files {
		x := s.call(s.run.url, "GET", path, "").is(s.t, 200)
		s.call(s.run.url, "GET", path, "", "If-None-Match: "+x.header.Get("ETag")).is(s.t, 304)
	}
	s.call(s.run.url, "GET", "/docs/none.js", "").is(s.t, 404)
	s.call(s.run.url, "GET", "/asyncapi.json", "").is(s.t, 200)
	s.call(s.run.url, "HEAD", "/openapi.json", "").is(s.t, 200)

	s.call(s.run.url, "GET", "/api/v1/ws", "").is(s.t, 426)
	ada := strings.TrimPrefix(s.ada, "Authorization: Bearer ")
	upgrade := []string{"Host: " + s.run.addr, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	v13 := append(upgrade, "Sec-WebSocket-Version: 13") //nolint:gocritic // a longer one
	const get = "GET /api/v1/ws"
	s.raw(s.run.addr, append([]string{get + "?replay=5&topics=club&unread=1&signals=1&token=" + ada + " HTTP/1.1"}, v13...)...).is(s.t, 101)
	s.raw(s.run.addr, append([]string{get + "?cursor=none HTTP/1.1", s.ada}, v13...)...).is(s.t, 101)
	s.raw(s.run.addr, append([]string{get + " HTTP/1.1", "Origin: https://elsewhere.example"}, v13...)...).is(s.t, 403)
	s.raw(s.run.addr, append([]string{get + " HTTP/1.1", "Sec-WebSocket-Version: 8"}, upgrade...)...).is(s.t, 426)
	s.raw(s.run.addr, append([]string{get + " HTTP/1.1", "Sec-WebSocket-Version: 13"}, upgrade[:3]...)...).is(s.t, 400)
}

// undocumented asks for each path by every other method, and for paths that are not there.
func (s *session) undocumented(doc *document) {
	for path, methods := range object(doc.raw["paths"]) {
		path = strings.NewReplacer("{id}", "0-mi8kq1z2-2s", "{file}", "docs.js").Replace(path)
		for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"} {
			if object(methods)[strings.ToLower(method)] == nil {
				s.call(s.run.url, method, path, "", s.secret).is(s.t, http.StatusMethodNotAllowed)
			}
		}
		for _, beside := range []string{"/", "/more", "x"} {
			if path+beside != "/docs/" || beside == "/" {
				s.call(s.run.url, "GET", strings.TrimSuffix(path, "/")+beside, "", s.secret)
			}
		}
	}
	for _, path := range []string{"/api", "/api/", "/api/v1", "/api/v1/ws/", "/api/v2/ws", "/api/v1/ws/schedule", "/openapi.yaml", "/api/v1//ws/status", "/api/v1/ws/./status"} {
		s.call(s.run.url, "GET", path, "", s.secret).is(s.t, http.StatusNotFound)
	}
}

// crowded is an edge that lets nobody in any more.
func crowded(r *record) {
	t := r.t.(*testing.T)
	upgrade := func(addr string) exchange {
		return r.raw(addr, "GET /api/v1/ws?token="+token(t, "ada", false)+" HTTP/1.1", "Host: "+addr, "Connection: Upgrade", "Upgrade: websocket",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
	}
	full := start(t, "run", "WS_CONNECTION_THRESHOLD=1")
	for status, n := 0, 0; status != http.StatusServiceUnavailable; n++ {
		if status = upgrade(full.addr).status; n > 10 {
			t.Fatalf("no 503 after %d sessions", n)
		}
	}
	busy := start(t, "run", "WS_CONNECTION_RATE=1")
	for status, n := 0, 0; status != http.StatusTooManyRequests; n++ {
		if status = upgrade(busy.addr).status; n > 10 {
			t.Fatalf("no 429 after %d connections", n)
		}
	}
}
