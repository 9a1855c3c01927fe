package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMesh: what is published through HAProxy reaches everybody who is connected through
// HAProxy, once and in order, also those whose edge is drained meanwhile.
func TestMesh(t *testing.T) {
	const people = 12
	m := startMesh(t)
	if version := output(t, m.nats, "--version"); !strings.Contains(m.project.Services["nats-1"].Image, strings.TrimPrefix(strings.Fields(version)[1], "v")) {
		t.Errorf("compose.yaml has %s, go.mod %s", m.project.Services["nats-1"].Image, version)
	}
	m.hasRoutesApart()
	m.state("edge-1", "UP")
	m.state("edge-2", "UP")
	var listeners []*container
	for i := range people {
		listeners = append(listeners, m.listen(fmt.Sprint("u", i)))
		eventually(t, "signed in", func() bool { return m.sessions("edge-1")+m.sessions("edge-2") == i+1 })
	}
	if a, b := m.sessions("edge-1"), m.sessions("edge-2"); a != b {
		t.Errorf("%d and %d sessions: leastconn has them even", a, b)
	}

	publisher := m.cli("token", "--user", "shop", "--publisher")
	var titles []string
	publish := func() {
		titles = append(titles, fmt.Sprint("toast ", len(titles)))
		m.publish(publisher, titles[len(titles)-1])
	}
	for range 5 {
		publish()
	}
	edge := m.services["edge-1"]
	grace := time.Duration(*m.project.Services["edge-1"].StopGracePeriod)
	if err := edge.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everybody has moved", func() bool {
		publish()
		return m.sessions("edge-2") == people
	})
	if code := edge.wait(t, grace); code != 0 {
		t.Errorf("the drained edge ended with %d", code)
	}
	m.state("edge-1", "DOWN")
	for range 5 {
		publish()
	}
	for _, l := range listeners {
		eventually(t, l.name+" has all", func() bool { return len(l.printed.lines()) >= len(titles) })
		if got := received(t, l); !slices.Equal(got, titles) {
			t.Errorf("%s received %q, want %q", l.name, got, titles)
		}
	}

	m.start("edge-1") // as `docker compose up --detach edge-1` does
	m.state("edge-1", "UP")
	m.listen("late")
	eventually(t, "the edge that came back is used", func() bool { return m.sessions("edge-1") == 1 })
	m.isDiscreet(publisher)
}

// listen follows a person's session through HAProxy until the test ends.
func (m *mesh) listen(user string) *container {
	m.t.Helper()
	c := &container{name: user, user: "65532:65532", argv: append([]string{filepath.Join(m.image.root, "sv-cli")}, m.cliArgs("listen", "--user", user)...)}
	c.start(m.t)
	return c
}

func (m *mesh) cliArgs(args ...string) []string {
	return append(args, "--json", "--url", "http://"+m.ip("haproxy")+":8080")
}

// cli is what sv-cli prints.
func (m *mesh) cli(args ...string) string {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), filepath.Join(m.image.root, "sv-cli"), args...)
	out, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("%s: %v", cmd, err)
	}
	return strings.TrimSpace(string(out))
}

func (m *mesh) publish(token, title string) {
	m.t.Helper()
	body, err := json.Marshal(map[string]string{"title": title})
	if err != nil {
		m.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, "http://"+m.ip("haproxy")+":8080/api/v1/ws/toast", bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := direct.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(resp.Body) // the status says enough without it
		m.t.Fatalf("publishing %q: %s %s", title, resp.Status, text)
	}
}

// received are the titles of the events that a listener has printed.
func received(t *testing.T, l *container) (titles []string) {
	t.Helper()
	for _, line := range l.printed.lines() {
		var event struct {
			Payload struct{ Title string }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%s printed %q: %v", l.name, line, err)
		}
		titles = append(titles, event.Payload.Title)
	}
	return titles
}

// sessions is how many an edge has; 0 when it is not there.
func (m *mesh) sessions(edge string) int {
	_, body := get("http://" + m.ip(edge) + ":9090/metrics")
	found := regexp.MustCompile(`(?m)^vibemesh_edge_sessions (\d+)`).FindStringSubmatch(body)
	if found == nil {
		return 0
	}
	return number(found[1])
}

// state waits until HAProxy says so of an edge.
func (m *mesh) state(edge, state string) {
	m.t.Helper()
	want := fmt.Sprintf("haproxy_server_status{proxy=\"edges\",server=%q,state=%q} 1", edge, state)
	eventually(m.t, edge+" "+state, func() bool {
		_, body := get("http://" + m.ip("haproxy") + ":8404/metrics")
		return strings.Contains(body, want)
	})
}

// isDiscreet: a token that came in a query, also of a request that failed, is in no log.
func (m *mesh) isDiscreet(token string) {
	m.t.Helper()
	if status, body := get("http://" + m.ip("haproxy") + ":8080/api/v1/ws?token=" + token); status == 200 {
		m.t.Errorf("no upgrade: %d %s", status, body)
	}
	if status, _ := get("http://" + m.ip("haproxy") + ":8080/api/v1/ws/history?token=x" + token); status != 401 {
		m.t.Errorf("another's token in the query: %d, want 401", status)
	}
	for name, c := range m.services {
		if strings.Contains(c.out.String(), token) {
			m.t.Errorf("%s has logged a token", name)
		}
	}
}
