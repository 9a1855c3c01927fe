package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// seed adds every text of a file's lists to a fuzz target.
func seed(f *testing.F, file string, add func(text []byte)) {
	for _, inputs := range load[map[string][]json.RawMessage](f, file) {
		for _, raw := range inputs {
			var in input
			if err := json.Unmarshal(raw, &in); err != nil {
				f.Fatal(err)
			}
			add(in.bytes(f))
		}
	}
}

// What is accepted is compact JSON in UTF-8, is accepted again unchanged, and
// makes an event frame that a client reads.
func FuzzParseEnvelope(f *testing.F) {
	seed(f, "envelopes.json", func(text []byte) { f.Add(text) })
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := wire.ParseEnvelope(data)
		if err != nil {
			if !errors.Is(err, wire.ErrEnvelope) && !errors.Is(err, wire.ErrEventType) && !errors.Is(err, wire.ErrEnvelopeSize) {
				t.Fatalf("error %v of no kind", err)
			}
			return
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, e.Payload); err != nil || compact.String() != string(e.Payload) {
			t.Fatalf("payload %q is not compact JSON (%v)", e.Payload, err)
		}
		if !utf8.Valid(e.Payload) || e.Payload[0] != '{' || wire.CheckEventType(e.Type) != nil || len(e.Payload) > len(data) {
			t.Fatalf("accepted %q %q", e.Type, e.Payload)
		}
		if again, err := wire.ParseEnvelope(slices.Concat([]byte(`{"type":"`+e.Type+`","payload":`), e.Payload, []byte(`}`))); len(e.Payload) < wire.MaxEnvelope-100 && (err != nil || !cmp.Equal(again, e)) {
			t.Fatalf("read again as %v, error %v", again, err)
		}
		entry := &wire.Entry{Position: wire.Position{Life: 1, Seq: 2}, Time: time.UnixMilli(3), Audience: wire.Broadcast(), Envelope: e}
		frame, err := wire.ParseServerFrame(wire.AppendEvent(nil, entry, wire.Cursor{entry.Position}))
		if ev, ok := frame.(wire.Event); err != nil || !ok || ev.Type != e.Type || !bytes.Equal(ev.Payload, e.Payload) {
			t.Fatalf("a client reads %v, error %v", frame, err)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	seed(f, "cursors.json", func(text []byte) { f.Add(string(text)) })
	f.Fuzz(func(t *testing.T, text string) {
		c, err := wire.ParseCursor(text)
		switch {
		case err != nil && !errors.Is(err, wire.ErrCursor):
			t.Fatalf("error %v of no kind", err)
		case err == nil && (c.String() != text || len(c) == 0 || len(c) > wire.MaxPartitions):
			t.Fatalf("%q is read as %v, which is written %q", text, c, c)
		}
	})
}

func FuzzParseEventID(f *testing.F) {
	seed(f, "event_ids.json", func(text []byte) { f.Add(string(text)) })
	f.Fuzz(func(t *testing.T, text string) {
		id, err := wire.ParseEventID(text)
		switch {
		case err != nil && !errors.Is(err, wire.ErrEventID):
			t.Fatalf("error %v of no kind", err)
		case err == nil && (id.String() != text || id.Partition < 0 || id.Partition >= wire.MaxPartitions):
			t.Fatalf("%q is read as %+v, which is written %q", text, id, id)
		}
	})
}

// What is accepted can be written, and is then read as the same.
func FuzzParseServerFrame(f *testing.F) {
	seed(f, "server_frames.json", func(text []byte) { f.Add(text) })
	f.Fuzz(func(t *testing.T, text []byte) {
		frame, err := wire.ParseServerFrame(text)
		if err != nil {
			if !errors.Is(err, wire.ErrFrame) || frame != nil {
				t.Fatalf("frame %v with error %v", frame, err)
			}
			return
		}
		var out []byte
		if ev, ok := frame.(wire.Event); ok {
			e, cursor, err := entryOf(ev)
			if err != nil || !utf8.Valid(text) || !json.Valid(ev.Payload) {
				return // nothing that an edge would send
			}
			out = wire.AppendEvent(nil, e, cursor)
		} else {
			out = wire.AppendFrame(nil, frame)
		}
		again, err := wire.ParseServerFrame(out)
		if diff := cmp.Diff(frame, again, cmpopts.EquateEmpty()); err != nil || diff != "" || !utf8.Valid(out) || !json.Valid(out) {
			t.Fatalf("written %q, error %v (-first +again):\n%s", out, err, diff)
		}
	})
}

// What is accepted is usable as it stands; what is refused is answered by an
// error frame that a client can read, with a code of the registry.
func FuzzParseClientFrame(f *testing.F) {
	seed(f, "client_frames.json", func(text []byte) { f.Add(text) })
	var codes []string
	for _, c := range readRegistry(f).Frame {
		codes = append(codes, c.Code)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		frame, err := wire.ParseClientFrame(text)
		if err != nil {
			var refused *wire.RefusedFrameError
			if !errors.As(err, &refused) || !slices.Contains(codes, refused.Code) || len(refused.Message) > 1000 {
				t.Fatalf("error %v is no answer", err)
			}
			answer := wire.Error{Type: wire.FrameError, Code: refused.Code, Message: refused.Message}
			if got, err := wire.ParseServerFrame(wire.AppendFrame(nil, answer)); err != nil || got != answer {
				t.Fatalf("the answer %v is read as %v, error %v", answer, got, err)
			}
			return
		}
		switch frame.Type {
		case wire.FramePing, wire.FrameAuth, wire.FrameRead:
		case wire.FrameSubscribe, wire.FrameUnsubscribe, wire.FrameSignal:
			if _, err := new(wire.Subjects).Of(wire.Topic(frame.Topic)); err != nil {
				t.Fatalf("topic %q has no subject: %v", frame.Topic, err)
			}
		default:
			t.Fatalf("accepted type %q", frame.Type)
		}
		var written bytes.Buffer
		enc := json.NewEncoder(&written)
		enc.SetEscapeHTML(false) // a payload grows by it
		if err := enc.Encode(frame); err != nil {
			t.Fatal(err)
		}
		out := written.Bytes()
		again, err := wire.ParseClientFrame(out)
		if diff := cmp.Diff(frame, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("written %q, error %v (-first +again):\n%s", out, err, diff)
		}
	})
}

// literal reports that NATS takes a subject for one name: no wildcard, no empty
// token, nothing that ends a line of its protocol.
func literal(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '*' || r == '>' }) {
			return false
		}
	}
	return true
}

// A subject that is accepted is literal and the only one of its audience.
func FuzzSubjectsParse(f *testing.F) {
	v := load[subjectVectors](f, "subjects.json")
	for _, a := range v.Audiences {
		f.Add("", a.Subject)
		f.Add("acme.sv", strings.Replace(a.Subject, "sv", "acme.sv", 1))
	}
	for _, s := range v.RefusedSubjects {
		if s.Subject != nil {
			f.Add("", *s.Subject)
		}
	}
	for _, p := range v.RefusedPrefixes {
		f.Add(p.Prefix, p.Prefix+".ws.broadcast")
	}
	f.Fuzz(func(t *testing.T, prefix, subject string) {
		s, err := wire.NewSubjects(prefix)
		if err != nil {
			if !errors.Is(err, wire.ErrPrefix) {
				t.Fatalf("error %v of no kind", err)
			}
			return
		}
		a, err := s.Parse(0, subject)
		if err != nil {
			if !errors.Is(err, wire.ErrSubject) && !errors.Is(err, wire.ErrIDToken) {
				t.Fatalf("error %v of no kind", err)
			}
			return
		}
		if got, err := s.Of(a); err != nil || got != subject || !literal(subject) {
			t.Fatalf("%q is for %+v, whose subject is %q, error %v", subject, a, got, err)
		}
		below := strings.TrimSuffix(s.Log(0), ">")
		if rest, ok := strings.CutPrefix(subject, below); !ok || strings.Count(rest, ".") > 1 {
			t.Fatalf("%q is not below %q", subject, below)
		}
	})
}

// No id can make a subject of another shape, and none has two tokens.
func FuzzID(f *testing.F) {
	v := load[subjectVectors](f, "subjects.json")
	for _, c := range slices.Concat(v.IDs, v.RefusedIDs, v.RefusedTokens) {
		f.Add(c.id())
		if c.Token != nil {
			f.Add(*c.Token)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		if token, err := wire.EncodeID(s); err == nil {
			if id, err := wire.DecodeID(token); err != nil || id != s || !literal(token) || strings.Contains(token, ".") {
				t.Fatalf("id %q has token %q, which is read as %q, error %v", s, token, id, err)
			}
		} else if len(s) > 0 && len(s) <= wire.MaxIDLen {
			t.Fatalf("id %q: %v", s, err)
		}
		if id, err := wire.DecodeID(s); err == nil {
			if token, err := wire.EncodeID(id); err != nil || token != s {
				t.Fatalf("token %q is of id %q, which has token %q, error %v", s, id, token, err)
			}
		} else if !errors.Is(err, wire.ErrIDToken) {
			t.Fatalf("error %v of no kind", err)
		}
	})
}
