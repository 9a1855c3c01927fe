package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// called runs the program with arguments.
func called(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, wrong bytes.Buffer
	status = run(args, &out, &wrong)
	return status, out.String(), wrong.String()
}

// TestCredentialsSaysWhatComesNext: what it made, by name, and the next two commands.
func TestCredentialsSaysWhatComesNext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	keys := filepath.Join(dir, "keys")
	for _, step := range []struct {
		args []string
		want []string
	}{
		{
			[]string{"--out", dir, "--partitions", "4", "--expires", "2160h"},
			[]string{
				filepath.Join(dir, "accounts.conf"), filepath.Join(dir, "edge.creds"), filepath.Join(dir, "sys.creds"), keys,
				"nats-server -c server.conf", "vibemesh provision --ws-nats-url=nats://HOST:4222 --ws-nats-creds=" + dir + "/provision.creds --ws-partitions=4",
			},
		},
		{
			[]string{"--keys", keys, "--role", "backend", "--name", "shop", "--out", dir},
			[]string{
				filepath.Join(dir, "shop.creds"), "nats context save shop --creds " + dir + "/shop.creds --inbox-prefix _INBOX_backend",
				"--renew --keys " + keys + " --out " + dir + " --revoke " + dir + "/shop.creds",
			},
		},
		{
			[]string{"--renew", "--keys", keys, "--out", dir, "--revoke", filepath.Join(dir, "shop.creds")},
			[]string{filepath.Join(dir, "accounts.conf"), "nats-server -t", "nats-server --signal reload"},
		},
	} {
		status, out, wrong := called(t, append([]string{"credentials"}, step.args...)...)
		if status != 0 || wrong != "" {
			t.Fatalf("%v: %d %s", step.args, status, wrong)
		}
		made, next, _ := strings.Cut(out, "\nNext:\n")
		if strings.Count(next, "\n") != 2 {
			t.Errorf("the next commands are\n%s", next)
		}
		for _, want := range step.want {
			if !strings.Contains(made+next, want) {
				t.Errorf("%v: %q is missing in\n%s", step.args, want, out)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "accounts.conf"))
	if err != nil || !strings.Contains(string(text), "for the prefix sv and 4") {
		t.Errorf("renewed for another log: %.200s, %v", text, err)
	}
}

// TestCredentialsRefuses: flags that make no sense together are settings that are wrong,
// what is there already is a failure.
func TestCredentialsRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "accounts.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"", 2, "--out is missing"},
		{"--out=" + dir, 1, "accounts.conf is there already"},
		{"--out=x --prefix=a..b", 2, "--prefix"},
		{"--out=x --partitions=257", 2, "from 1 to 256"},
		{"--out=x --expires=-1h", 2, "--expires is in the past"},
		{"--out=x --role=backend", 2, "--keys is missing"},
		{"--out=x --keys=y", 2, "--keys goes with --role"},
		{"--out=x --keys=y --role=backend --renew", 2, "two things"},
		{"--out=x --name=shop", 2, "--name goes with --role"},
		{"--out=x --revoke=y", 2, "--revoke goes with --renew"},
		{"--out=x --keys=" + dir + " --role=backend", 1, "is no directory of keys"},
		{"--out=x --keys=" + dir + " --renew", 1, "is no directory of keys"},
	} {
		status, _, wrong := called(t, append([]string{"credentials"}, strings.Fields(tt.args)...)...)
		if status != tt.status || !strings.Contains(wrong, tt.want) {
			t.Errorf("%s: %d %s, want %d and %q", tt.args, status, wrong, tt.status, tt.want)
		}
	}
}

// TestCredentialsKeep: what runs at each start makes what is missing, such as after a
// start that was cut short, and leaves the rest alone.
func TestCredentialsKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	file := func(name string) string { return filepath.Join(dir, name) }
	keep := func() {
		t.Helper()
		if status, _, wrong := called(t, "credentials", "--keep", "--out", dir); status != 0 {
			t.Fatal(status, wrong)
		}
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	keep()
	api, edge := read("api.creds"), read("edge.creds")
	for _, name := range []string{"edge.creds", "accounts.conf"} {
		if err := os.Remove(file(name)); err != nil {
			t.Fatal(err)
		}
	}
	keep()
	if read("api.creds") != api {
		t.Error("a user that was there is another one now")
	}
	if again := read("edge.creds"); again == edge || !strings.Contains(again, "BEGIN NATS USER JWT") {
		t.Errorf("edge.creds is %q", again)
	}
	if !strings.Contains(read("accounts.conf"), "resolver_preload") {
		t.Error("accounts.conf was not made again")
	}
}
