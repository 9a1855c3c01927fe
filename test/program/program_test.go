package program_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/client"
)

// TestKillAndRestart is a crash of the whole mesh: kill -9, messages published
// as soon as it is back, and nothing missing and nothing twice.
func TestKillAndRestart(t *testing.T) {
	data := t.TempDir()
	p := start(t, "run", "WS_DATA_DIR="+data)
	alice := follow(t, p.url(), "alice")
	var want []string
	publish := func(p *process, n int) {
		for range n {
			title := fmt.Sprint("message ", len(want))
			if status, answer := post(t, p.url(), map[string]any{"title": title}); status != http.StatusCreated {
				t.Fatalf("publish: %d %v", status, answer)
			}
			want = append(want, title)
		}
	}
	for round := range 3 {
		publish(p, 20)
		if round == 1 {
			alice.wants(t, want) // once with everything received before the crash
		}
		p.kill()
		p = start(t, "run", "WS_DATA_DIR="+data, "WS_ADDR="+p.addr)
		publish(p, 20)
	}
	alice.wants(t, want)
	if status := p.terminate(); status != 0 {
		t.Errorf("after SIGTERM the exit status is %d", status)
	}
	if !p.said(`"stopped"`) || p.said("panic") {
		t.Error("it did not say that it stopped")
	}
	if p.said(secret) || p.said(token(t, "alice")[:20]) {
		t.Error("a secret is in the log")
	}
}

// TestSecondSignal ends at once what drains for long.
func TestSecondSignal(t *testing.T) {
	p := start(t, "run", "WS_DRAIN_TIMEOUT=1h")
	c, err := client.Dial(t.Context(), client.Options{URL: p.url(), Token: token(t, "alice")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(1000)
	p.cmd.Process.Signal(os.Interrupt)
	eventually(t, "draining", func() bool { return p.said("draining") })
	p.cmd.Process.Signal(os.Interrupt)
	<-p.done
	if p.said(`"stopped"`) {
		t.Error("the second signal waited for a clean end")
	}
}

// TestMalformed: nothing wrong reaches a client, nothing wrong stops the tail.
func TestMalformed(t *testing.T) {
	p := start(t, "run")
	alice := follow(t, p.url(), "alice")

	status, problem := post(t, p.url(), map[string]any{
		"teaser": 7, "image_url": "http://insecure", "action_url": "javascript:alert(1)", "to": map[string]any{"user": "a", "topic": "b"},
	})
	text, err := json.Marshal(problem)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"title", "teaser", "image_url", "action_url", "to"} {
		if !strings.Contains(string(text), `body.`+field+`"`) {
			t.Errorf("the problem does not name %s: %s", field, text)
		}
	}
	if status != http.StatusUnprocessableEntity {
		t.Errorf("status %d, want 422", status)
	}

	js := jetStream(t, p.nats)
	for subject, data := range map[string]string{
		"sv.ws.broadcast":     `{"type":"toast","payload":{"title":""}}`,
		"sv.ws.user.alice":    `not JSON`,
		"sv.ws.user.*":        `{"type":"toast","payload":{"title":"to a wildcard"}}`,
		"sv.ws.user.=YWxpY2U": `{"type":"toast","payload":{"title":"alice in base64"}}`,
		"sv.ws.nobody":        `{"type":"toast","payload":{"title":"nowhere"}}`,
		"sv.ws.topic.x":       "{\"type\":\"toast\",\"payload\":{\"title\":\"\xff\"}}",
	} {
		if _, err := js.Publish(t.Context(), subject, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	spoofed := nats.NewMsg("sv.ws.user.alice")
	spoofed.Data = []byte(`{"type":"toast","payload":{"title":"with the server's headers"}}`)
	for _, h := range []string{"Nats-Sequence", "Nats-Subject", "Nats-Time-Stamp", "Status", "Nats-Num-Pending"} {
		spoofed.Header.Set(h, "204")
	}
	if _, err := js.PublishMsg(t.Context(), spoofed); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "sv.ws.broadcast", []byte(`{"type":"new.type","payload":{"title":"of no schema"}}`)); err != nil {
		t.Fatal(err)
	}
	alice.wants(t, []string{"with the server's headers", "of no schema"})
	if !p.said("malformed and was skipped") || !p.said(`"seq":6`) {
		t.Error("what was skipped is not in the log with its sequence")
	}
	if _, metrics := p.get("http://" + p.ops + "/metrics"); !strings.Contains(metrics, `vibemesh_tail_skipped_total{reason="envelope"} 2`) ||
		!strings.Contains(metrics, `vibemesh_tail_skipped_total{reason="subject"} 3`) ||
		!strings.Contains(metrics, `vibemesh_tail_skipped_total{reason="payload"} 1`) {
		t.Error("what was skipped is not counted")
	}
	late := follow(t, p.url(), "alice") // and the history says the same as the sockets
	late.wants(t, nil)
	if history := titlesOf(t, p, "alice"); fmt.Sprint(history) != "[of no schema with the server's headers]" {
		t.Errorf("history: %v", history)
	}
}

func titlesOf(t *testing.T, p *process, uid string) (titles []string) {
	t.Helper()
	status, body := p.get(p.url() + "/api/v1/ws/history?token=" + token(t, uid))
	var page struct {
		Events []struct{ Payload struct{ Title string } }
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK {
		t.Fatalf("history: %d %s", status, body)
	}
	for _, e := range page.Events {
		titles = append(titles, e.Payload.Title)
	}
	return titles
}

func jetStream(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// TestNATSGoesAway: sockets stay open, publishing says that it cannot, and
// everything goes on when NATS is back.
func TestNATSGoesAway(t *testing.T) {
	n := startNATS(t)
	provision(t, n.URL())
	p := start(t, "edge", "WS_NATS_URL="+n.URL())
	api := start(t, "api", "WS_NATS_URL="+n.URL())
	alice := follow(t, p.url(), "alice")
	if status, _ := post(t, api.url(), map[string]any{"title": "before"}); status != http.StatusCreated {
		t.Fatalf("publish: %d", status)
	}
	alice.wants(t, []string{"before"})

	n.Stop()
	eventually(t, "not ready", func() bool {
		status, body := p.get("http://" + p.ops + "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "NATS")
	})
	eventually(t, "refused", func() bool {
		status, _ := post(t, api.url(), map[string]any{"title": "lost"})
		return status == http.StatusServiceUnavailable
	})
	n.start(t)
	p.waitReady()
	api.waitReady()
	eventually(t, "published", func() bool {
		status, _ := post(t, api.url(), map[string]any{"title": "after"})
		return status == http.StatusCreated
	})
	alice.wants(t, []string{"before", "after"})
	if alice.hellos != 1 {
		t.Errorf("%d sessions, want the first one to last", alice.hellos)
	}
}

// TestCommandLine: wrong settings are said before anything starts.
func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		args []string
		env  string
		code int
		says string
	}{
		{args: []string{"--help"}, says: "provision"},
		{args: []string{"run", "--help"}, says: "WS_RING_BYTES"},
		{args: []string{"--version"}, says: "vibemesh"},
		{args: []string{"run"}, code: 2, says: "FIREBASE_PROJECT_ID is empty"},
		{args: []string{"run"}, env: "WS_AUTH=dev", code: 2, says: "127.0.0.1:8080"},
		{args: []string{"edge", "--ws-auth=dev"}, env: "WS_ADDR=127.0.0.1:0", code: 2, says: "WS_NATS_URL is empty"},
		{args: []string{"dance"}, code: 2, says: "dance"},
	} {
		cmd := exec.Command(filepath.Join(bin, "vibemesh"), tt.args...)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), tt.env)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.says) {
			t.Errorf("%v %s: status %d (%v), want %d and %q:\n%s", tt.args, tt.env, code, err, tt.code, tt.says, out)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("WS_REPLICAS=2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "vibemesh"), "run")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "WS_REPLICAS 2") {
		t.Errorf(".env is not read: %s", out)
	}
}
