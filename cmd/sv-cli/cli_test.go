package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(runAsProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// result is what one run of the program leaves behind.
type result struct {
	code           int
	stdout, stderr string
}

// sv runs the program once, in UTC, at a fixed time, with only the given environment.
func sv(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	_, terminal := env["terminal"]
	code := run(ctx, world{
		stdout: &out, stderr: &errs, terminal: terminal, zone: time.UTC,
		now:       func() time.Time { return time.Unix(1764000000, 0) },
		lookupEnv: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
	}, args)
	return result{code, out.String(), errs.String()}
}

// api answers every request with one status and body, and keeps the last request.
type api struct {
	*httptest.Server
	method, uri, body string
	header            http.Header
}

func newAPI(t *testing.T, status int, contentType, body string) *api {
	t.Helper()
	a := &api{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		a.method, a.uri, a.body, a.header = r.Method, r.RequestURI, string(raw), r.Header
		w.Header().Set("Content-Type", contentType)
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(a.Close)
	return a
}

const oneReceipt = `{"id":"0-a-2","seq":2,"subject":"sv.ws.broadcast","duplicate":false}`

func TestToast(t *testing.T) {
	for _, tc := range []struct {
		name   string
		env    map[string]string
		args   []string
		answer string
		body   string // of the request
		header map[string]string
		stdout string
	}{
		{
			name: "the old flags", args: []string{
				"--title", "Hi <all>", "--teaser", "T", "--description", "D", "--image-url", "https://x/i",
				"--action-url", "sv://a", "--action-label", "Go", "--secret", "s3",
			},
			answer: oneReceipt,
			body: `{"title":"Hi <all>","teaser":"T","description":"D","image_url":"https://x/i",` +
				`"action_url":"sv://a","action_label":"Go"}`,
			header: map[string]string{"X-SV-KEY": "s3", "Authorization": "", "Content-Type": "application/json"},
			stdout: "stored 0-a-2 as number 2 of the log, on sv.ws.broadcast\n",
		},
		{
			name: "one user, secret of the environment, own header",
			env:  map[string]string{"SV_SECRET": "env", "SV_SECRET_HEADER": "X-Other"},
			args: []string{"--title=Hi", "--user=a,b"}, answer: oneReceipt,
			body: `{"title":"Hi","to":{"user":"a,b"}}`, header: map[string]string{"X-Other": "env", "X-SV-KEY": ""},
			stdout: "stored 0-a-2 as number 2 of the log, on sv.ws.broadcast\n",
		},
		{
			name: "two users, a token, a duplicate", env: map[string]string{"SV_TOKEN": "a.b."},
			args:   []string{"--title=Hi", "--user=a", "--user=b", "--idempotency-key=k1"},
			answer: `[{"id":"0-a-2","seq":2,"subject":"sv.ws.user.a","duplicate":true},{"id":"0-a-3","seq":3,"subject":"sv.ws.user.b"}]`,
			body:   `{"title":"Hi","to":{"users":["a","b"]}}`,
			header: map[string]string{"Authorization": "Bearer a.b.", "Idempotency-Key": "k1", "X-SV-KEY": ""},
			stdout: "stored 0-a-2 as number 2 of the log, on sv.ws.user.a  (published before under this idempotency key)\n" +
				"stored 0-a-3 as number 3 of the log, on sv.ws.user.b\n",
		},
		{
			name: "a flag wins over the environment", env: map[string]string{"SV_SECRET": "env"},
			args: []string{"--title=Hi", "--topic=news", "--secret=flag"}, answer: oneReceipt,
			body: `{"title":"Hi","to":{"topic":"news"}}`, header: map[string]string{"X-SV-KEY": "flag"},
			stdout: "stored 0-a-2 as number 2 of the log, on sv.ws.broadcast\n",
		},
		{
			name: "json", args: []string{"--title=Hi", "--secret=s", "--json"}, answer: oneReceipt,
			body: `{"title":"Hi"}`, stdout: oneReceipt + "\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAPI(t, http.StatusCreated, "application/json", tc.answer)
			env := map[string]string{"SV_URL": a.URL + "/"}
			for k, v := range tc.env {
				env[k] = v
			}
			got := sv(t, env, append([]string{"toast"}, tc.args...)...)
			if want := (result{0, tc.stdout, ""}); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			if d := cmp.Diff([]string{"POST", "/api/v1/ws/toast", tc.body}, []string{a.method, a.uri, a.body}); d != "" {
				t.Error(d)
			}
			for k, v := range tc.header {
				if g := a.header.Get(k); g != v {
					t.Errorf("header %s is %q, want %q", k, g, v)
				}
			}
		})
	}
}

func TestRefusalsAreReadable(t *testing.T) {
	problem := `{"type":"https://socialvibes.dev/problems/invalid","title":"Unprocessable Entity","status":422,` +
		`"detail":"validation failed","errors":[{"message":"expected length >= 1","location":"body.title","value":""},` +
		`{"message":"must be https","location":"body.image_url","value":"http://\u001b[2J"}]}`
	for _, tc := range []struct {
		name   string
		status int
		ctype  string
		body   string
		code   int
		want   string
	}{
		{
			"422 with every field", 422, "application/problem+json", problem, exitRefused,
			"sv-cli: the server answered 422 Unprocessable Entity: validation failed\n" +
				"  body.title: expected length >= 1 (got \"\")\n" +
				"  body.image_url: must be https (got \"http://\\u001b[2J\")\n",
		},
		{
			"401 says what to check", 401, "application/problem+json", `{"title":"Unauthorized","status":401}`, exitRefused,
			"sv-cli: the server answered 401 Unauthorized\n  check --secret (SV_SECRET) or --token (SV_TOKEN)\n",
		},
		{
			"503 says when", 503, "application/problem+json", `{"detail":"the log is out of reach"}`, exitUnreachable,
			"sv-cli: the server answered 503 Service Unavailable: the log is out of reach\n  try again in 5 s\n",
		},
		{
			"a proxy's page", 502, "text/html", "<html>bad\x1b[31m gateway", exitUnreachable,
			"sv-cli: the server answered 502 Bad Gateway: <html>bad·[31m gateway\n",
		},
		{
			"not ours", 200, "text/html", "<html>", exitFailed,
			"sv-cli: the server's answer is not a receipt; is --url (SV_URL) the base URL of a Vibemesh?\n",
		},
		{"a redirect is not followed", 302, "text/html", "", exitFailed, "sv-cli: the server answered 302 Found\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAPI(t, tc.status, tc.ctype, tc.body)
			got := sv(t, map[string]string{"SV_URL": a.URL}, "toast", "--title=x", "--secret=s")
			if want := (result{tc.code, "", tc.want}); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		a := newAPI(t, 422, "application/problem+json", problem)
		got := sv(t, map[string]string{"SV_URL": a.URL}, "toast", "--title=x", "--secret=s", "--json")
		var doc struct {
			Exit    int
			Problem problemError
		}
		if err := json.Unmarshal([]byte(got.stderr), &doc); err != nil || doc.Exit != 3 || len(doc.Problem.Errors) != 2 {
			t.Errorf("%v: %s", err, got.stderr)
		}
	})
}

// TestSecretStaysWithItsServer: a redirect would take it elsewhere.
func TestSecretStaysWithItsServer(t *testing.T) {
	other := newAPI(t, http.StatusCreated, "application/json", oneReceipt)
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer s.Close()
	got := sv(t, nil, "toast", "--title=x", "--secret=hush", "--url", s.URL)
	if got.code != exitFailed || other.method != "" || !strings.Contains(got.stderr, "307") {
		t.Errorf("%+v, and the other server got %s", got, other.method)
	}
}

func TestUnreachable(t *testing.T) {
	a := newAPI(t, 200, "", "")
	url := a.URL
	a.Close()
	got := sv(t, nil, "toast", "--title=x", "--secret=hush", "--url", url)
	if got.code != exitUnreachable || !strings.Contains(got.stderr, "cannot reach "+url) || strings.Contains(got.stderr, "hush") {
		t.Errorf("%+v", got)
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices the client's leaving
		<-r.Context().Done()
	}))
	defer slow.Close()
	got = sv(t, nil, "toast", "--title=x", "--secret=s", "--url", slow.URL, "--timeout=50ms")
	if got.code != exitUnreachable || !strings.Contains(got.stderr, "no answer within 50ms") {
		t.Errorf("%+v", got)
	}
}

func TestBadUsage(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"", "expected one of"},
		{"toats", `did you mean "toast"`},
		{"toast", "--title"},
		{"toast --title=x", "needs --secret (SV_SECRET) or --token (SV_TOKEN)"},
		{"toast --title=x --secret=s --user=a --topic=b", "--user and --topic cannot be used together"},
		{"toast --title=x --secret=s --url=localhost:8080", "looks like http://127.0.0.1:8080"},
		{"toast --title=x --secret=s --url=ws://localhost", "looks like http://127.0.0.1:8080"},
		{"toast --title=x --secret=s --timeout=0s", "--timeout"},
		{"toast --title=x --secret=s --timeout=ten", "--timeout"},
		{"toast --title=x --secret=a\nb", "contains a line end"},
		{"toast --title=x --secret=s --nonsense", "--nonsense"},
		{"listen", "who is it?"},
		{"listen --user=a --replay=-1", "must not be negative"},
		{"listen --user=a --topic=a,b", "no comma"},
		{"history", "who is it?"},
		{"history --user=a --limit=-1", "must not be negative"},
		{"token", "--user"},
		{"token --user=a --ttl=0.5s", "at least one second"},
		{"token --user=" + strings.Repeat("a", 129), "128 bytes"},
		{"completion", "expected"},
		{"completion tcsh", "must be one of"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			var args []string
			if tc.args != "" {
				args = strings.Split(tc.args, " ")
			}
			got := sv(t, nil, args...)
			if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, tc.want) {
				t.Errorf("got %+v, want code 2 and %q", got, tc.want)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	got := sv(t, nil, "--help")
	for _, want := range []string{"Exit codes: 0 done", "SV_URL", "toast", "schedule", "listen", "history", "presence", "disconnect", "revoke", "status", "doctor", "token", "completion"} {
		if got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("--help: code %d, without %q:\n%s", got.code, want, got.stdout)
		}
	}
	got = sv(t, map[string]string{"SV_SECRET": "hush"}, "toast", "--help")
	if got.code != 0 || !strings.Contains(got.stdout, "SV_SECRET_HEADER") || strings.Contains(got.stdout, "hush") {
		t.Errorf("toast --help: %+v", got)
	}
	if got = sv(t, nil, "--version"); got.code != 0 || !strings.HasPrefix(got.stdout, "sv-cli ") {
		t.Errorf("--version: %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("this test needs bash")
	}
	script := sv(t, nil, "completion", "bash").stdout
	for line, want := range map[string]string{
		"sv-cli ''":                        "toast event schedule cancel listen history presence disconnect revoke status doctor token completion --help --url --json --timeout --version",
		"sv-cli li":                        "listen",
		"sv-cli toast --ti":                "--title --timeout",
		"sv-cli --json listen --cu":        "--cursor-file",
		"sv-cli doctor --only n":           "nats",
		"sv-cli doctor --creds ./tab":      "./table.go",
		"sv-cli st":                        "status",
		"sv-cli toast --title listen --us": "--user",
		"sv-cli completion f":              "fish",
	} {
		cmd := exec.CommandContext(t.Context(), bash, "-c", script+"\n"+
			"COMP_WORDS=("+line+"); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _sv_cli; echo ${COMPREPLY[@]}")
		out, err := cmd.CombinedOutput()
		got := strings.TrimSpace(string(out))
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", line, got, err, want)
		}
	}
	for _, shell := range []string{"bash", "zsh"} {
		cmd := exec.CommandContext(t.Context(), bash, "-n")
		cmd.Stdin = strings.NewReader(sv(t, nil, "completion", shell).stdout)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", shell, err, out)
		}
	}
	fish := sv(t, nil, "completion", "fish").stdout
	for _, line := range strings.Split(strings.TrimSpace(fish), "\n")[1:] {
		if !strings.HasPrefix(line, "complete -c sv-cli") || strings.Count(strings.ReplaceAll(line, `\'`, ""), "'")%2 != 0 {
			t.Errorf("fish: %s", line)
		}
	}
}
