package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/wire"
)

type frameVector struct {
	input
	Frame json.RawMessage `json:"frame"`
}

// entryOf is the entry whose event frame was read.
func entryOf(ev wire.Event) (*wire.Entry, wire.Cursor, error) {
	id, err := wire.ParseEventID(ev.ID)
	if err != nil {
		return nil, nil, err
	}
	cursor, err := wire.ParseCursor(ev.Cursor)
	if err != nil {
		return nil, nil, err
	}
	e := &wire.Entry{
		Partition: id.Partition, Position: id.Position, Time: time.UnixMilli(ev.TS),
		Collapse: ev.Collapse, Envelope: wire.Envelope{Type: ev.Type, Payload: ev.Payload},
	}
	if ev.Expires != 0 {
		e.Expires = time.UnixMilli(ev.Expires)
	}
	topic, isTopic := strings.CutPrefix(ev.To, "topic:")
	switch {
	case ev.To == "user":
		e.Audience = wire.User("u")
	case ev.To == "broadcast":
		e.Audience = wire.Broadcast()
	case isTopic:
		e.Audience = wire.Topic(topic)
	default:
		return nil, nil, fmt.Errorf("audience %q", ev.To)
	}
	return e, cursor, nil
}

// encode writes a server frame as an edge does.
func encode(t testing.TB, f wire.ServerFrame) []byte {
	t.Helper()
	ev, ok := f.(wire.Event)
	if !ok {
		return wire.AppendFrame(nil, f)
	}
	e, cursor, err := entryOf(ev)
	if err != nil {
		t.Fatalf("event %q: %v", ev.ID, err)
	}
	return wire.AppendEvent(nil, e, cursor)
}

func TestServerFrameVectors(t *testing.T) {
	v := load[struct {
		Good      []frameVector `json:"good"`
		Tolerated []frameVector `json:"tolerated"`
		Malformed []input       `json:"malformed"`
	}](t, "server_frames.json")
	seen := map[string]bool{}
	read := func(t *testing.T, c frameVector) wire.ServerFrame {
		f, err := wire.ParseServerFrame(c.bytes(t))
		if err != nil {
			t.Fatal(err)
		}
		fields, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, "fields", fields, c.Frame)
		return f
	}
	for _, c := range v.Good {
		t.Run(c.Name, func(t *testing.T) {
			f := read(t, c)
			if got := encode(t, f); string(got) != string(c.bytes(t)) {
				t.Errorf("written again\ngot  %s\nwant %s", got, c.bytes(t))
			}
			seen[fmt.Sprintf("%T", f)] = true
		})
	}
	for _, c := range v.Tolerated {
		t.Run(c.Name, func(t *testing.T) { read(t, c) })
	}
	for _, c := range v.Malformed {
		t.Run(c.Name, func(t *testing.T) {
			if f, err := wire.ParseServerFrame(c.bytes(t)); !errors.Is(err, wire.ErrFrame) {
				t.Errorf("read as %#v, error %v; want ErrFrame", f, err)
			}
		})
	}
	for _, f := range []wire.ServerFrame{
		wire.Hello{}, wire.Event{}, wire.Gap{}, wire.Read{}, wire.Subscribed{}, wire.Error{}, wire.Reconnect{}, wire.Pong{}, wire.Auth{}, wire.Signal{},
	} {
		if !seen[fmt.Sprintf("%T", f)] {
			t.Errorf("no vector for a %T", f)
		}
	}
}

func TestClientFrameVectors(t *testing.T) {
	v := load[struct {
		Good      []frameVector `json:"good"`
		Tolerated []frameVector `json:"tolerated"`
		Refused   []struct {
			input
			Code string `json:"code"`
		} `json:"refused"`
	}](t, "client_frames.json")
	read := func(t *testing.T, c frameVector) []byte {
		f, err := wire.ParseClientFrame(c.bytes(t))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // as JSON.stringify, which clients use
		if err := enc.Encode(f); err != nil {
			t.Fatal(err)
		}
		sameJSON(t, "fields", b.Bytes(), c.Frame)
		return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	}
	for _, c := range v.Good {
		t.Run(c.Name, func(t *testing.T) {
			if got := read(t, c); string(got) != string(c.bytes(t)) {
				t.Errorf("written again\ngot  %s\nwant %s", got, c.bytes(t))
			}
		})
	}
	for _, c := range v.Tolerated {
		t.Run(c.Name, func(t *testing.T) { read(t, c) })
	}
	for _, c := range v.Refused {
		t.Run(c.Name, func(t *testing.T) {
			f, err := wire.ParseClientFrame(c.bytes(t))
			var refused *wire.RefusedFrameError
			if !errors.As(err, &refused) {
				t.Fatalf("read as %#v, error %v; want a *RefusedFrameError", f, err)
			}
			if refused.Code != c.Code || refused.Message == "" || len(refused.Message) > 500 {
				t.Errorf("got code %q (%s), want %q and a short message", refused.Code, refused.Message, c.Code)
			}
		})
	}
}

func TestCloseVectors(t *testing.T) {
	type vector struct {
		Code  int    `json:"code"`
		Retry string `json:"retry"`
		Text  string `json:"text"`
	}
	v := load[struct {
		Registered []vector `json:"registered"`
		Others     []vector `json:"others"`
	}](t, "closes.json")
	retries := map[string]wire.Retry{"backoff": wire.RetryBackoff, "changed": wire.RetryChanged, "never": wire.RetryNever}
	check := func(c vector) {
		want, ok := retries[c.Retry]
		if got := wire.RetryAfterClose(c.Code); !ok || got != want {
			t.Errorf("%d: retry %d, want %q", c.Code, got, c.Retry)
		}
		if got := wire.CloseText(c.Code); got != c.Text {
			t.Errorf("%d: text %q, want %q", c.Code, got, c.Text)
		}
	}
	var codes []int
	for _, c := range v.Registered {
		check(c)
		codes = append(codes, c.Code)
		if n := len(c.Text); n == 0 || n > 123 { // RFC 6455, 5.5: 125 bytes with the code
			t.Errorf("%d: a close frame cannot carry a text of %d bytes", c.Code, n)
		}
	}
	for _, c := range v.Others {
		check(c)
	}
	var registered []int
	for _, c := range readRegistry(t).Close {
		registered = append(registered, c.Code)
	}
	if diff := cmp.Diff(registered, codes); diff != "" {
		t.Errorf("closes.json and errors.json differ (-errors +closes):\n%s", diff)
	}
}

// TestSignalTooDeep: what every edge would drop as malformed is not sent on. The app's client
// counts no levels, so this is no vector.
func TestSignalTooDeep(t *testing.T) {
	for depth, good := range map[int]bool{wire.MaxDepth: true, wire.MaxDepth + 1: false} {
		payload := strings.Repeat(`{"a":`, depth-1) + "{}" + strings.Repeat("}", depth-1)
		_, err := wire.ParseClientFrame([]byte(`{"type":"signal","topic":"a","name":"typing","payload":` + payload + `}`))
		if (err == nil) != good {
			t.Errorf("%d levels: %v", depth, err)
		}
	}
}
