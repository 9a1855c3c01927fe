package proxyproto_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/proxyproto"
	"pgregory.net/rapid"
)

const signature = "0d0a0d0a000d0a515549540a"

// vectors are whole headers, written by hand from haproxy's proxy-protocol.txt;
// checksums by another implementation of CRC-32C.
var vectors = []struct {
	name   string
	hex    string
	source string // empty: none
	local  bool
}{
	{name: "IPv4", hex: "21 11 000c c0000201 c6336402 d903 1f90", source: "192.0.2.1:55555"},
	{
		name:   "IPv6",
		hex:    "21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 0400 01bb",
		source: "[2001:db8::1]:1024",
	},
	{
		name:   "IPv4 mapped into IPv6 is IPv4",
		hex:    "21 21 0024 00000000000000000000ffffc0000201 20010db8000000000000000000000002 0400 01bb",
		source: "192.0.2.1:1024",
	},
	{name: "TLVs are passed over", hex: "21 11 0016 c0000201 c6336402 d903 1f90 02 0003 612e62 04 0001 00", source: "192.0.2.1:55555"},
	{name: "checksum", hex: "21 11 0013 c0000201 c6336402 d903 1f90 03 0004 " + sumOf4, source: "192.0.2.1:55555"},
	{name: "LOCAL", hex: "20 00 0000", local: true},
	{name: "LOCAL, its family and addresses unread", hex: "20 11 000c c0000201 c6336402 d903 1f90", local: true},
	{name: "LOCAL of a family that is not", hex: "20 ff 0001 00", local: true},
	{name: "unspecified", hex: "21 00 0000"},
	{name: "unspecified, with bytes that are no TLV", hex: "21 00 0003 ffffff"},
	{name: "UNIX", hex: "21 31 00d8 " + strings.Repeat("2f", 216)},
	{name: "as long as may be", hex: "21 11 1000 c0000201 c6336402 d903 1f90 04 0ff1 " + strings.Repeat("00", 0xff1), source: "192.0.2.1:55555"},
}

// sumOf4 is the CRC-32C of its vector with zeros in its own place.
const sumOf4 = "f0a040c7"

func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors: each header parses, with whatever comes behind it, and no beginning
// of it does.
func TestVectors(t *testing.T) {
	for _, tt := range vectors {
		t.Run(tt.name, func(t *testing.T) {
			header := bytesOf(t, signature+tt.hex)
			h, size, err := proxyproto.Parse(append(header, "GET / HTTP/1.1"...))
			if err != nil || size != len(header) {
				t.Fatalf("size %d, %v; want %d", size, err, len(header))
			}
			var want proxyproto.Header
			if want.Local = tt.local; tt.source != "" {
				want.Source = netip.MustParseAddrPort(tt.source)
			}
			if h != want {
				t.Errorf("got %+v, want %+v", h, want)
			}
			for n := range header {
				if _, size, err := proxyproto.Parse(header[:n]); size != 0 || err != nil {
					t.Fatalf("of %d bytes: size %d, %v; want to be asked for more", n, size, err)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	address := " c0000201 c6336402 d903 1f90 "
	for _, tt := range []struct {
		name, hex string
		at        int // the byte that shows it
		err       error
	}{
		{"HTTP", hex.EncodeToString([]byte("GET / HTTP/1.1\r\n")), 1, proxyproto.ErrSignature},
		{"TLS", "16030102000100", 1, proxyproto.ErrSignature},
		{"empty lines", "0d0a0d0a0d0a", 5, proxyproto.ErrSignature},
		{"the last byte of the signature", "0d0a0d0a000d0a515549540b", 12, proxyproto.ErrSignature},
		{"version 1", hex.EncodeToString([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 55555 8080\r\n")), 1, proxyproto.ErrVersion1},
		{"version 3", signature + "31", 13, proxyproto.ErrMalformed},
		{"unknown command", signature + "22", 13, proxyproto.ErrMalformed},
		{"datagrams", signature + "21 12", 14, proxyproto.ErrMalformed},
		{"UNIX datagrams", signature + "21 32", 14, proxyproto.ErrMalformed},
		{"IPv4 without a transport", signature + "21 10", 14, proxyproto.ErrMalformed},
		{"unknown family", signature + "21 41", 14, proxyproto.ErrMalformed},
		{"too short for IPv4", signature + "21 11 000b", 16, proxyproto.ErrMalformed},
		{"too short for IPv6", signature + "21 21 0023", 16, proxyproto.ErrMalformed},
		{"too short for UNIX", signature + "21 31 00d7", 16, proxyproto.ErrMalformed},
		{"too long", signature + "21 11 1001", 16, proxyproto.ErrMalformed},
		{"LOCAL, too long", signature + "20 00 1001", 16, proxyproto.ErrMalformed},
		{"half a TLV's prefix", signature + "21 11 000e" + address + "0400", 30, proxyproto.ErrMalformed},
		{"TLV beyond the header", signature + "21 11 0010" + address + "040002 00", 32, proxyproto.ErrMalformed},
		{"wrong checksum", signature + "21 11 0013" + address + "03 0004 00000000", 35, proxyproto.ErrMalformed},
		{"short checksum", signature + "21 11 0011" + address + "03 0002 0000", 33, proxyproto.ErrMalformed},
		{"two checksums", signature + "21 11 001a" + address + "03 0004 00000000 03 0004 00000000", 42, proxyproto.ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := bytesOf(t, tt.hex)
			if _, size, err := proxyproto.Parse(data); size != 0 || !errors.Is(err, tt.err) {
				t.Fatalf("size %d, %v; want %v", size, err, tt.err)
			}
			for n := range data {
				if _, size, err := proxyproto.Parse(data[:n]); size != 0 || (err != nil) != (n >= tt.at) {
					t.Fatalf("of %d bytes: size %d, %v; want it refused from byte %d on", n, size, err, tt.at)
				}
			}
		})
	}
}

func anyAddr(t *rapid.T, label string) netip.AddrPort {
	var a netip.Addr
	if rapid.Bool().Draw(t, label+" is IPv6") {
		a = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label)))
	} else {
		a = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, label)))
	}
	return netip.AddrPortFrom(a.Unmap(), rapid.Uint16().Draw(t, label+" port"))
}

// TestAppendParses: what Append makes, with any TLVs behind the addresses, asks
// for more at every cut, and gives back what was put in.
func TestAppendParses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source, destination := anyAddr(t, "source"), anyAddr(t, "destination")
		want := proxyproto.Header{Source: source}
		if rapid.Bool().Draw(t, "local") {
			source, want = netip.AddrPort{}, proxyproto.Header{Local: true}
		}
		before := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "before")
		header := proxyproto.Append(before, source, destination)[len(before):]
		for range rapid.IntRange(0, 3).Draw(t, "TLVs") {
			value := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "value")
			header = binary.BigEndian.AppendUint16(append(header, 0x20), uint16(len(value)))
			header = append(header, value...)
		}
		binary.BigEndian.PutUint16(header[14:], uint16(len(header)-16))
		for n := range header {
			if _, size, err := proxyproto.Parse(header[:n]); size != 0 || err != nil {
				t.Fatalf("%d of %d bytes: size %d, %v", n, len(header), size, err)
			}
		}
		h, size, err := proxyproto.Parse(append(header, 'x'))
		if err != nil || size != len(header) || h != want {
			t.Fatalf("got %+v, size %d of %d, %v; want %+v", h, size, len(header), err, want)
		}
	})
}

// FuzzParse: a verdict, once given, stands whatever comes behind it; sizes are
// within their bound; what is named is an address.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		whole, size, err := proxyproto.Parse(data)
		if size < 0 || size > len(data) || size > proxyproto.MaxSize || size > 0 && err != nil {
			t.Fatalf("size %d of %d bytes, %v", size, len(data), err)
		}
		if len(data) >= proxyproto.MaxSize && size == 0 && err == nil {
			t.Fatalf("more is asked for after %d bytes", len(data))
		}
		if whole.Local && whole.Source.IsValid() || size == 0 && whole != (proxyproto.Header{}) {
			t.Fatalf("got %+v, size %d", whole, size)
		}
		if cut < 0 || cut > len(data) {
			return
		}
		part, partSize, partErr := proxyproto.Parse(data[:cut])
		if partErr != nil && err == nil {
			t.Fatalf("%v after %d bytes, none after %d", partErr, cut, len(data))
		}
		if partSize > 0 && (part != whole || partSize != size) {
			t.Fatalf("%+v of %d bytes after %d, %+v of %d in the end", part, partSize, cut, whole, size)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	header := proxyproto.Append(nil, netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2"))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := proxyproto.Parse(header); err != nil {
			b.Fatal(err)
		}
	}
}
