// Package nats_test runs nats-servers with the very configuration, accounts and
// permissions that nats/ and `vibemesh credentials` give, and sees what each role can do.
package nats_test

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/credentials"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// install lays out what an operator installs on every server: the configuration files of
// nats/, and accounts.conf beside them. Credentials are in the same directory.
func install(t testing.TB, partitions int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "nats")
	if _, err := credentials.Make(dir, logOf(partitions), 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"server.conf", "cluster.conf", "tls.conf", "cluster-tls.conf"} {
		text, err := os.ReadFile(filepath.Join("../../nats", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), string(text))
	}
	return dir
}

func logOf(partitions int) credentials.Log {
	s := wire.Subjects{}.Partitioned(partitions)
	return credentials.Log{Subjects: s}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withoutTLS has empty files stand in the place of those of TLS, as they say.
func withoutTLS(t testing.TB, dir string) {
	t.Helper()
	write(t, filepath.Join(dir, "tls.conf"), "")
	write(t, filepath.Join(dir, "cluster-tls.conf"), "")
}

// environment is what the configuration files ask for, on free ports of this machine.
func environment(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"NATS_SERVER_NAME": "nats-0", "NATS_LISTEN": "127.0.0.1:-1", "NATS_MONITOR": "127.0.0.1:-1",
		"NATS_STORE_DIR": t.TempDir(), "NATS_MAX_FILE_STORE": "1GB",
	}
}

// read reads a configuration as nats-server does, with an environment.
func read(t *testing.T, file string, env map[string]string) (*natsd.Options, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	return natsd.ProcessConfigFile(file)
}

// logged keeps what a nats-server says.
type logged struct {
	mu    sync.Mutex
	lines []string
	used  map[use]bool
}

// use is something that a user did.
type use struct{ user, verb, subject string }

var traced = regexp.MustCompile(`/jwt:(U[A-Z2-7]+)" - <<- \[(PUB|HPUB|SUB) (\S+)`)

// trace notes what clients publish and subscribe to.
func (l *logged) trace(line string) {
	m := traced.FindStringSubmatch(line)
	if m == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used == nil {
		l.used = map[use]bool{}
	}
	verb := "publish"
	if m[2] == "SUB" {
		verb = "subscribe"
	}
	l.used[use{m[1], verb, m[3]}] = true
}

func (l *logged) add(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, v...))
}

func (l *logged) Noticef(format string, v ...any) { l.add(format, v...) }
func (l *logged) Warnf(format string, v ...any)   { l.add(format, v...) }
func (l *logged) Fatalf(format string, v ...any)  { l.add(format, v...) }
func (l *logged) Errorf(format string, v ...any)  { l.add(format, v...) }
func (l *logged) Debugf(string, ...any)           {}
func (l *logged) Tracef(format string, v ...any)  { l.trace(fmt.Sprintf(format, v...)) }

// violations are what somebody tried and may not do.
func (l *logged) violations() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, line := range l.lines {
		if strings.Contains(line, "Violation") {
			all = append(all, line)
		}
	}
	return all
}

// String is all else, which is much less.
func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(l.lines), func(line string) bool { return strings.Contains(line, "Violation") })
	return strings.Join(rest, "\n")
}

// run runs a nats-server until the test ends.
func run(t *testing.T, opts *natsd.Options) (*natsd.Server, *logged) {
	t.Helper()
	opts.NoSigs = true
	s, err := natsd.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	said := &logged{}
	s.SetLoggerV2(said, false, opts.Trace, false)
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
		if t.Failed() {
			t.Logf("nats-server %s said:\n%s", opts.ServerName, said)
		}
	})
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatalf("the nats-server %s is not up", opts.ServerName)
	}
	return s, said
}

// single is one server with server.conf and without TLS.
func single(t *testing.T, partitions int) (dir, url string, said *logged) {
	t.Helper()
	dir = install(t, partitions)
	withoutTLS(t, dir)
	opts, err := read(t, filepath.Join(dir, "server.conf"), environment(t))
	if err != nil {
		t.Fatal(err)
	}
	opts.Trace = true
	s, said := run(t, opts)
	return dir, s.ClientURL(), said
}

// certificates makes an authority and certificates with the script that operators use.
func certificates(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "tls")
	out, err := exec.Command("../../scripts/nats-certificates", append([]string{dir}, names...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// with is an environment with some more.
func with(env map[string]string, more map[string]string) map[string]string {
	all := maps.Clone(env)
	maps.Copy(all, more)
	return all
}

// as connects with the credentials of a role, and its inbox.
func as(t testing.TB, dir, url, role string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.UserCredentials(filepath.Join(dir, role+".creds")), nats.CustomInboxPrefix("_INBOX_" + role), nats.NoReconnect(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // tests ask for it
	}, opts...)...)
	if err != nil {
		t.Fatalf("connecting as %s: %v", role, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func roles(t testing.TB) (names []string) {
	t.Helper()
	all, err := credentials.Roles()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		names = append(names, r.Name)
	}
	return names
}

// eventually waits for a condition that can only be asked again and again.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after 30 s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func sorted(names []string) string {
	names = slices.Clone(names)
	slices.Sort(names)
	return strings.Join(names, " ")
}
