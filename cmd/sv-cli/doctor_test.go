package main

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/doctor"
	"github.com/socialvibes/vibemesh/internal/natsserver"
)

// sick is a server that is well but for its token and its secret.
func sick(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/openapi.json":
			_, _ = io.WriteString(w, `{"info":{"title":"Vibemesh","version":"v1.2.0\u001b[2J"}}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"title":"Unauthorized","detail":"No.","type":"x"}`)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestDoctor(t *testing.T) {
	url := sick(t)
	got := sv(t, nil, "doctor", "--url", url, "--user=ada", "--secret=wrong")
	for _, want := range []string{
		"ok    url                   " + url + "\n", "ok    http                  Vibemesh v1.2.0·[2J\n", "ok    token                 of ada, project demo-vibemesh",
		"fail  upgrade header        the upgrade was answered with 401 Unauthorized: No.\n      → get a fresh ID token",
		"fail  publish secret        401 Unauthorized: No.\n      → give one of the server's WS_PUBLISH_SECRET",
		"fail  clock", // the world of the test is of another year
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if got.code != exitFailed || !strings.Contains(got.stderr, "checks failed") || strings.Contains(got.stdout+got.stderr, "wrong\n") {
		t.Errorf("%+v", got)
	}
	got = sv(t, nil, "doctor", "--url", url, "--user=ada", "--json")
	var doc struct {
		OK     *bool
		Checks []doctor.Result
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || doc.OK == nil || *doc.OK || len(doc.Checks) < 8 || got.code != exitFailed {
		t.Errorf("%v: %+v", err, got)
	}
	if c := doc.Checks[0]; c != (doctor.Result{Check: "url", State: doctor.OK, Text: url}) {
		t.Errorf("%+v", c)
	}
	for term, want := range map[string]bool{"xterm": true, "dumb": false} {
		got := sv(t, map[string]string{"terminal": "", "TERM": term}, "doctor", "--url", url)
		if strings.Contains(got.stdout, "\x1b[31mfail") != want {
			t.Errorf("%s: %q", term, got.stdout)
		}
	}
}

func TestDoctorOfNATS(t *testing.T) {
	s, err := natsserver.Start(natsserver.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Node: "test"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	got := sv(t, map[string]string{"WS_NATS_URL": s.URL()}, "doctor", "--only=nats")
	if got.code != exitFailed || strings.Contains(got.stdout, "ok    url") || !strings.Contains(got.stdout, "fail  nats stream SV_LOG    it is not there\n      → create it with `vibemesh provision`") {
		t.Errorf("%+v", got)
	}
	if got := sv(t, nil, "doctor", "--only=nats", "--nats="+s.URL(), "--role=nobody"); !strings.Contains(got.stdout, "no role is called") {
		t.Errorf("%+v", got)
	}
	for args, want := range map[string]string{
		"--only=nats": "needs --nats", "--only=x": "must be one of", "--partitions=0": "1 to 256", "--nats-cert=x": "go together",
		"--idle=-1s": "must not be negative", "--prefix=a.*": "--prefix", "--history-bytes=much": "not a size", "--user=" + strings.Repeat("a", 200): "--user",
	} {
		if got := sv(t, nil, "doctor", args); got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
