package session_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/gobwas/ws/wsutil"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
	"pgregory.net/rapid"
)

// reference reads a stream with the parts of gobwas/ws, in the order and with
// the limits that a server of ours has. early is the code with which a header
// that is cut by the end of the stream may be refused already.
type reference struct {
	got
	early int
}

func byGobwas(data []byte, deflate bool) (r reference) {
	rest := bytes.NewReader(data)
	state, op := ws.StateServerSide, ws.OpCode(0)
	var message []byte
	var packed wsflate.MessageState
	for {
		start := len(data) - rest.Len()
		if rest.Len() == 0 {
			r.idle = !state.Fragmented()
			return r
		}
		h, err := ws.ReadHeader(rest)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			padded := append(bytes.Clone(data[start:]), make([]byte, ws.MaxHeaderSize)...)
			from := bytes.NewReader(padded)
			h, err = ws.ReadHeader(from)
			r.early = headerCode(h, err, len(padded)-from.Len(), deflate)
			return r
		}
		if r.code = headerCode(h, err, len(data)-rest.Len()-start, deflate); r.code != 0 {
			return r
		}
		if deflate {
			h, _ = packed.UnsetBits(h) //nolint:errcheck // headerCode has checked it
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(rest, payload); err != nil {
			return r
		}
		ws.Cipher(payload, h.Mask, 0)
		if ws.CheckHeader(h, state) != nil { // the order of fragments
			r.code = 1002
			return r
		}
		if h.OpCode.IsControl() {
			if r.code = closeCode(h, payload); r.code != 0 {
				return r
			}
			r.messages = append(r.messages, says(session.Op(h.OpCode), payload))
			continue
		}
		if !state.Fragmented() {
			op, message = h.OpCode, nil
		}
		state = state.Set(ws.StateFragmented)
		message = append(message, payload...)
		switch {
		case len(message) > wire.MaxClientFrame:
			r.code = 1009
			return r
		case !h.Fin:
			continue
		}
		if packed.IsCompressed() {
			if message, r.code = inflateByGobwas(message); r.code != 0 {
				return r
			}
		}
		switch {
		case op == ws.OpText && !utf8.Valid(message):
			r.code = 1007
			return r
		}
		state = state.Clear(ws.StateFragmented)
		r.messages = append(r.messages, says(session.Op(op), message))
	}
}

// headerCode is what gobwas has against a header that was read from size bytes,
// whatever came before it, and our limit. gobwas lets lengths pass that are not
// in their shortest form; RFC 6455, 5.2 does not.
func headerCode(h ws.Header, err error, size int, deflate bool) int {
	if err == nil && deflate {
		h, err = new(wsflate.MessageState).UnsetBits(h)
	}
	if err == nil {
		err = ws.CheckHeader(h, ws.StateServerSide)
		if errors.Is(err, ws.ErrProtocolContinuationUnexpected) {
			err = nil
		}
	}
	switch {
	case err != nil || size != ws.HeaderSize(h):
		return 1002
	case h.Length > wire.MaxClientFrame:
		return 1009
	}
	return 0
}

// closeCode is what gobwas has against a close frame. 1012 to 1014 were
// registered after RFC 6455, and codes from 5000 on are nobody's.
func closeCode(h ws.Header, body []byte) int {
	if h.OpCode != ws.OpClose || len(body) == 0 {
		return 0
	}
	code, reason := ws.ParseCloseFrameData(body)
	if code >= 1012 && code <= 1014 {
		code = ws.StatusNormalClosure
	}
	err := ws.CheckCloseFrameData(code, reason)
	switch {
	case len(body) == 1 || code >= 5000:
		return 1002
	case errors.Is(err, ws.ErrProtocolInvalidUTF8):
		return 1007
	case err != nil:
		return 1002
	}
	return 0
}

// agree fails unless what came of a stream is what gobwas makes of it.
func agree(t rapid.TB, data []byte, g got, deflate bool) {
	t.Helper()
	want := byGobwas(data, deflate)
	if g.code != 0 && g.code == want.early {
		want.code, want.idle = want.early, false
	}
	if !g.equal(want.got) {
		t.Fatalf("%d bytes %.200x\ngot    %v\ngobwas %v", len(data), data, g, want.got)
	}
}

// anyFrames draws the frames of some messages that break no rule, compiled by
// gobwas; some are compressed if deflate was agreed on.
func anyFrames(t *rapid.T, deflate bool) (data []byte) {
	packed := false
	put := func(op ws.OpCode, last bool, payload []byte) {
		key := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "mask"))
		f := ws.NewFrame(op, last, bytes.Clone(payload))
		f.Header.Rsv = ws.Rsv(packed && (op == ws.OpText || op == ws.OpBinary), false, false)
		data = append(data, ws.MustCompileFrame(ws.MaskFrameInPlaceWith(f, key))...)
	}
	controls := func() {
		for range rapid.IntRange(0, 2).Draw(t, "controls") {
			op := rapid.SampledFrom([]ws.OpCode{ws.OpPing, ws.OpPong}).Draw(t, "control")
			put(op, true, rapid.SliceOfN(rapid.Byte(), 0, 125).Draw(t, "control payload"))
		}
	}
	for range rapid.IntRange(0, 6).Draw(t, "messages") {
		controls()
		op, payload := ws.OpText, []byte(rapid.String().Draw(t, "text"))
		if rapid.Bool().Draw(t, "binary") {
			size := rapid.OneOf(rapid.IntRange(0, 300), rapid.SampledFrom([]int{125, 126, 127, 65535, 65536})).Draw(t, "size")
			op, payload = ws.OpBinary, bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 7).Draw(t, "bytes"), size)[:size]
		}
		if packed = deflate && rapid.Bool().Draw(t, "compressed"); packed {
			var err error
			if payload, err = wsflate.DefaultHelper.Compress(payload); err != nil {
				t.Fatal(err)
			}
		}
		ends := append(anySplit(t, len(payload)), len(payload))
		if rapid.Bool().Draw(t, "in one frame") {
			ends = ends[len(ends)-1:]
		}
		at := 0
		for i, end := range ends {
			put(op, i == len(ends)-1, payload[at:end])
			op, at = ws.OpContinuation, end
			if i < len(ends)-1 {
				controls()
			}
		}
	}
	if rapid.Bool().Draw(t, "close") {
		code := rapid.SampledFrom([]ws.StatusCode{1000, 1001, 1011, 3000, 4000, 4999}).Draw(t, "code")
		put(ws.OpClose, true, ws.NewCloseFrameBody(code, rapid.StringN(0, 20, 100).Draw(t, "reason")))
	}
	return data
}

// byWsutil reads a stream that breaks no rule as gobwas's own servers do.
func byWsutil(t *rapid.T, data []byte, deflate bool) (messages []string) {
	var packed wsflate.MessageState
	note := func(h ws.Header, payload io.Reader) error {
		all, err := io.ReadAll(payload)
		messages = append(messages, says(session.Op(h.OpCode), all))
		return err
	}
	r := wsutil.Reader{
		Source: bytes.NewReader(data), State: ws.StateServerSide, CheckUTF8: true,
		MaxFrameSize: wire.MaxClientFrame, MaxMessageSize: wire.MaxClientFrame, OnIntermediate: note,
	}
	if deflate {
		r.State, r.Extensions = r.State.Set(ws.StateExtended), []wsutil.RecvExtension{&packed}
		r.CheckUTF8 = false // it would look at the compressed bytes
	}
	unpack := wsflate.NewReader(nil, decompressor)
	for {
		h, err := r.NextFrame()
		if err == io.EOF {
			return messages
		}
		if err == nil && !h.OpCode.IsControl() && packed.IsCompressed() {
			unpack.Reset(&r)
			err = note(h, unpack)
		} else if err == nil {
			err = note(h, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestInboundReadsWhatGobwasReads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		deflate := rapid.Bool().Draw(rt, "deflate")
		data := anyFrames(rt, deflate)
		g := feedTo(rt, session.Inbound{Deflate: deflate}, data, anySplit(rt, len(data))...)
		if want := read(byWsutil(rt, data, deflate)...); !g.equal(want) {
			rt.Fatalf("got  %v\nwant %v", g, want)
		}
		agree(rt, data, g, deflate)
	})
}

func TestInboundRefusesWhatGobwasRefuses(t *testing.T) {
	refusals := map[int]int{}
	rapid.Check(t, func(rt *rapid.T) {
		deflate := rapid.Bool().Draw(rt, "deflate")
		data := anyFrames(rt, deflate)
		for range rapid.IntRange(1, 4).Draw(rt, "faults") {
			if len(data) == 0 {
				break
			}
			at := rapid.OneOf(rapid.IntRange(0, min(16, len(data))-1), rapid.IntRange(0, len(data)-1)).Draw(rt, "at")
			switch rapid.SampledFrom([]string{"flip", "set", "cut", "drop", "insert"}).Draw(rt, "fault") {
			case "flip":
				data[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			case "set":
				data[at] = rapid.Byte().Draw(rt, "byte")
			case "cut":
				data = data[:at]
			case "drop":
				data = append(data[:at], data[at+1:]...)
			case "insert":
				data = append(data[:at], append([]byte{rapid.Byte().Draw(rt, "byte")}, data[at:]...)...)
			}
		}
		g := feedTo(rt, session.Inbound{Deflate: deflate}, data, anySplit(rt, len(data))...)
		refusals[g.code]++
		agree(rt, data, g, deflate)
	})
	t.Logf("streams by close code (0: not refused): %v", refusals)
	if refusals[0] == 0 || refusals[1002] == 0 {
		t.Error("the faults are too few or too many to tell anything")
	}
}

// The table and gobwas agree, too.
func TestTableAgreesWithGobwas(t *testing.T) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) { agree(t, c.stream, c.want, false) })
	}
	for _, c := range deflateCases() {
		t.Run(c.name, func(t *testing.T) { agree(t, c.stream, c.want, true) })
	}
}
