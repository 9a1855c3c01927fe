package wire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestEnvelopeVectors(t *testing.T) {
	v := load[struct {
		Good []struct {
			input
			Type         string  `json:"type"`
			Payload      *string `json:"payload"`
			PayloadParts []part  `json:"payload_parts"`
		} `json:"good"`
		Malformed []struct {
			input
			Error string `json:"error"`
		} `json:"malformed"`
	}](t, "envelopes.json")
	for _, c := range v.Good {
		t.Run(c.Name, func(t *testing.T) {
			payload := join(c.PayloadParts)
			if c.Payload != nil {
				payload = *c.Payload
			}
			e, err := wire.ParseEnvelope(c.bytes(t))
			if err != nil {
				t.Fatal(err)
			}
			if e.Type != c.Type || string(e.Payload) != payload {
				t.Errorf("got %q %.200q\nwant %q %.200q", e.Type, e.Payload, c.Type, payload)
			}
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			sameJSON(t, "written again", text, fmt.Appendf(nil, `{"type":%q,"payload":%s}`, c.Type, payload))
		})
	}
	kinds := map[string]error{"envelope": wire.ErrEnvelope, "type": wire.ErrEventType, "size": wire.ErrEnvelopeSize}
	for _, c := range v.Malformed {
		t.Run(c.Name, func(t *testing.T) {
			e, err := wire.ParseEnvelope(c.bytes(t))
			if want := kinds[c.Error]; want == nil || !errors.Is(err, want) {
				t.Errorf("read as %.200v, error %v; want %v", e, err, want)
			}
		})
	}
}

type decimal uint64

func (d *decimal) UnmarshalJSON(data []byte) error {
	text, err := strconv.Unquote(string(data))
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	*d = decimal(n)
	return err
}

type positionVector struct {
	Life decimal `json:"life"`
	Seq  decimal `json:"seq"`
}

func (p positionVector) position() wire.Position {
	return wire.Position{Life: uint64(p.Life), Seq: uint64(p.Seq)}
}

func TestCursorVectors(t *testing.T) {
	v := load[struct {
		Good []struct {
			input
			Positions []positionVector `json:"positions"`
		} `json:"good"`
		Malformed []input `json:"malformed"`
	}](t, "cursors.json")
	for _, c := range v.Good {
		t.Run(c.Name, func(t *testing.T) {
			var want wire.Cursor
			for _, p := range c.Positions {
				want = append(want, p.position())
			}
			got, err := wire.ParseCursor(*c.Text)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
			if got := want.String(); got != *c.Text {
				t.Errorf("written as %q, want %q", got, *c.Text)
			}
		})
	}
	for _, c := range v.Malformed {
		t.Run(c.Name, func(t *testing.T) {
			if got, err := wire.ParseCursor(string(c.bytes(t))); !errors.Is(err, wire.ErrCursor) {
				t.Errorf("read as %v, error %v; want ErrCursor", got, err)
			}
		})
	}
}

func TestEventIDVectors(t *testing.T) {
	v := load[struct {
		Good []struct {
			input
			Partition int `json:"partition"`
			positionVector
		} `json:"good"`
		Malformed []input `json:"malformed"`
	}](t, "event_ids.json")
	for _, c := range v.Good {
		t.Run(c.Name, func(t *testing.T) {
			want := wire.EventID{Partition: c.Partition, Position: c.position()}
			if got, err := wire.ParseEventID(*c.Text); err != nil || got != want {
				t.Errorf("read as %+v, error %v; want %+v", got, err, want)
			}
			if got := want.String(); got != *c.Text {
				t.Errorf("written as %q, want %q", got, *c.Text)
			}
		})
	}
	for _, c := range v.Malformed {
		t.Run(c.Name, func(t *testing.T) {
			got, err := wire.ParseEventID(string(c.bytes(t)))
			if !errors.Is(err, wire.ErrEventID) {
				t.Fatalf("read as %v, error %v; want ErrEventID", got, err)
			}
			if len(err.Error()) > 500 {
				t.Errorf("an error of %d bytes repeats what a client sent", len(err.Error()))
			}
		})
	}
}
