package program_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// device is one of a person's, on an edge.
type device struct {
	t      *testing.T
	uid    string
	conn   *client.Conn
	hello  wire.Hello
	cursor string
}

// on signs a device in, from where it left off.
func (d *device) on(url string) *device {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{URL: url, Token: token(d.t, d.uid), Cursor: d.cursor, Unread: d.cursor == ""})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close(wire.CloseNormal) })
	d.conn = c
	hello, ok := d.next().(wire.Hello)
	if !ok {
		d.t.Fatal("the first frame is not hello")
	}
	d.hello = hello
	return d
}

func (d *device) next() wire.ServerFrame {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	f, err := d.conn.Next(ctx)
	if err != nil {
		d.t.Fatalf("%s: %v", d.uid, err)
	}
	if c := client.CursorOf(f); c != "" {
		d.cursor = c
	}
	return f
}

func (d *device) says(f wire.ClientFrame) {
	d.t.Helper()
	if err := d.conn.Send(d.t.Context(), f); err != nil {
		d.t.Fatal(err)
	}
}

// reads waits for what the person has read, of these events, as one 0 or 1 each.
func (d *device) reads(ids []wire.EventID, want string) {
	d.t.Helper()
	f, ok := d.next().(wire.Read)
	got := ""
	for _, id := range ids {
		bit := "0"
		if f.IsRead(id) {
			bit = "1"
		}
		got += bit
	}
	if !ok || got != want {
		d.t.Fatalf("%s: %+v: read are %s, want %s", d.uid, f, got, want)
	}
}

// events waits for so many.
func (d *device) events(n int) {
	d.t.Helper()
	for range n {
		if f, ok := d.next().(wire.Event); !ok {
			d.t.Fatalf("%s: got %+v, want an event", d.uid, f)
		}
	}
}

func (d *device) quiet() {
	d.t.Helper()
	d.says(wire.ClientFrame{Type: wire.FramePing})
	if f, ok := d.next().(wire.Pong); !ok {
		d.t.Fatalf("%s: got %+v, want nothing", d.uid, f)
	}
}

// ask makes a request as a person.
func ask(t *testing.T, method, url, uid, body string, answer any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token(t, uid))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, url, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
}

// TestReadState: what is read on one device is read on the others, on whichever edge,
// and nobody else's; it is counted, and it survives edges and NATS servers.
func TestReadState(t *testing.T) {
	for _, partitions := range []string{"1", "3"} {
		t.Run(partitions+" partitions", func(t *testing.T) { testReadState(t, partitions) })
	}
}

func testReadState(t *testing.T, partitions string) {
	data := t.TempDir()
	env := []string{"WS_DATA_DIR=" + data, "WS_PARTITIONS=" + partitions}
	hub := start(t, "run", env...) // with the nats-server of all
	others := []string{"WS_NATS_URL=" + hub.nats, "WS_PARTITIONS=" + partitions}
	edges := []*process{hub, start(t, "edge", others...), start(t, "edge", others...)}

	phone, desk := (&device{t: t, uid: "alice"}).on(edges[1].url()), (&device{t: t, uid: "alice"}).on(edges[2].url())
	bob := (&device{t: t, uid: "bob"}).on(edges[1].url())
	for _, d := range []*device{phone, desk, bob} {
		if d.hello.Unread == nil || *d.hello.Unread != 0 {
			t.Fatalf("%s begins with %+v", d.uid, d.hello)
		}
		d.reads(nil, "")
	}
	var ids []wire.EventID
	for _, to := range []map[string]any{{"title": "1"}, {"title": "2", "to": map[string]any{"user": "alice"}}, {"title": "3"}, {"title": "4"}} {
		status, answer := post(t, hub.url(), to)
		id, err := wire.ParseEventID(fmt.Sprint(answer["id"]))
		if status != http.StatusCreated || err != nil {
			t.Fatalf("publish: %d %v", status, answer)
		}
		ids = append(ids, id)
	}
	phone.events(4)
	desk.events(4)
	bob.events(3)

	phone.says(wire.ClientFrame{Type: wire.FrameRead, UpTo: ids[1].String()})
	phone.reads(ids, "1100")
	desk.reads(ids, "1100")
	desk.says(wire.ClientFrame{Type: wire.FrameRead, Read: []string{ids[3].String()}, Unread: []string{ids[0].String()}})
	desk.reads(ids, "0101")
	phone.reads(ids, "0101")
	bob.quiet()

	history := func(uid string) string {
		var page struct {
			Events []struct {
				ID   string
				Read bool
			}
			Unread int
		}
		ask(t, http.MethodGet, hub.url()+"/api/v1/ws/history", uid, "", &page)
		line := fmt.Sprint(page.Unread)
		for _, e := range page.Events {
			line += fmt.Sprint(" ", e.Read)
		}
		return line
	}
	if got := history("alice"); got != "2 true false true false" {
		t.Errorf("alice's history: %s", got)
	}
	if got := history("bob"); got != "3 false false false" {
		t.Errorf("bob's history: %s", got)
	}

	// An edge dies; meanwhile something is done by HTTP, as of before the last change too.
	edges[1].kill()
	var answer struct {
		Read   wire.Read
		Unread int
	}
	ask(t, http.MethodPost, hub.url()+"/api/v1/ws/read", "alice", fmt.Sprintf(`{"unread":[%q],"at":1000}`, ids[3]), &answer)
	if answer.Unread != 2 {
		t.Errorf("what was done long ago counts: %+v", answer)
	}
	ask(t, http.MethodPost, hub.url()+"/api/v1/ws/read", "alice", fmt.Sprintf(`{"unread":[%q]}`, ids[1]), &answer)
	if answer.Unread != 3 {
		t.Errorf("unread again: %+v", answer)
	}
	desk.reads(ids, "0001")
	phone.on(edges[2].url()).reads(ids, "0001")
	phone.quiet()
	tablet := (&device{t: t, uid: "alice"}).on(edges[2].url())
	if tablet.hello.Unread == nil || *tablet.hello.Unread != 3 {
		t.Errorf("a new device begins with %+v", tablet.hello)
	}
	tablet.reads(ids, "0001")

	// All that this session was sent, and then the server of all dies.
	tablet.says(wire.ClientFrame{Type: wire.FrameRead, All: true, Unread: []string{ids[2].String()}})
	tablet.reads(ids, "1101")
	hub.kill()
	hub = start(t, "run", append(env, "WS_ADDR="+hub.addr, "WS_NATS_LISTEN="+hub.nats[len("nats://"):])...)
	if got := history("alice"); got != "1 true false true true" {
		t.Errorf("alice's history after the crash: %s", got)
	}
}
