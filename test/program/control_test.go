package program_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// request calls the API with the shared secret; a body makes it a POST.
func request(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-SV-KEY", secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

// dial opens a session and reads its hello.
func dial(t *testing.T, url, token string, topics ...string) *client.Conn {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{URL: url, Token: token, Topics: topics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(wire.CloseNormal) })
	if f, err := next(t, c); err != nil {
		t.Fatal(err)
	} else if _, ok := f.(wire.Hello); !ok {
		t.Fatalf("the first frame is %+v", f)
	}
	return c
}

func next(t *testing.T, c *client.Conn) (wire.ServerFrame, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return c.Next(ctx)
}

// ends reads until a session ends, and compares the close code.
func ends(t *testing.T, c *client.Conn, code int) {
	t.Helper()
	for {
		_, err := next(t, c)
		if err == nil {
			continue
		}
		if ce, ok := err.(*client.CloseError); !ok || ce.Code != code { //nolint:errorlint // Next returns it as it is
			t.Fatalf("ended with %v, want %d", err, code)
		}
		return
	}
}

// TestControl: three edges and an API over one NATS, seen by backends and operators.
func TestControl(t *testing.T) {
	n := startNATS(t)
	provision(t, n.URL())
	nats1 := "WS_NATS_URL=" + n.URL()
	var edges []*process
	for i := range 3 {
		edges = append(edges, start(t, "edge", nats1, fmt.Sprint("WS_NODE=edge-", i)))
	}
	api := start(t, "api", nats1)
	base := api.url() + "/api/v1/ws/"

	ada := []*client.Conn{
		dial(t, edges[0].url(), token(t, "ada"), "club"), dial(t, edges[0].url(), token(t, "ada")), dial(t, edges[2].url(), token(t, "ada"), "club"),
	}
	bob := dial(t, edges[1].url(), token(t, "bob"), "club")
	is := func(query, want string) {
		t.Helper()
		eventually(t, want, func() bool {
			status, answer := request(t, base+"presence?"+query, "")
			return status == http.StatusOK && answer == want
		})
	}
	is("user=ada", `{"user":"ada","online":true,"devices":3,"edges":["edge-0","edge-2"],"complete":true}`)
	is("topic=club", `{"topic":"club","members":3,"complete":true}`)
	is("user=nobody", `{"user":"nobody","online":false,"devices":0,"edges":[],"complete":true}`)

	// A disconnect reaches all of them, and nobody else.
	if status, answer := request(t, base+"disconnect", `{"user":"ada","reason":"spam"}`); status != 200 || answer != `{"sessions":3,"edges":["edge-0","edge-2"],"complete":true}` {
		t.Errorf("disconnect: %d %s", status, answer)
	}
	for _, c := range ada {
		ends(t, c, wire.CloseDisconnected)
	}
	is("user=ada", `{"user":"ada","online":false,"devices":0,"edges":[],"complete":true}`)
	is("user=bob", `{"user":"bob","online":true,"devices":1,"edges":["edge-1"],"complete":true}`)

	// What is revoked is refused by every process, sessions and all, and also by one that
	// starts later.
	old := issued(t, "ada", time.Now().Add(-time.Minute))
	session := dial(t, edges[1].url(), old)
	if status, answer := request(t, base+"revoke", fmt.Sprintf(`{"user":"ada","before":%d}`, time.Now().Add(-30*time.Second).Unix())); status != 200 {
		t.Fatalf("revoke: %d %s", status, answer)
	}
	ends(t, session, wire.CloseToken)
	edges[1].kill()
	edges[1] = start(t, "edge", nats1, "WS_NODE=edge-1")
	for _, e := range edges {
		c, err := client.Dial(t.Context(), client.Options{URL: e.url(), Token: old})
		if err != nil {
			t.Fatal(err)
		}
		ends(t, c, wire.CloseToken)
		dial(t, e.url(), issued(t, "ada", time.Now())).Close(wire.CloseNormal)
	}
	eventually(t, "refused by the API", func() bool {
		status, body := api.get(base + "history?token=" + old)
		return status == http.StatusUnauthorized && strings.Contains(body, "revoked")
	})
	if status, _ := api.get(base + "history?token=" + issued(t, "ada", time.Now())); status != http.StatusOK {
		t.Errorf("a new token is refused: %d", status)
	}
	bob.Close(wire.CloseNormal)

	// `nats micro` finds the edges.
	nc, err := nats.Connect(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	inbox, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.PublishRequest("$SRV.INFO.vibemesh-edge", inbox.Subject, nil); err != nil {
		t.Fatal(err)
	}
	nodes := map[string]bool{}
	for len(nodes) < 3 {
		msg, err := inbox.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatalf("%v answered: %v", nodes, err)
		}
		var info micro.Info
		if err := json.Unmarshal(msg.Data, &info); err != nil || len(info.Endpoints) != 3 {
			t.Fatalf("%s: %v", msg.Data, err)
		}
		nodes[info.Metadata["node"]] = true
	}
}

// issued is a token of another time.
func issued(t *testing.T, uid string, at time.Time) string {
	t.Helper()
	text, err := auth.MintDev(auth.DevClaims{UID: uid, TTL: time.Hour}, at)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSignals: a client's signal reaches the others of its topic at another edge, a
// backend's whom it is for, and neither is in the log.
func TestSignals(t *testing.T) {
	n := startNATS(t)
	provision(t, n.URL())
	one := start(t, "edge", "WS_NATS_URL="+n.URL())
	two := start(t, "edge", "WS_NATS_URL="+n.URL())
	api := start(t, "api", "WS_NATS_URL="+n.URL())
	ada := dial(t, one.url()+"/api/v1/ws?signals=1", token(t, "ada"), "chess")
	bob := dial(t, two.url()+"/api/v1/ws?signals=1", token(t, "bob"), "chess")
	subscribed := func(p *process) bool { // to bob or ada, the topic, and everybody
		_, metrics := p.get("http://" + p.ops + "/metrics")
		return strings.Contains(metrics, "vibemesh_signal_subscriptions 3")
	}
	eventually(t, "subscribed", func() bool { return subscribed(one) && subscribed(two) })

	frame := wire.ClientFrame{Type: wire.FrameSignal, Topic: "chess", Name: "typing", Payload: []byte(`{"on":true}`)}
	wants := func(c *client.Conn, want string) {
		t.Helper()
		f, err := next(t, c)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(wire.AppendFrame(nil, f)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if err := ada.Send(t.Context(), frame); err != nil {
		t.Fatal(err)
	}
	wants(bob, `{"type":"signal","name":"typing","to":"topic:chess","from":"ada","payload":{"on":true}}`)
	nc, err := nats.Connect(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.Publish("sv.signal.user.ada", []byte(`{"type":"call","payload":{"id":7}}`)); err != nil {
		t.Fatal(err)
	}
	wants(ada, `{"type":"signal","name":"call","to":"user","payload":{"id":7}}`) // and not her own before it

	if status, answer := post(t, api.url(), map[string]any{"title": "stored"}); status != http.StatusCreated || answer["seq"] != 1.0 {
		t.Errorf("the log holds something already: %d %v", status, answer)
	}
	if got := titlesOf(t, api, "bob"); fmt.Sprint(got) != "[stored]" {
		t.Errorf("history: %v", got)
	}
}

// TestTopicService: a backend decides who may join which topic.
func TestTopicService(t *testing.T) {
	p := start(t, "run", "WS_TOPICS=service")
	nc, err := nats.Connect(p.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	wants := func(topics []string, codes ...string) {
		t.Helper()
		c := dial(t, p.url(), token(t, "ada"), topics...)
		defer c.Close(wire.CloseNormal)
		for _, code := range codes {
			f, err := next(t, c)
			if err != nil {
				t.Fatal(err)
			}
			if e, ok := f.(wire.Error); !ok || e.Code != code {
				t.Errorf("got %+v, want the error %s", f, code)
			}
		}
	}
	wants([]string{"news"}, wire.FrameErrUnavailable) // there is no service yet
	if _, err := nc.QueueSubscribe("sv.auth.topic", "backend", func(m *nats.Msg) {
		var q struct{ UID, Topic string }
		if json.Unmarshal(m.Data, &q) == nil {
			m.Respond(fmt.Appendf(nil, `{"allow":%v,"ttl":60}`, q.UID == "ada" && q.Topic == "news"))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	wants([]string{"news", "secret"}, wire.FrameErrForbidden)
	if status, answer := request(t, p.url()+"/api/v1/ws/presence?topic=secret", ""); status != 200 || !strings.Contains(answer, `"members":0`) {
		t.Errorf("members of the topic: %d %s", status, answer)
	}
}
