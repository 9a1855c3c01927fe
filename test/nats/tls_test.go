package nats_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/app"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// encrypted is one server with server.conf and tls.conf.
func encrypted(t *testing.T, dir, tls string) (url string) {
	t.Helper()
	opts, err := read(t, filepath.Join(dir, "server.conf"), with(environment(t), map[string]string{
		"NATS_TLS_CERT": filepath.Join(tls, "nats-0.crt"), "NATS_TLS_KEY": filepath.Join(tls, "nats-0.key"), "NATS_TLS_CA": filepath.Join(tls, "ca.crt"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := run(t, opts)
	return s.ClientURL()
}

// TestTLSOfClients: what is right works, and of what is wrong the error says what to do,
// at once.
func TestTLSOfClients(t *testing.T) {
	right := certificates(t, "nats-0,127.0.0.1", "client:edge")
	wrong := certificates(t, "nats-0,127.0.0.1", "client:edge")
	other := certificates(t, "nats-0,nats-0.example")
	file := func(dir, name string) string { return filepath.Join(dir, name) }
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	write(t, garbage, "no certificate")
	ca := "--ws-nats-ca=" + file(right, "ca.crt")
	client := func(dir string) []string {
		return []string{ca, "--ws-nats-cert=" + file(dir, "edge.crt"), "--ws-nats-key=" + file(dir, "edge.key")}
	}

	plain := install(t, 1)
	withoutTLS(t, plain)
	verifying := install(t, 1)
	text, err := os.ReadFile(filepath.Join(verifying, "tls.conf"))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "verify: false", "verify: true", 1)
	if changed == string(text) {
		t.Fatal("tls.conf has no verify: false")
	}
	write(t, filepath.Join(verifying, "tls.conf"), changed)
	usual, named := install(t, 1), install(t, 1)

	for _, server := range []struct {
		name, dir, tls string
		cases          map[string]struct {
			args []string
			want string // of the error; empty: none
		}
	}{
		{"usual", usual, right, map[string]struct {
			args []string
			want string
		}{
			"right":           {[]string{ca}, ""},
			"needless client": {client(right), ""},
			"no authority":    {nil, "name the file of the one that has in WS_NATS_CA"},
			"wrong authority": {[]string{"--ws-nats-ca=" + file(wrong, "ca.crt")}, "none of WS_NATS_CA has signed the server's certificate"},
			"garbage":         {[]string{"--ws-nats-ca=" + garbage}, "the files of WS_NATS_CA, WS_NATS_CERT and WS_NATS_KEY cannot be used"},
			"key of another":  {[]string{ca, "--ws-nats-cert=" + file(right, "edge.crt"), "--ws-nats-key=" + file(wrong, "edge.key")}, "cannot be used"},
		}},
		{"named otherwise", named, other, map[string]struct {
			args []string
			want string
		}{
			"its name": {[]string{"--ws-nats-ca=" + file(other, "ca.crt")}, "other names than WS_NATS_URL"},
		}},
		{"verifying", verifying, right, map[string]struct {
			args []string
			want string
		}{
			"right":                {client(right), ""},
			"no certificate":       {[]string{ca}, "the server asks for a client certificate: name its file in WS_NATS_CERT"},
			"one of another":       {client(wrong), "the server refuses the certificate of WS_NATS_CERT"},
			"that of a mere name":  {[]string{ca, "--ws-nats-cert=" + file(right, "nats-0.crt"), "--ws-nats-key=" + file(right, "nats-0.key")}, ""},
			"no authority, either": {nil, "WS_NATS_CA"},
		}},
		{"plain", plain, right, map[string]struct {
			args []string
			want string
		}{
			"authority": {[]string{ca}, "WS_NATS_CA asks for TLS, which the server does not speak"},
		}},
	} {
		t.Run(server.name, func(t *testing.T) {
			url := encrypted(t, server.dir, server.tls)
			for name, tt := range server.cases {
				t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					a, err := app.Start(ctx, settings(t, server.dir, url, "provision", tt.args...), parts["provision"], "test", quiet())
					if err == nil {
						err = errors.Join(err, a.Stop(ctx))
					}
					if tt.want == "" && err != nil {
						t.Fatal(err)
					}
					if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, wire.ErrUnavailable)) {
						t.Errorf("the error is %v, want %q", err, tt.want)
					}
					if ctx.Err() != nil {
						t.Error("it waited for what does not pass")
					}
				})
			}
		})
	}
}

// TestCertificatesRefuses: what is wrong is said, and nothing is made of it.
func TestCertificatesRefuses(t *testing.T) {
	for _, tt := range []struct{ days, arg, want string }{
		{"abc", "nats-0", "DAYS=abc is no number of days"},
		{"0", "nats-0", "DAYS=0 is no number of days"},
		{"30", "client:", "begins with no name for a file"},
		{"30", "", "begins with no name for a file"},
		{"30", "../nats-0", "begins with no name for a file"},
		{"30", "ca", "begins with no name for a file"},
		{"30", "nats-0,,nats", "is no list of names and addresses"},
		{"30", "nats-0,two words", "is no list of names and addresses"},
	} {
		dir := filepath.Join(t.TempDir(), "tls")
		cmd := exec.Command("../../scripts/nats-certificates", dir, "nats-9", tt.arg)
		cmd.Env = append(os.Environ(), "DAYS="+tt.days)
		out, err := cmd.CombinedOutput()
		if failed, ok := errors.AsType[*exec.ExitError](err); !ok || failed.ExitCode() != 2 || !strings.Contains(string(out), tt.want) {
			t.Errorf("%q for %s days: %v\n%s", tt.arg, tt.days, err, out)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q for %s days: something was made", tt.arg, tt.days)
		}
	}
}
