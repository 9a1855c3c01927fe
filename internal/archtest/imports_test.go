package archtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rows say what each package may import beside the standard library: packages of
// ours by their folder, others by the beginning of their path. What a package
// may import, its tests may exceed.
var rows = map[string][]string{
	// The contract: what everybody knows, and so knows nobody.
	"internal/wire":     nil,
	"internal/wire/gen": nil,

	// They know nothing of the mesh; they could be libraries of their own.
	"internal/ring":    nil,
	"internal/netloop": {"golang.org/x/sys/unix"},

	// The gates before a request. They know of connections, not of sessions.
	"internal/limit":      nil,
	"internal/proxyproto": nil,
	"internal/tlsport":    {"internal/netloop", "golang.org/x/sync", prometheus},

	// One concern each, on top of the contract.
	"internal/config":  {"internal/wire"},
	"internal/session": {"internal/wire", flate},
	"internal/schema":  {"internal/wire", "github.com/santhosh-tekuri/jsonschema/v6"},
	"internal/auth": {
		"internal/wire", "firebase.google.com/go/v4", "google.golang.org/api/option", "golang.org/x/oauth2", prometheus,
	},

	// The page at / is a handler with files.
	"internal/console": nil,

	// A message as NATS carries it, for the two that publish: the mesh, and backends in Go.
	"internal/message": {"internal/wire", natsClient},
	"publish":          {"internal/wire", "internal/message", "internal/schema", natsClient, otel + "/propagation"},

	// Spans, and where they go. Nobody else knows of an exporter.
	"internal/trace":           {"internal/wire", otel, prometheus},
	"internal/trace/tracetest": {otlp, "google.golang.org/grpc", "google.golang.org/protobuf"},

	// The log. Whoever needs it declares an interface and is given a Mesh by app.
	"internal/mesh": {
		"internal/wire", "internal/message", "internal/trace", "nats", natsClient, prometheus, "golang.org/x/sync",
	},

	// The server that a process brings along. What only speaks to NATS does not carry it.
	"internal/natsserver": {"internal/wire", natsServer},

	// Who may say what to NATS, as users with keys.
	"internal/credentials": {"internal/wire", "nats", "github.com/nats-io/jwt/v2", "github.com/nats-io/nkeys"},

	// What speaks to clients. Neither knows of NATS, nor of the other.
	"internal/edge": {
		"internal/wire", "internal/auth", "internal/session", "internal/ring", "internal/netloop", "internal/limit",
		"internal/proxyproto", "internal/trace", gobwas, "github.com/gobwas/httphead", flate, prometheus,
	},
	"internal/api": {
		"internal/wire", "internal/auth", "internal/schema", "internal/trace", "github.com/danielgtaylor/huma/v2",
		"github.com/swaggest/swgui", "golang.org/x/time/rate", prometheus,
	},

	// The other side of the contract.
	"internal/client": {"internal/wire", gobwas},
	"internal/doctor": {"internal/wire", "internal/client"},

	// It wires everything, so it may see everything; see only.
	"internal/app": {"internal", prometheus},

	// The rules themselves.
	"internal/archtest": nil,

	// Definitions of streams and accounts, embedded.
	"nats": nil,
}

const (
	prometheus = "github.com/prometheus/client_golang/prometheus"
	gobwas     = "github.com/gobwas/ws"
	flate      = "github.com/klauspost/compress/flate"
	natsClient = "github.com/nats-io/nats.go"
	natsServer = "github.com/nats-io/nats-server/v2"
	otel       = "go.opentelemetry.io/otel"
	otlp       = "go.opentelemetry.io/proto/otlp"
)

// only says of some packages who alone may import them: folders, and all below.
var only = map[string][]string{
	natsClient:                  {"internal/mesh", "internal/message", "publish", "cmd/meshbench", "test/chaos"}, // one package speaks NATS, but for backends, and what measures and breaks it
	natsServer:                  {"internal/natsserver", "cmd/meshbench"},
	"golang.org/x/sys/unix":     {"internal/netloop", "cmd/meshbench", "test/chaos"}, // one package speaks epoll
	gobwas:                      {"internal/edge", "internal/client", "test/chaos"},  // the framing stays at the two ends
	"firebase.google.com/go/v4": {"internal/auth"},
	otel:                        {"internal/trace", "publish"}, // spans are made in one place
	"internal/app":              {"cmd"},                       // nothing is built on the whole
	"internal/mesh":             {"internal/app", "cmd"},
	"github.com/alecthomas/kong": {
		"cmd", // settings are read by commands; packages are given them
	},
}

// short is an import as the tables write it.
func short(imported string) string {
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		return ours
	}
	return imported
}

// wrongImports is what the imports of a file break.
func wrongImports(f *file) (wrong []string) {
	if f.test {
		return nil
	}
	allowed, hasRow := rows[f.dir()]
	for imported := range f.imports {
		name := short(imported)
		if standard(imported) {
			if imported == "testing" {
				wrong = append(wrong, fmt.Sprintf("%s imports testing: what only tests need belongs into a _test.go file", f.path))
			}
			continue
		}
		within := func(p string) bool { return below(name, p) }
		if hasRow && !slices.ContainsFunc(allowed, within) {
			wrong = append(wrong, fmt.Sprintf(
				"%s imports %s: %s may not know of it. Declare an interface in %[3]s and let internal/app pass the value, or, if the rule itself should change, change its row in internal/archtest and say so in ARCHITECTURE.md",
				f.path, name, f.dir()))
		}
		for guarded, who := range only {
			if below(name, guarded) && !slices.ContainsFunc(who, func(p string) bool { return below(f.dir(), p) }) && !below(f.dir(), guarded) {
				wrong = append(wrong, fmt.Sprintf("%s imports %s: only %s may", f.path, name, strings.Join(who, " and ")))
			}
		}
	}
	slices.Sort(wrong)
	return wrong
}

func TestImportsGoOneWay(t *testing.T) {
	for _, f := range sources(t) {
		for _, w := range wrongImports(f) {
			t.Error(w)
		}
	}
}

// withoutRow are the packages of internal that no row speaks of.
func withoutRow(files []*file) (dirs []string) {
	for _, f := range files {
		if _, ok := rows[f.dir()]; below(f.dir(), "internal") && !ok && !slices.Contains(dirs, f.dir()) {
			dirs = append(dirs, f.dir())
		}
	}
	return dirs
}

func TestEveryPackageHasARow(t *testing.T) {
	files := sources(t)
	for _, dir := range withoutRow(files) {
		t.Errorf("%s is new: add a row to rows in internal/archtest/imports_test.go with what it may import beside the standard library (as little as it needs), and a line to ARCHITECTURE.md", dir)
	}
	for dir := range rows {
		if !slices.ContainsFunc(files, func(f *file) bool { return f.dir() == dir }) {
			t.Errorf("%s is gone: remove its row", dir)
		}
	}
}

// No rows allow a circle between them.
func TestRowsAllowNoCircle(t *testing.T) {
	var reaches func(from, to string, seen map[string]bool) bool
	reaches = func(from, to string, seen map[string]bool) bool {
		for _, next := range rows[from] {
			if next == to || !seen[next] && next != "internal" && func() bool { seen[next] = true; return reaches(next, to, seen) }() {
				return true
			}
		}
		return false
	}
	for dir := range rows {
		if reaches(dir, dir, map[string]bool{}) {
			t.Errorf("the rows let %s import itself by way of others", dir)
		}
	}
}

// The checks find what they are for.
func TestImportChecksBite(t *testing.T) {
	for name, c := range map[string]struct{ path, source, want string }{
		"upwards":             {"internal/wire/x.go", `import "github.com/socialvibes/vibemesh/internal/edge"`, "internal/wire may not know of it"},
		"sideways":            {"internal/edge/x.go", `import "github.com/socialvibes/vibemesh/internal/api"`, "internal/edge may not know of it"},
		"a library too many":  {"internal/ring/x.go", `import "golang.org/x/exp/maps"`, "internal/ring may not know of it"},
		"renamed":             {"internal/ring/x.go", `import w "github.com/socialvibes/vibemesh/internal/wire"`, "internal/ring may not know of it"},
		"a name alike":        {"internal/config/x.go", `import "github.com/socialvibes/vibemesh/internal/wirex"`, "internal/config may not know of it"},
		"NATS in the edge":    {"internal/edge/x.go", `import "github.com/nats-io/nats.go/jetstream"`, "only internal/mesh and internal/message and publish and cmd/meshbench and test/chaos may"},
		"NATS in app":         {"internal/app/x.go", `import "github.com/nats-io/nats.go"`, "only internal/mesh and internal/message and publish and cmd/meshbench and test/chaos may"},
		"NATS in a command":   {"cmd/sv-cli/x.go", `import "github.com/nats-io/nats.go"`, "only internal/mesh and internal/message and publish and cmd/meshbench and test/chaos may"},
		"epoll in a command":  {"cmd/vibemesh/x.go", `import "golang.org/x/sys/unix"`, "only internal/netloop and cmd/meshbench and test/chaos may"},
		"framing in the API":  {"internal/api/x.go", `import "github.com/gobwas/ws/wsutil"`, "only internal/edge and internal/client and test/chaos may"},
		"app in the API":      {"internal/api/x.go", `import "github.com/socialvibes/vibemesh/internal/app"`, "only cmd may"},
		"testing":             {"cmd/vibemesh/x.go", `import "testing"`, "belongs into a _test.go file"},
		"allowed: below":      {"internal/edge/x.go", `import "github.com/gobwas/ws/wsutil"`, ""},
		"allowed: standard":   {"internal/wire/x.go", `import "net/http"`, ""},
		"allowed: bench":      {"cmd/meshbench/x.go", `import "golang.org/x/sys/unix"`, ""},
		"allowed: in a test":  {"internal/wire/x_test.go", `import "github.com/nats-io/nats.go"`, ""},
		"allowed: in command": {"cmd/vibemesh/x.go", `import "github.com/socialvibes/vibemesh/internal/app"`, ""},
	} {
		f, err := parse(c.path, []byte("package x\n"+c.source+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(wrongImports(f), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	f, err := parse("internal/brandnew/x.go", []byte("package brandnew\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := withoutRow([]*file{f, f}); !slices.Equal(got, []string{"internal/brandnew"}) {
		t.Errorf("packages without a row: %v", got)
	}
}
