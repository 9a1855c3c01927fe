package main

import (
	"strings"
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2025, 3, 29, 23, 30, 0, 0, zone) // the night before the clocks go forward
	for text, want := range map[string]string{
		"10m": "2025-03-29T23:40:00+01:00", "+2h": "2025-03-30T01:30:00+01:00", "3h": "2025-03-30T03:30:00+02:00",
		"2031-05-01T09:00:00Z": "2031-05-01T11:00:00+02:00", "2031-05-01 09:00": "2031-05-01T09:00:00+02:00",
		"tomorrow 09:00": "2025-03-30T09:00:00+02:00", "today 09:00": "2025-03-29T09:00:00+01:00", "tomorrow 9:05": "2025-03-30T09:05:00+02:00",
	} {
		at, err := moment("--at", text, now, zone)
		if got := at.In(zone).Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "is no time", "-10m": "is no time", "tomorrow": "is no time", "yesterday 09:00": "is no time", "tomorrow 25:00": "is no time",
		"2031-02-30 09:00": "is no time", "2031-05-01T09:00:00": "is no time", "tomorrow 02:30": "there is no 02:30 on that day",
	} {
		if at, err := moment("--at", text, now, zone); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", text, at, err, want)
		}
	}
}

func TestSchedule(t *testing.T) {
	a := newAPI(t, 200, "application/json", `{"id":"0-a-2","deliver_at":"2025-11-24T17:30:05Z","type":"toast","to":"topic"}`)
	env := map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}
	got := sv(t, env, "schedule", "0-a-2")
	if want := "0-a-2 waits until 2025-11-24 17:30:05, for 1h30m more: toast for the members of a topic\n"; got != (result{0, want, ""}) {
		t.Errorf("%+v", got)
	}
	if a.method != "GET" || a.uri != "/api/v1/ws/schedule/0-a-2" || a.header.Get("X-SV-KEY") != "s" {
		t.Errorf("%s %s", a.method, a.uri)
	}
	if got := sv(t, env, "schedule", "0-a-2", "--json"); !strings.HasPrefix(got.stdout, `{"id":"0-a-2",`) {
		t.Errorf("%+v", got)
	}
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"needs --title and --at", []string{"schedule"}},
		{"needs --title and --at", []string{"schedule", "--title=x"}},
		{"needs --title and --at", []string{"schedule", "--at=10m"}},
		{"either an id", []string{"schedule", "0-a-2", "--at=10m"}},
		{"is past", []string{"schedule", "--title=x", "--at=today 09:00"}},
		{"is past", []string{"schedule", "--title=x", "--at=2001-05-01T09:00:00Z"}},
		{"is no time", []string{"schedule", "--title=x", "--at=soon"}},
	} {
		if got := sv(t, env, tc.args...); got.code != exitUsage || !strings.Contains(got.stderr, tc.want) {
			t.Errorf("%v: %+v", tc.args, got)
		}
	}
	a = newAPI(t, 404, "application/problem+json", `{"type":"x","title":"Not Found","detail":"Nothing waits under this id."}`)
	if got := sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, "schedule", "nonsense/../x"); got.code != exitRefused || a.uri != "/api/v1/ws/schedule/nonsense%2F..%2Fx" {
		t.Errorf("%+v of %s", got, a.uri)
	}
}

func TestPresence(t *testing.T) {
	const one = `{"user":"ada","online":true,"devices":2,"edges":["edge-0","edge-1"],"complete":true}`
	for _, tc := range []struct {
		args, uri, answer, stdout string
		code                      int
	}{
		{"presence ada", "user=ada", one, "USER  ONLINE  DEVICES  EDGES\nada   yes           2  edge-0 edge-1\n", 0},
		{
			"presence ada b&c", "user=ada&user=b%26c",
			`{"users":[{"user":"ada","online":false,"devices":0,"edges":[]},{"user":"b\u001b[2J","online":true,"devices":10,"edges":["e"]}],"complete":true}`,
			"USER   ONLINE  DEVICES  EDGES\nada    no            0\nb·[2J  yes          10  e\n", 0,
		},
		{"presence --topic=club.7", "topic=club.7", `{"topic":"club.7","members":1,"complete":true}`, "1 session of club.7\n", 0},
		{"presence --topic=club.7", "topic=club.7", `{"topic":"club.7","members":17,"complete":false}`, "17 sessions of club.7\n", exitIncomplete},
		{"presence ada --json", "user=ada", one, one + "\n", 0},
	} {
		a := newAPI(t, 200, "application/json", tc.answer)
		got := sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, strings.Fields(tc.args)...)
		if got.stdout != tc.stdout || got.code != tc.code || a.uri != "/api/v1/ws/presence?"+tc.uri {
			t.Errorf("%s: %+v of %s, want %q", tc.args, got, a.uri, tc.stdout)
		}
		if incomplete := strings.Contains(got.stderr, "not every edge has answered"); incomplete != (tc.code == exitIncomplete) {
			t.Errorf("%s: %s", tc.args, got.stderr)
		}
	}
	for _, args := range [][]string{{"presence"}, {"presence", "ada", "--topic=x"}} {
		if got := sv(t, map[string]string{"SV_SECRET": "s"}, args...); got.code != exitUsage || !strings.Contains(got.stderr, "either users or --topic") {
			t.Errorf("%v: %+v", args, got)
		}
	}
	a := newAPI(t, 200, "application/json", `{"hello":"world"}`)
	if got := sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, "presence", "ada"); got.code != exitFailed || !strings.Contains(got.stderr, "base URL") {
		t.Errorf("%+v", got)
	}
}

func TestDisconnectAndRevoke(t *testing.T) {
	for _, tc := range []struct {
		args              []string
		uri, body, answer string
		stdout            string
		code              int
	}{
		{
			[]string{"disconnect", "ada", "--reason=house rules"},
			"disconnect", `{"reason":"house rules","user":"ada"}`,
			`{"sessions":2,"edges":["edge-0","edge-1"],"complete":true}`, "ended 2 sessions of ada on edge-0, edge-1\n", 0,
		},
		{[]string{"disconnect", "ada"}, "disconnect", `{"user":"ada"}`, `{"sessions":0,"edges":[],"complete":false}`, "ended 0 sessions of ada\n", exitIncomplete},
		{
			[]string{"revoke", "ada"},
			"revoke", `{"user":"ada"}`, `{"user":"ada","before":"2025-11-24T16:00:00Z"}`,
			"tokens of ada from before 2025-11-24 16:00:00 are refused, and sessions with them end\n", 0,
		},
		{
			[]string{"revoke", "ada", "--before=today 09:00"},
			"revoke", `{"before":"2025-11-24T09:00:00Z","user":"ada"}`,
			`{"user":"ada","before":"2025-11-24T09:00:00Z"}`, "tokens of ada from before 2025-11-24 09:00:00 are refused, and sessions with them end\n", 0,
		},
		{[]string{"revoke", "ada", "--json"}, "revoke", `{"user":"ada"}`, `{"user":"ada","before":"2025-11-24T09:00:00Z"}`, `{"user":"ada","before":"2025-11-24T09:00:00Z"}` + "\n", 0},
	} {
		a := newAPI(t, 200, "application/json", tc.answer)
		got := sv(t, map[string]string{"SV_URL": a.URL, "SV_SECRET": "s"}, tc.args...)
		if got.stdout != tc.stdout || got.code != tc.code || a.method != "POST" || a.uri != "/api/v1/ws/"+tc.uri || a.body != tc.body {
			t.Errorf("%v: %+v of %s %s %s", tc.args, got, a.method, a.uri, a.body)
		}
	}
	if got := sv(t, map[string]string{"SV_SECRET": "s"}, "revoke", "ada", "--before=10m"); got.code != exitUsage || !strings.Contains(got.stderr, "in the future") {
		t.Errorf("%+v", got)
	}
}
