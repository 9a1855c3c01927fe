package nats_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/app"
	"github.com/socialvibes/vibemesh/internal/wire"
	"github.com/socialvibes/vibemesh/publish"
)

// TestEachRoleDoesItsJob runs a whole mesh with the credentials of each role, and in the
// end nobody has tried anything that their role may not do.
func TestEachRoleDoesItsJob(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			dir, url, said := single(t, partitions)
			args := []string{fmt.Sprint("--ws-partitions=", partitions), "--ws-topics=service"}
			t.Run("provision", func(t *testing.T) {
				start(t, dir, url, "provision", args...)
				start(t, dir, url, "provision", append(args, "--ws-read-mirror")...)
				start(t, dir, url, "provision", append(args, "--ws-read-mirror", "--ws-history-age=1000h")...) // changes what is there
				start(t, dir, url, "provision", append(args, "--ws-history-age=1000h")...)                     // the mirror is not wanted any more
				start(t, dir, url, "provision", append(args, "--ws-read-mirror")...)
			})
			args = append(args, "--ws-read-mirror")
			t.Run("mesh", func(t *testing.T) {
				answerTopics(t, dir, url)
				edge, api := start(t, dir, url, "edge", args...), start(t, dir, url, "api", args...)
				t.Run("api and edge", func(t *testing.T) { apiAndEdge(t, api, edge) })
				t.Run("backend", func(t *testing.T) { backend(t, dir, url, edge) })
				t.Run("operator", func(t *testing.T) { operator(t, dir, url, edge) })
				t.Run("run", func(t *testing.T) {
					whole := start(t, dir, url, "run", args...)
					apiAndEdge(t, whole, whole)
					apiAndEdge(t, api, whole) // whose orders reach it
					apiAndEdge(t, whole, edge)
				})
				t.Run("a tail that begins again", func(t *testing.T) { tailAgain(t, dir, url, api, edge) })
			})
			t.Run("backup", func(t *testing.T) {
				first := "SV_LOG"
				if partitions > 1 {
					first = "SV_LOG_0"
				}
				nc := as(t, dir, url, "backup")
				backup(t, nc, first)
				backup(t, nc, "KV_SV_REVOKED")
			})
			if v := said.violations(); v != nil {
				t.Errorf("somebody tried what their role may not do:\n%s", strings.Join(v, "\n"))
			}
			everythingIsUsed(t, dir, said, partitions)
		})
	}
}

// answerTopics lets everybody join everything, as the service of a backend.
func answerTopics(t *testing.T, dir, url string) {
	t.Helper()
	nc := as(t, dir, url, "topics")
	if _, err := nc.QueueSubscribe("sv.auth.topic", "topics", func(m *nats.Msg) { m.Respond([]byte(`{"allow":true,"ttl":0}`)) }); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

// apiAndEdge is what an API and an edge do for people.
func apiAndEdge(t *testing.T, api, edge *app.App) {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	ada, club := fmt.Sprint("ada-", time.Now().UnixNano()), "club-"+name
	a := signIn(t, edge, ada, "", club)
	b := signIn(t, edge, "bob-"+ada, "", club)

	// Published, delivered, in the history, read.
	request(t, api, http.MethodPost, "toast", `{"title":"one","to":{"users":["`+ada+`"]}}`, 201)
	a.wantsTitle("one")
	request(t, api, http.MethodPost, "toast", `{"title":"all"}`, 201)
	a.wantsTitle("all")
	b.wantsTitle("all")
	var many []string
	for i := range 20 { // an atomic batch in every partition
		many = append(many, fmt.Sprintf(`%q`, fmt.Sprint("somebody-", i, "-", ada)))
	}
	request(t, api, http.MethodPost, "toast", `{"title":"many","to":{"users":[`+strings.Join(many, ",")+`,"`+ada+`"]}}`, 201)
	a.wantsTitle("many")
	request(t, api, http.MethodPost, "events", `{"events":[{"type":"toast","payload":{"title":"topic"},"to":{"topic":"`+club+`"}}]}`, 201)
	a.wantsTitle("topic")
	if page := request(t, api, http.MethodGet, "history?token="+token(t, ada)+"&limit=3", "", 200); !strings.Contains(page, `"title":"many"`) {
		t.Errorf("history: %s", page)
	}
	if err := a.conn.Send(t.Context(), wire.ClientFrame{Type: wire.FrameRead, UpTo: a.event}); err != nil {
		t.Fatal(err)
	}
	a.wants(func(f wire.ServerFrame) bool { _, ok := f.(wire.Read); return ok }, "what was read")
	request(t, api, http.MethodPost, "toast", `{"title":"unread","to":{"users":["`+ada+`"]}}`, 201) // so that the API has something to store
	a.wantsTitle("unread")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+api.Addr().String()+"/api/v1/ws/read?token="+token(t, ada),
		strings.NewReader(`{"up_to":"`+a.event+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	ask(t, req, 200)

	// Scheduled: one comes, one is cancelled.
	var receipts []struct{ ID string }
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }
	body := request(t, api, http.MethodPost, "toast", `{"title":"never","to":{"users":["`+ada+`"]},"deliver_at":"`+in(time.Hour)+`"}`, 201)
	if err := json.Unmarshal([]byte(body), &receipts); err != nil {
		t.Fatal(err)
	}
	request(t, api, http.MethodGet, "schedule/"+receipts[0].ID, "", 200)
	request(t, api, http.MethodDelete, "schedule/"+receipts[0].ID, "", 204)
	request(t, api, http.MethodPost, "toast", `{"title":"later","to":{"users":["`+ada+`"]},"deliver_at":"`+in(time.Second)+`"}`, 201)
	a.wantsTitle("later")

	// Signals, presence, status.
	eventually(t, "a signal", func() bool { // once the edge is subscribed
		if err := a.conn.Send(t.Context(), wire.ClientFrame{Type: wire.FrameSignal, Topic: club, Name: "typing", Payload: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
		return true
	})
	b.wantsSignal("typing")
	eventually(t, "present", func() bool {
		answer := request(t, api, http.MethodGet, "presence?user="+ada, "", 200)
		return strings.Contains(answer, `"devices":1`) && strings.Contains(answer, `"complete":true`)
	})
	if answer := request(t, api, http.MethodGet, "presence?topic="+club, "", 200); !strings.Contains(answer, `"members":2`) {
		t.Errorf("presence of the topic: %s", answer)
	}
	eventually(t, "the status", func() bool {
		answer := request(t, api, http.MethodGet, "status", "", 200)
		return strings.Contains(answer, `"complete":true`)
	})

	// Back from the stream, disconnected, revoked.
	if err := b.conn.Close(wire.CloseNormal); err != nil {
		t.Fatal(err)
	}
	request(t, api, http.MethodPost, "toast", `{"title":"missed"}`, 201)
	b = signIn(t, edge, b.uid, b.cursor)
	b.wantsTitle("missed")
	request(t, api, http.MethodPost, "disconnect", `{"user":"`+b.uid+`"}`, 200)
	b.ends(wire.CloseDisconnected)
	request(t, api, http.MethodPost, "revoke", fmt.Sprintf(`{"user":%q,"before":%d}`, ada, time.Now().Unix()+2), 200)
	a.ends(wire.CloseToken)
	request(t, api, http.MethodPost, "revoke", fmt.Sprintf(`{"user":%q,"before":%d}`, ada, time.Now().Unix()+3), 200) // a second time
}

// backend publishes in each way that there is, on its own connection to NATS.
func backend(t *testing.T, dir, url string, edge *app.App) {
	nc := as(t, dir, url, "backend", nats.ReconnectBufSize(-1))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	a := signIn(t, edge, "ada", "", "news")
	if ack, err := js.Publish(t.Context(), "sv.ws.user.ada", envelope("plain"), jetstream.WithMsgID("1")); err != nil || ack.Sequence == 0 {
		t.Fatalf("%+v, %v", ack, err)
	}
	a.wantsTitle("plain")
	if ack, err := js.Publish(t.Context(), "sv.ws.user.ada", envelope("plain"), jetstream.WithMsgID("1")); err != nil || !ack.Duplicate {
		t.Errorf("the second time: %+v, %v", ack, err)
	}
	p, err := publish.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := p.Toast(ctx, publish.ToTopic("news"), publish.Toast{Title: "topic"}); err != nil {
		t.Fatal(err)
	}
	a.wantsTitle("topic")
	if _, err := p.ToastUsers(ctx, []string{"bob", "cleo", "dan", "eve", "ada"}, publish.Toast{Title: "batch"}); err != nil {
		t.Fatal(err)
	}
	a.wantsTitle("batch")
	if _, err := p.Toast(ctx, publish.ToEverybody(), publish.Toast{Title: "soon"}, publish.At(time.Now().Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	a.wantsTitle("soon")
	eventually(t, "signalled", func() bool { return p.Signal(ctx, publish.ToUser("ada"), "call", nil) == nil })
	a.wantsSignal("call")
}

// operator looks around as the nats command does, and orders.
func operator(t *testing.T, dir, url string, edge *app.App) {
	nc := as(t, dir, url, "operator")
	a := signIn(t, edge, "zoe", "")
	if _, err := nc.SubscribeSync("sv.ctl.edges"); err != nil {
		t.Fatal(err)
	}
	var consumers struct{ Consumers []string }
	if msg, err := nc.Request("$JS.API.CONSUMER.NAMES.KV_SV_REVOKED", nil, 5*time.Second); err != nil || json.Unmarshal(msg.Data, &consumers) != nil || len(consumers.Consumers) == 0 {
		t.Fatalf("%+v, %v", consumers, err)
	}
	for _, subject := range []string{
		"$JS.API.CONSUMER.INFO.KV_SV_REVOKED." + consumers.Consumers[0],
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.KV_SV_REVOKED", "$JS.API.CONSUMER.LIST.KV_SV_REVOKED",
		"$SYS.REQ.USER.INFO", "$SRV.PING", "$SRV.INFO", "$SRV.STATS", "$SRV.PING.vibemesh-edge", "$SRV.INFO.vibemesh-edge", "$SRV.STATS.vibemesh-edge",
	} {
		msg, err := nc.Request(subject, nil, 5*time.Second)
		if err != nil || strings.Contains(string(msg.Data), `"error":`) {
			t.Errorf("%s: %s, %v", subject, msg.Data, err)
		}
	}
	for _, order := range []string{"presence", "status", "disconnect"} {
		subject := "sv.ctl." + order
		msg, err := nc.Request(subject, []byte(`{"user":"zoe"}`), 5*time.Second)
		if err != nil || !strings.Contains(string(msg.Data), `"node":"edge"`) {
			t.Errorf("%s: %v", subject, err)
		}
	}
	a.ends(wire.CloseDisconnected)
}

// tailAgain takes an edge's consumers away, as a server that restarts may, and sees it go
// on.
func tailAgain(t *testing.T, dir, url string, api, edge *app.App) {
	looking, deleting := as(t, dir, url, "operator"), as(t, dir, url, "edge")
	a := signIn(t, edge, "ada", "")
	var streams struct{ Streams []string }
	msg, err := looking.Request("$JS.API.STREAM.NAMES", nil, 5*time.Second)
	if err != nil || json.Unmarshal(msg.Data, &streams) != nil {
		t.Fatal(err)
	}
	deleted := 0
	for _, stream := range streams.Streams {
		if !strings.HasPrefix(stream, "SV_LOG") || strings.HasPrefix(stream, "SV_LOG_READ") {
			continue
		}
		var consumers struct{ Consumers []string }
		msg, err := looking.Request("$JS.API.CONSUMER.NAMES."+stream, nil, 5*time.Second)
		if err != nil || json.Unmarshal(msg.Data, &consumers) != nil {
			t.Fatal(err)
		}
		for _, name := range consumers.Consumers {
			if _, err := deleting.Request("$JS.API.CONSUMER.DELETE."+stream+"."+name, nil, 5*time.Second); err != nil {
				t.Fatal(err)
			}
			deleted++
		}
	}
	if deleted == 0 {
		t.Fatal("the edge has no consumers")
	}
	request(t, api, http.MethodPost, "toast", `{"title":"again"}`, 201)
	a.wantsTitle("again")
}

// backup copies a stream away, removes it and puts it back, as `nats stream backup` and
// `nats stream restore` do.
func backup(t *testing.T, nc *nats.Conn, stream string) {
	t.Helper()
	backupAs(t, nc, stream, func(config json.RawMessage) json.RawMessage { return config })
}

// backupAs has it restored with another configuration.
func backupAs(t *testing.T, nc *nats.Conn, stream string, as func(json.RawMessage) json.RawMessage) {
	t.Helper()
	for _, list := range []string{"NAMES", "LIST"} {
		if msg, err := nc.Request("$JS.API.STREAM."+list, nil, 5*time.Second); err != nil || !strings.Contains(string(msg.Data), `"`+stream+`"`) {
			t.Errorf("%s: %v", list, err)
		}
	}
	info := func() (messages uint64, config json.RawMessage) {
		msg, err := nc.Request("$JS.API.STREAM.INFO."+stream, nil, 5*time.Second)
		var answer struct {
			Config json.RawMessage
			State  struct{ Messages uint64 }
		}
		if err != nil || json.Unmarshal(msg.Data, &answer) != nil {
			t.Fatal(err)
		}
		return answer.State.Messages, answer.Config
	}
	before, config := info()
	inbox := nc.NewInbox()
	chunks, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := nc.Request("$JS.API.STREAM.SNAPSHOT."+stream, fmt.Appendf(nil, `{"deliver_subject":%q,"chunk_size":1024}`, inbox), 5*time.Second)
	if err != nil || strings.Contains(string(msg.Data), `"error":`) {
		t.Fatalf("%s, %v", msg.Data, err)
	}
	var state struct{ State json.RawMessage }
	if err := json.Unmarshal(msg.Data, &state); err != nil {
		t.Fatal(err)
	}
	var copied [][]byte
	for {
		chunk, err := chunks.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk.Data) == 0 {
			break
		}
		copied = append(copied, chunk.Data)
		if chunk.Reply == "" { // it is asked now and then only
			continue
		}
		if err := chunk.Respond(nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nc.Request("$JS.API.STREAM.DELETE."+stream, nil, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	msg, err = nc.Request("$JS.API.STREAM.RESTORE."+stream, fmt.Appendf(nil, `{"config":%s,"state":%s}`, as(config), state.State), 5*time.Second)
	var to struct {
		DeliverSubject string `json:"deliver_subject"`
	}
	if err != nil || json.Unmarshal(msg.Data, &to) != nil || to.DeliverSubject == "" {
		t.Fatalf("%s, %v", msg.Data, err)
	}
	for _, chunk := range append(copied, nil) {
		if msg, err = nc.Request(to.DeliverSubject, chunk, 10*time.Second); err != nil || strings.Contains(string(msg.Data), `"error":`) {
			t.Fatalf("%s, %v", msg.Data, err)
		}
	}
	if after, _ := info(); after != before || before == 0 {
		t.Errorf("%d messages were restored of %d", after, before)
	}
}
