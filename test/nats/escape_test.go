package nats_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TestAcknowledgementsAreNoOrders: nats-server does not ask whether a publisher may
// publish to the reply subject that it names, and JetStream acknowledges there. That of a
// backend is in its own account, where nobody acts on anything.
func TestAcknowledgementsAreNoOrders(t *testing.T) {
	dir, url, said := single(t, 1)
	start(t, dir, url, "provision")
	edge, api := start(t, dir, url, "edge"), start(t, dir, url, "api")
	old := token(t, "eve")
	request(t, api, http.MethodPost, "revoke", `{"user":"eve"}`, 200)
	request(t, api, http.MethodPost, "toast", `{"title":"kept"}`, 201)
	ada := signIn(t, edge, "ada", "")

	looking, nc := as(t, dir, url, "operator"), as(t, dir, url, "backend")
	var consumers struct{ Consumers []string }
	if msg, err := looking.Request("$JS.API.CONSUMER.NAMES.SV_LOG", nil, 5*time.Second); err != nil || json.Unmarshal(msg.Data, &consumers) != nil || len(consumers.Consumers) == 0 {
		t.Fatalf("%+v, %v", consumers, err)
	}
	replies := []string{
		"$KV.SV_REVOKED.eve", "sv.ctl.disconnect", "sv.ctl.presence", "sv.ctl.edges", "sv.auth.topic", "sv.ws.user.ada", "sv.ws.read.ada",
		"$JS.API.STREAM.PURGE.SV_LOG", "$JS.API.STREAM.DELETE.SV_LOG", "$JS.API.STREAM.MSG.DELETE.SV_LOG", "$JS.API.STREAM.UPDATE.SV_LOG",
		"$JS.API.STREAM.DELETE.KV_SV_REVOKED", "$JS.API.STREAM.PURGE.KV_SV_REVOKED", "$JS.API.STREAM.MSG.DELETE.KV_SV_REVOKED",
		"$JS.API.CONSUMER.CREATE.SV_LOG.c", "$JS.API.CONSUMER.DELETE.SV_LOG." + consumers.Consumers[0],
		"$JS.API.STREAM.LEADER.STEPDOWN.SV_LOG", "$JS.API.META.LEADER.STEPDOWN",
	}
	for i, reply := range replies {
		// Of a batch the answers are empty, which JetStream takes for a request without options.
		batch := nats.Header{"Nats-Batch-Id": {fmt.Sprint(i)}, "Nats-Batch-Sequence": {"1"}}
		if err := nc.PublishMsg(&nats.Msg{Subject: "sv.ws.user.ada", Reply: reply, Header: batch, Data: envelope("of a batch")}); err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishMsg(&nats.Msg{Subject: "sv.ws.user.ada", Reply: reply, Data: envelope(reply)}); err != nil {
			t.Fatal(err)
		}
		ada.wantsTitle(reply)
	}
	ada.wantsTitle(last(t, nc))
	if page := request(t, api, http.MethodGet, "history?token="+token(t, "ada")+"&limit=50", "", 200); !strings.Contains(page, `"title":"kept"`) || !strings.Contains(page, replies[0]) {
		t.Errorf("the log has lost something: %s", page)
	}
	msg, err := looking.Request("$JS.API.STREAM.INFO.KV_SV_REVOKED", nil, 5*time.Second)
	if err != nil || !strings.Contains(string(msg.Data), `"messages":1,`) {
		t.Errorf("the bucket: %s, %v", msg.Data, err)
	}

	// Who revokes can write nonsense of eve into the bucket; whoever starts then lets nobody in by it.
	if err := as(t, dir, url, "api").Publish("$KV.SV_REVOKED.eve", []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "written", func() bool {
		msg, err := looking.Request("$JS.API.STREAM.INFO.KV_SV_REVOKED", nil, 5*time.Second)
		return err == nil && strings.Contains(string(msg.Data), `"last_seq":2,`)
	})
	for _, a := range []string{"edge", "run"} {
		later := start(t, dir, url, a)
		eve := dial(t, later, old)
		eve.ends(wire.CloseToken)
	}
	if v := said.violations(); v != nil {
		t.Errorf("that was meant to be allowed:\n%s", strings.Join(v, "\n"))
	}
}

// last publishes one that nothing is done about, so that all before it was.
func last(t *testing.T, nc *nats.Conn) string {
	t.Helper()
	if _, err := nc.Request("sv.ws.user.ada", envelope("last"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	return "last"
}

// TestWhatSubjectsCannotForbid holds docs/operators.md to what it says of those who may
// publish to the log, or read it.
func TestWhatSubjectsCannotForbid(t *testing.T) {
	dir, url, _ := single(t, 1)
	start(t, dir, url, "provision")
	edge, api := start(t, dir, url, "edge"), start(t, dir, url, "api")
	request(t, api, http.MethodPost, "toast", `{"title":"for bob alone","to":{"users":["bob"]}}`, 201)
	eve, nc := signIn(t, edge, "eve", ""), as(t, dir, url, "backend")
	send := func(subject string, header nats.Header, data []byte) {
		t.Helper()
		msg, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: data}, 5*time.Second)
		if err != nil || strings.Contains(string(msg.Data), `"error":`) {
			t.Fatalf("%s, %v", msg.Data, err)
		}
	}

	// A schedule copies what another subject holds.
	send("sv.ws.schedule.copy", nats.Header{
		"Nats-Schedule": {"@at " + time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)}, "Nats-Schedule-Target": {"sv.ws.user.eve"},
		"Nats-Schedule-Source": {"sv.ws.user.bob"},
	}, nil)
	eve.wantsTitle("for bob alone")

	// Who may read the log has what is in it sent to any subject: an edge gives orders.
	own := as(t, dir, url, "edge")
	stored, err := own.Request("sv.ws.read.nobody", []byte(`{"user":"eve"}`), 5*time.Second)
	var ack struct{ Seq uint64 }
	if err != nil || json.Unmarshal(stored.Data, &ack) != nil || ack.Seq == 0 {
		t.Fatalf("%+v, %v", stored, err)
	}
	if err := own.PublishRequest("$JS.API.DIRECT.GET.SV_LOG", "sv.ctl.disconnect", fmt.Appendf(nil, `{"seq":%d}`, ack.Seq)); err != nil {
		t.Fatal(err)
	}
	eve.ends(wire.CloseDisconnected)

	// A roll-up removes what is before it.
	send("sv.ws.user.eve", nats.Header{"Nats-Rollup": {"all"}}, envelope("the only one"))
	if page := request(t, api, http.MethodGet, "history?token="+token(t, "bob"), "", 200); strings.Contains(page, "for bob alone") {
		t.Errorf("it is still there: %s", page)
	}
}

// TestEmptyAnswersAreOrders holds docs/operators.md to what it says of answers without a
// body: JetStream's API takes one for a request without options.
func TestEmptyAnswersAreOrders(t *testing.T) {
	for role, empty := range map[string]*nats.Msg{
		"edge": {Subject: "$JS.API.DIRECT.GET.SV_LOG", Data: []byte(`{"seq":999}`)},
		"api":  {Subject: "$JS.API.DIRECT.GET.SV_LOG", Data: []byte(`{"seq":999}`)},
	} {
		t.Run(role, func(t *testing.T) {
			dir, url, _ := single(t, 1)
			start(t, dir, url, "provision")
			nc, looking := as(t, dir, url, role), as(t, dir, url, "operator")
			empty.Reply = "$JS.API.STREAM.DELETE.KV_SV_REVOKED"
			if err := nc.PublishMsg(empty); err != nil {
				t.Fatal(err)
			}
			eventually(t, "deleted", func() bool {
				msg, err := looking.Request("$JS.API.STREAM.INFO.KV_SV_REVOKED", nil, 5*time.Second)
				return err == nil && strings.Contains(string(msg.Data), `"stream not found"`)
			})
		})
	}
}

// TestWhoChangesStreamsReadsThem holds docs/operators.md to what it says of provisioners.
func TestWhoChangesStreamsReadsThem(t *testing.T) {
	dir, url, _ := single(t, 1)
	nc := as(t, dir, url, "provision")
	heard, err := nc.SubscribeSync("_INBOX_provision.copy.>")
	if err != nil {
		t.Fatal(err)
	}
	config := `{"name":"SV_LOG","subjects":["sv.ws.>"],"republish":{"src":">","dest":"_INBOX_provision.copy.>"}}`
	if _, err := nc.Request("$JS.API.STREAM.CREATE.SV_LOG", []byte(config), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := as(t, dir, url, "backend").Request("sv.ws.user.ada", envelope("for ada"), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if msg, err := heard.NextMsg(5 * time.Second); err != nil || !strings.Contains(string(msg.Data), "for ada") {
		t.Errorf("%+v, %v", msg, err)
	}
}
