package session_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/socialvibes/vibemesh/internal/session"
)

func ignore(session.Op, []byte) error { return nil }

// What a frame announces costs nothing; only bytes that came are kept.
func TestInboundKeepsNoMoreThanCame(t *testing.T) {
	for name, data := range map[string][]byte{
		"2^63 bytes announced":   []byte("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00"),
		"2^63-1 bytes announced": []byte("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00abc"),
		"65537 bytes announced":  head(fin|2, 65537),
	} {
		var in session.Inbound
		var broken *session.ProtocolError
		if err := in.Feed(data, ignore); !errors.As(err, &broken) || in.Buffered() > 64 {
			t.Errorf("%s: error %v, %d bytes kept", name, err, in.Buffered())
		}
	}
	var in session.Inbound
	if err := in.Feed(head(fin|2, 64<<10), ignore); err != nil || in.Buffered() > 64 || in.Idle() {
		t.Errorf("64 KiB announced: error %v, %d bytes kept, idle %t", err, in.Buffered(), in.Idle())
	}
}

// A client that drips its largest messages, in the largest frames, one byte at a
// time, and never ends one, is held to the bound; and all is given back after.
func TestInboundIsBoundedWhenDripped(t *testing.T) {
	var in session.Inbound
	most := 0
	drip := func(data []byte) {
		for _, b := range data {
			if err := in.Feed([]byte{b}, ignore); err != nil {
				t.Fatal(err)
			}
			most = max(most, in.Buffered())
		}
	}
	drip(frame(1, kib64[:64<<10-1])) // a message of 64 KiB less one byte
	for range 100 {
		drip(frame(0, "")) // fragments of nothing
		drip(frame(fin|9, kib64[:125]))
	}
	last := frame(fin, "x")
	drip(last[:len(last)-1])
	if in.Idle() || most < 64<<10 || most > maxBuffered {
		t.Errorf("idle %t, %d bytes kept at most; the bound is %d", in.Idle(), most, maxBuffered)
	}
	drip(last[len(last)-1:])
	if !in.Idle() || in.Buffered() != 0 {
		t.Errorf("after the end: idle %t, %d bytes kept", in.Idle(), in.Buffered())
	}
	// Both at once: a message under way, and a frame that would pass its limit.
	drip(frame(1, kib64[:1<<10]))
	big := frame(0, kib64)
	drip(big[:len(big)-1])
	var broken *session.ProtocolError
	if err := in.Feed(big[len(big)-1:], ignore); !errors.As(err, &broken) || broken.Code != 1009 {
		t.Errorf("65 KiB in two fragments: error %v", err)
	}
	if most > maxBuffered {
		t.Errorf("%d bytes kept; the bound is %d", most, maxBuffered)
	}
}

// Small frames that come whole cost no memory.
func TestInboundAllocatesNothingForWholeFrames(t *testing.T) {
	data := stream(frame(fin|9, "ping"), text(`{"type":"ping"}`))
	buf := make([]byte, len(data))
	var in session.Inbound
	if n := testing.AllocsPerRun(100, func() {
		copy(buf, data)
		if err := in.Feed(buf, ignore); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFeed(b *testing.B) {
	small := text(`{"type":"ping"}`)
	for name, data := range map[string][]byte{"ping": small, "64KiB": text(kib64)} {
		b.Run(name, func(b *testing.B) {
			buf := bytes.Clone(data)
			var in session.Inbound
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, data) // Feed unmasks in place
				if err := in.Feed(buf, ignore); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
