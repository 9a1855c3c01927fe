package message_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/message"
	"github.com/socialvibes/vibemesh/internal/wire"
)

func toast(a wire.Audience) *wire.Message {
	return &wire.Message{Audience: a, Envelope: wire.Envelope{Type: "toast", Payload: []byte(`{"title":"Hi"}`)}}
}

// place is the partition that nats-server maps a subject of prefix.ws to, and as what
// the log stores it there.
func place(s wire.Subjects, subject string) string {
	if s.Partitions() == 1 {
		return subject
	}
	tokens := strings.Split(strings.TrimPrefix(subject, "sv.ws."), ".")
	if len(tokens) == 1 {
		return "sv.log.0." + tokens[0]
	}
	h := fnv.New32a()
	h.Write([]byte(tokens[1]))
	return fmt.Sprintf("sv.log.%d.%s.%s", h.Sum32()%uint32(s.Partitions()), tokens[0], tokens[1])
}

// TestBothWays: whichever way a message goes, it comes to the same place.
func TestBothWays(t *testing.T) {
	at := time.Now().Add(time.Hour)
	for _, partitions := range []int{1, 2, 5, 256} {
		s := wire.Subjects{}.Partitioned(partitions)
		for i := range 40 {
			for _, a := range []wire.Audience{wire.Broadcast(), wire.User(fmt.Sprint("u", i)), wire.Topic(strings.Repeat("é", 64-i))} {
				msg := toast(a)
				stored, err := message.New(s, message.Stored, msg)
				if err != nil {
					t.Fatal(err)
				}
				mapped, err := message.New(s, message.Mapped, msg)
				if err != nil {
					t.Fatal(err)
				}
				if got := place(s, mapped.Subject); got != stored.Subject {
					t.Errorf("%s is mapped to %s, want %s", mapped.Subject, got, stored.Subject)
				}
				msg.At, msg.MsgID = at, fmt.Sprint("key-", i, strings.Repeat("k", 3*i))
				waiting, err := message.New(s, message.Mapped, msg)
				if err != nil {
					t.Fatal(err)
				}
				target := waiting.Header.Get("Nats-Schedule-Target")
				to := place(s, waiting.Subject)
				if target != stored.Subject || partition(to) != partition(target) {
					t.Errorf("%s waits at %s for %s", stored.Subject, to, target)
				}
				again, err := message.New(s, message.Mapped, msg)
				if err != nil || again.Subject != waiting.Subject {
					t.Errorf("the same id waits at %s, then at %s (%v)", waiting.Subject, again.Subject, err)
				}
			}
		}
	}
}

// partition is the number in a subject of a log of several partitions.
func partition(subject string) string {
	rest, several := strings.CutPrefix(subject, "sv.log.")
	if !several {
		return ""
	}
	n, _, _ := strings.Cut(rest, ".")
	return n
}

func TestHeaders(t *testing.T) {
	msg := toast(wire.User("ada"))
	msg.MsgID, msg.TTL, msg.Collapse = "id", 1500*time.Millisecond, "k"
	now, err := message.New(wire.Subjects{}, message.Stored, msg)
	if err != nil {
		t.Fatal(err)
	}
	msg.At = time.Date(2999, 5, 1, 9, 0, 0, 5e6, time.FixedZone("", 7200))
	later, err := message.New(wire.Subjects{}, message.Stored, msg)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		got     *nats.Msg
		subject string
		want    nats.Header
	}{
		{now, "sv.ws.user.ada", nats.Header{"Nats-Msg-Id": {"id"}, "Nats-TTL": {"2"}, "Sv-Collapse": {"k"}}},
		{later, "sv.ws.schedule.id", nats.Header{
			"Nats-Msg-Id": {"id"}, "Nats-TTL": {"never"}, "Sv-Collapse": {"k"}, "Nats-Schedule": {"@at 2999-05-01T07:00:00.005Z"},
			"Nats-Schedule-Target": {"sv.ws.user.ada"}, "Nats-Schedule-TTL": {"2"},
		}},
	} {
		if diff := cmp.Diff(tt.want, tt.got.Header); diff != "" || tt.got.Subject != tt.subject {
			t.Errorf("%s (-want +got)\n%s", tt.got.Subject, diff)
		}
		if string(tt.got.Data) != `{"type":"toast","payload":{"title":"Hi"}}` {
			t.Errorf("%s", tt.got.Data)
		}
	}
}

func TestRefused(t *testing.T) {
	large := toast(wire.User("ada"))
	large.Envelope.Payload = []byte(`{"a":"` + strings.Repeat("x", wire.MaxEnvelope) + `"}`)
	collapse := toast(wire.User("ada"))
	collapse.Collapse = "a b"
	for want, msg := range map[error]*wire.Message{wire.ErrEnvelopeSize: large, wire.ErrCollapse: collapse, wire.ErrID: toast(wire.User(""))} {
		for _, way := range []message.Way{message.Stored, message.Mapped} {
			if got, err := message.New(wire.Subjects{}, way, msg); !errors.Is(err, want) {
				t.Errorf("%+v, %v; want %v", got, err, want)
			}
		}
	}
}
