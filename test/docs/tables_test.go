package docs_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/config"
	"github.com/socialvibes/vibemesh/internal/edge"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestSettings(t *testing.T) {
	var want, got [][]string
	for f := range fields(reflect.TypeFor[config.Config]()) {
		env := f.Tag.Get("env")
		want = append(want, []string{env, f.Tag.Get("default")})
		if flag := strings.ReplaceAll(strings.ToLower(env), "_", "-"); f.Tag.Get("name") != flag {
			t.Errorf("the flag of %s is --%s; the guide says that it is --%s", env, f.Tag.Get("name"), flag)
		}
	}
	for _, row := range table(t, "docs/operators.md", "variable") {
		got = append(got, []string{code(row[0]), code(row[1])})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings and defaults: the program (-), the guide (+)\n%s", diff)
	}
}

func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

func TestCodes(t *testing.T) {
	var registry struct {
		Close []struct {
			Code        int
			Retry, Text string
		}
		Frame   []struct{ Code, Text string }
		Problem []struct {
			Code, Text string
			Status     int
		}
	}
	if err := json.Unmarshal([]byte(read(t, "internal/wire/errors.json")), &registry); err != nil {
		t.Fatal(err)
	}
	var closes, frames, problems [][]string
	for _, c := range registry.Close {
		closes = append(closes, []string{fmt.Sprint(c.Code), c.Retry, c.Text})
	}
	for _, c := range registry.Frame {
		frames = append(frames, []string{"`" + c.Code + "`", c.Text})
	}
	for _, c := range registry.Problem {
		problems = append(problems, []string{fmt.Sprint(c.Status), "`" + c.Code + "`", c.Text})
	}
	for _, tt := range []struct {
		page, header string
		want         [][]string
	}{
		{"docs/app-developers.md", "code", closes},
		{"docs/app-developers.md", "error code", frames},
		{"docs/backend-developers.md", "status", problems},
	} {
		if diff := cmp.Diff(tt.want, table(t, tt.page, tt.header)); diff != "" {
			t.Errorf("%s, table %q: errors.json (-), the guide (+)\n%s", tt.page, tt.header, diff)
		}
	}
}

func TestGapReasons(t *testing.T) {
	var got []string
	for _, row := range table(t, "docs/app-developers.md", "reason") {
		got = append(got, code(row[0]))
	}
	if want := []string{wire.GapRetention, wire.GapLimit, wire.GapUnknown}; !slices.Equal(got, want) {
		t.Errorf("reasons of a gap: %v, want %v", got, want)
	}
}

func TestIDs(t *testing.T) {
	for _, row := range table(t, "docs/backend-developers.md", "id") {
		if want, err := wire.EncodeID(code(row[0])); err != nil || code(row[1]) != want {
			t.Errorf("%s is %s, %v; the guide says %s", row[0], want, err, row[1])
		}
	}
}

// TestMakeTargets: who wants to change the code finds each target that `make help` lists.
func TestMakeTargets(t *testing.T) {
	var want, got []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z0-9-]+):.*## `).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		want = append(want, m[1])
	}
	for _, row := range table(t, "CONTRIBUTING.md", "target") {
		got = append(got, strings.TrimPrefix(code(row[0]), "make "))
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets: the Makefile (-), CONTRIBUTING.md (+)\n%s", diff)
	}
}

// TestMetrics compares the guide with a scrape of a mesh in which something has
// happened. What appears only in trouble is asked of the edge's collectors.
func TestMetrics(t *testing.T) {
	m := startMesh(t, "127.0.0.1:0", t.TempDir())
	m.cause(t)
	users := t.TempDir()
	if out, err := exec.Command(filepath.Join(bin, "vibemesh"), "credentials", "--out", users, "--expires", "2160h").CombinedOutput(); err != nil {
		t.Fatalf("credentials: %v\n%s", err, out)
	}
	more := append(certificate(t), "WS_TOPICS=service", "WS_NATS_CREDS="+filepath.Join(users, "run.creds"))
	secure := startMesh(t, "127.0.0.1:0", t.TempDir(), more...)
	have := map[string][]string{}
	sample := regexp.MustCompile(`(?m)^(vibemesh_[a-z_]+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? [^ ]+$`)
	scrapes := secure.get("http://"+secure.ops+"/metrics") + m.get("http://"+m.ops+"/metrics")
	for _, s := range sample.FindAllStringSubmatch(scrapes, -1) {
		var labels []string
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(s[2], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		have[s[1]] = labels
	}
	if len(have) < 25 {
		t.Fatalf("the scrape has only %v", slices.Sorted(maps.Keys(have)))
	}
	addDescribed(t, have)
	documented := map[string][]string{}
	for _, row := range table(t, "docs/operators.md", "metric") {
		var labels []string
		for _, l := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			labels = append(labels, l[1])
		}
		documented[code(strings.TrimSuffix(row[0], " *"))] = labels
	}
	for _, labels := range []map[string][]string{have, documented} {
		for _, l := range labels {
			slices.Sort(l)
		}
	}
	if diff := cmp.Diff(have, documented); diff != "" {
		t.Errorf("metrics and their labels: the program (-), the guide (+)\n%s", diff)
	}
}

// certificate is the settings of a mesh that serves by TLS, with the certificate that
// net/http has for tests.
func certificate(t *testing.T) (env []string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"WS_TLS_CERT": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "WS_TLS_KEY": {Type: "PRIVATE KEY", Bytes: key},
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+path)
	}
	return env
}

// cause has every vector that ordinary life fills get a value.
func (m *mesh) cause(t *testing.T) {
	t.Helper()
	m.toast("ada", "for the metrics")
	c, err := client.Dial(t.Context(), client.Options{URL: "http://" + m.addr, Token: token(t, "ada"), Cursor: "AQEA"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{wire.FrameHello, wire.FrameGap} {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if text := wire.AppendFrame(nil, f); !strings.Contains(string(text), `"type":"`+want+`"`) {
			t.Fatalf("%s, want %s", text, want)
		}
	}
	c.Close(wire.CloseNormal)
	resp, err := http.Get("http://" + m.addr + "/api/v1/ws/history")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	eventually(t, "closed", func() bool {
		scrape := m.get("http://" + m.ops + "/metrics")
		return strings.Contains(scrape, `vibemesh_edge_closes_total{code="1000"} 1`) && strings.Contains(scrape, "vibemesh_log_bytes{")
	})
}

// addDescribed adds the vectors of the edge that have no value yet.
func addDescribed(t *testing.T, have map[string][]string) {
	t.Helper()
	e, err := edge.New(edge.Config{Loops: 1}, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	desc := regexp.MustCompile(`fqName: "(vibemesh_[a-z_]+)".*variableLabels: \{([^}]*)\}`)
	ch := make(chan *prometheus.Desc, 100)
	for _, c := range e.Collectors() {
		c.Describe(ch)
	}
	close(ch)
	for d := range ch {
		f := desc.FindStringSubmatch(d.String())
		if f == nil {
			t.Fatalf("a description of another shape: %s", d)
		}
		if _, scraped := have[f[1]]; !scraped {
			have[f[1]] = strings.Split(f[2], ",")
		}
	}
}
