package nats_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
	"github.com/socialvibes/vibemesh/publish"
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

// TestBackendsAreBounded: what a backend takes of the servers has an end, and it knows from
// the server how large a message may be.
func TestBackendsAreBounded(t *testing.T) {
	dir, url, _ := single(t, 1)
	nc := as(t, dir, url, "backend")
	heard, err := as(t, dir, url, "edge").SubscribeSync("sv.signal.>")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "heard", func() bool {
		if err := nc.Publish("sv.signal.broadcast", make([]byte, 128<<10)); err != nil {
			t.Fatal(err)
		}
		_, err := heard.NextMsg(100 * time.Millisecond)
		return err == nil
	})
	if err := nc.Publish("sv.signal.broadcast", make([]byte, 128<<10+1)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("a larger one: %v", err)
	}
	refused := func(i int) bool {
		if _, err := nc.SubscribeSync(fmt.Sprint("_INBOX_backend.", i)); err != nil {
			t.Fatal(err)
		}
		return nc.Flush() != nil || errors.Is(nc.LastError(), nats.ErrMaxSubscriptionsExceeded) // the server ends the connection
	}
	for i := range 101 {
		if got := refused(i); got != (i == 100) {
			t.Fatalf("subscription %d: refused %v, %v", i+1, got, nc.LastError())
		}
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

	// Whoever knows the id of another backend's message has that one taken for a repetition.
	send("sv.ws.user.bob", nats.Header{"Nats-Msg-Id": {"order-7@user.bob"}}, envelope("another"))
	p, err := publish.New(as(t, dir, url, "backend", nats.ReconnectBufSize(-1)))
	if err != nil {
		t.Fatal(err)
	}
	if receipt, err := p.Toast(t.Context(), publish.ToUser("bob"), publish.Toast{Title: "paid"}, publish.IdempotencyKey("order-7")); err != nil || !receipt.Duplicate {
		t.Errorf("%+v, %v", receipt, err)
	}

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

// TestSchedulesOutliveTheirMaker holds docs/operators.md to what it says of schedules that
// repeat themselves, and of batches that do not end.
func TestSchedulesOutliveTheirMaker(t *testing.T) {
	dir, url, _ := single(t, 1)
	start(t, dir, url, "provision")
	edge, api := start(t, dir, url, "edge"), start(t, dir, url, "api")
	eve, nc := signIn(t, edge, "eve", ""), as(t, dir, url, "backend")
	ask := func(subject string, header nats.Header) string {
		t.Helper()
		msg, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: header}, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return string(msg.Data)
	}
	ask("sv.ws.other.id", nats.Header{"Nats-Schedule": {"@every 1s"}, "Nats-Schedule-Target": {"sv.ws.user.eve"}, "Nats-Schedule-Source": {"sv.ws.user.bob"}})
	full := ""
	for i := range 51 {
		full = ask("sv.ws.user.ada", nats.Header{"Nats-Batch-Id": {fmt.Sprint(i)}, "Nats-Batch-Sequence": {"1"}})
	}
	if !strings.Contains(full, "too many inflight") {
		t.Errorf("the fifty-first batch: %s", full)
	}
	nc.Close()
	for _, title := range []string{"the first of bob", "the second of bob"} {
		request(t, api, http.MethodPost, "toast", `{"title":"`+title+`","to":{"users":["bob"]}}`, 201)
		eve.wantsTitle(title)
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

	// And has what it says come from the log as an order.
	edge := start(t, dir, url, "edge")
	eve := signIn(t, edge, "eve", "")
	config = `{"name":"SV_LOG","subjects":["sv.ws.>"],"republish":{"src":"sv.ws.probe.*","dest":"sv.ctl.disconnect"}}`
	if _, err := nc.Request("$JS.API.STREAM.UPDATE.SV_LOG", []byte(config), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Request("sv.ws.probe.x", []byte(`{"user":"eve"}`), 5*time.Second); err != nil {
		t.Fatal(err)
	}
	eve.ends(wire.CloseDisconnected)
}
