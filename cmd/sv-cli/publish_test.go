package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDelivery: when, for how long and in place of what; the clock stands at
// 2025-11-24T16:00:00Z.
func TestDelivery(t *testing.T) {
	const waiting = `[{"id":"0-a-2","seq":2,"subject":"sv.ws.user.ada","duplicate":false,"deliver_at":"2025-11-24T16:10:00Z"}]`
	for _, tc := range []struct{ args, uri, body string }{
		{"toast --title=x --ttl=90m --collapse=order:7 --at=10m", "/api/v1/ws/toast", `{"title":"x","ttl":5400,"collapse":"order:7","deliver_at":"2025-11-24T16:10:00Z"}`},
		{"toast --title=x --ttl=60 --at=2031-05-01T09:00:00.5+02:00", "/api/v1/ws/toast", `{"title":"x","ttl":60,"deliver_at":"2031-05-01T09:00:00.5+02:00"}`},
		{"toast --title=x --at=+2h", "/api/v1/ws/toast", `{"title":"x","deliver_at":"2025-11-24T18:00:00Z"}`},
		{"schedule --title=x --teaser=y --at=2h --user=ada", "/api/v1/ws/toast", `{"title":"x","teaser":"y","to":{"user":"ada"},"deliver_at":"2025-11-24T18:00:00Z"}`},
		{"toast --title=x --at=2001-05-01T09:00:00Z", "/api/v1/ws/toast", `{"title":"x","deliver_at":"2001-05-01T09:00:00Z"}`},
		{"event --type=a.b", "/api/v1/ws/events", `{"events":[{"type":"a.b","payload":{}}]}`},
		{
			`event --type=a.b --payload={"x":"<1>"} --user=ada --user=bob --ttl=1s --at=10m`, "/api/v1/ws/events",
			`{"events":[{"type":"a.b","payload":{"x":"<1>"},"to":{"users":["ada","bob"]},"ttl":1,"deliver_at":"2025-11-24T16:10:00Z"}]}`,
		},
		{"event --type=a.b --topic=chess", "/api/v1/ws/events", `{"events":[{"type":"a.b","payload":{},"to":{"topic":"chess"}}]}`},
	} {
		a := newAPI(t, 201, "application/json", waiting)
		got := sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, append(strings.Fields(tc.args), "--idempotency-key=k")...)
		if got.code != 0 || got.stdout != "0-a-2 waits until 2025-11-24 16:10:00, for sv.ws.user.ada\n" {
			t.Errorf("%s: %+v", tc.args, got)
		}
		want := []string{"POST", tc.uri, tc.body, "k", "s"}
		if d := cmp.Diff(want, []string{a.method, a.uri, a.body, a.header.Get("Idempotency-Key"), a.header.Get("X-SV-KEY")}); d != "" {
			t.Errorf("%s: %s", tc.args, d)
		}
	}
}

func TestDeliveredAlready(t *testing.T) {
	a := newAPI(t, 201, "application/json", `{"id":"0-a-2","seq":2,"subject":"sv.ws.broadcast","duplicate":false,"deliver_at":"2001-01-01T00:00:00Z"}`)
	got := sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, "toast", "--title=x", "--at=2001-01-01T00:00:00Z")
	if got.code != 0 || got.stdout != "stored 0-a-2 as number 2 of the log, on sv.ws.broadcast\n" {
		t.Errorf("%+v", got)
	}
}

func TestCancel(t *testing.T) {
	a := newAPI(t, 204, "", "")
	env := map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}
	got := sv(t, env, "cancel", "0-a-2")
	if got.code != 0 || got.stdout != "cancelled 0-a-2: nobody receives it\n" {
		t.Errorf("%+v", got)
	}
	if a.method != "DELETE" || a.uri != "/api/v1/ws/schedule/0-a-2" || a.header.Get("X-SV-KEY") != "s" || a.body != "" {
		t.Errorf("%s %s %v %q", a.method, a.uri, a.header, a.body)
	}
	if got = sv(t, env, "cancel", "0-a-2", "--json"); got.stdout != `{"cancelled":"0-a-2"}`+"\n" {
		t.Errorf("%+v", got)
	}
	a = newAPI(t, 404, "application/problem+json",
		`{"type":"https://socialvibes.dev/problems/not-found","title":"Not Found","status":404,"detail":"Nothing waits under this id."}`)
	got = sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, "cancel", "0-a-2")
	if got.code != exitRefused || !strings.Contains(got.stderr, "Nothing waits under this id.") || strings.Contains(got.stderr, "base URL") {
		t.Errorf("%+v", got)
	}
}

func TestWrongDelivery(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"toast --title=x --ttl=0", "--ttl=0 is no lifetime"},
		{"toast --title=x --ttl=1.5s", "is no lifetime"},
		{"toast --title=x --ttl=soon", "is no lifetime"},
		{"toast --title=x --at=tomorrow", "--at=tomorrow is no time"},
		{"toast --title=x --at=-10m", "is no time"},
		{"toast --title=x --at=2031-05-01T09:00:00", "is no time"},
		{"event --payload={}", "--type"},
		{"event --type=x --payload=[]", "--payload is no JSON object"},
		{"event --type=x --payload=null", "--payload is no JSON object"},
		{"event --type=x --user=a --topic=b", "cannot be used together"},
		{"cancel", "<id>"},
	} {
		got := sv(t, map[string]string{"SV_URL": "http://127.0.0.1:1", "SV_SECRET": "s"}, strings.Fields(tc.args)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, tc.want) {
			t.Errorf("%s: %+v", tc.args, got)
		}
	}
	if got := sv(t, nil, "cancel", "0-a-2"); got.code != exitUsage || !strings.Contains(got.stderr, "needs --secret") {
		t.Errorf("%+v", got)
	}
}
