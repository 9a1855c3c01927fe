// Package proxyproto reads the PROXY protocol, version 2: the few binary bytes
// that a load balancer sends in front of a connection to say whose it is.
//
// The sections named here are those of haproxy's proxy-protocol.txt. Whoever can
// reach the port may write such a header, so it is read only where every
// connection comes from a balancer.
package proxyproto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
)

// signature begins every header of version 2. Nothing that a client of HTTP, TLS
// or SSH sends begins like it.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

const (
	prefixSize = len(signature) + 4 // signature, version and command, family, length
	maxBody    = 4 << 10            // bytes of addresses and TLVs; those in use have some hundred

	// MaxSize is the size of the longest header, in bytes.
	MaxSize = prefixSize + maxBody
)

// Why bytes are not a header. Errors of Parse wrap ErrMalformed unless they are
// one of the other two.
var (
	ErrSignature = errors.New("PROXY protocol: the connection does not begin with a header of version 2")
	ErrVersion1  = errors.New("PROXY protocol: the header is of version 1 (text): set the balancer to version 2")
	ErrMalformed = errors.New("PROXY protocol: malformed header")
)

// Header is what a balancer says of a connection.
type Header struct {
	// Source is the client. It is not valid where the balancer names none: for its
	// own connections, and for addresses that are not of IP.
	Source netip.AddrPort
	// Local: the balancer itself has connected, such as to check the server's health.
	Local bool
}

// The second half of the thirteenth byte, and the fourteenth.
const (
	commandLocal = 0x20 // version in the upper half
	commandProxy = 0x21

	familyUnspecified = 0x00
	familyTCP4        = 0x11
	familyTCP6        = 0x21
	familyUnix        = 0x31
)

// Where the prefix has what.
const (
	atCommand = len(signature)
	atFamily  = atCommand + 1
	atLength  = atFamily + 1
)

// Parse reads a header from the front of what has come of a connection. size is
// how many bytes it has; 0, without an error, while more are needed. Bytes that
// are no header are refused as soon as one of the first sixteen shows it.
func Parse(data []byte) (h Header, size int, err error) {
	if n := min(len(data), len(signature)); string(data[:n]) != signature[:n] {
		return Header{}, 0, wrongSignature(data)
	}
	if len(data) > atCommand && data[atCommand] != commandLocal && data[atCommand] != commandProxy {
		// Receivers must drop what they do not know of either half (2.2).
		return Header{}, 0, malformed("version and command %#02x", data[atCommand])
	}
	if len(data) <= atFamily {
		return Header{}, 0, nil
	}
	local, family := data[atCommand] == commandLocal, data[atFamily]
	addresses, err := addressSize(local, family)
	if err != nil || len(data) < prefixSize {
		return Header{}, 0, err
	}
	body := int(binary.BigEndian.Uint16(data[atLength:]))
	switch {
	case body > maxBody:
		return Header{}, 0, malformed("%d bytes of addresses and TLVs, more than %d", body, maxBody)
	case body < addresses:
		return Header{}, 0, malformed("%d bytes do not hold addresses of family %#02x", body, family)
	case len(data) < prefixSize+body:
		return Header{}, 0, nil
	}
	data = data[:prefixSize+body]
	h.Local = local
	if addresses > 0 {
		if err := checkTLVs(data, prefixSize+addresses); err != nil {
			return Header{}, 0, err
		}
		h.Source = source(family, data[prefixSize:])
	}
	return h, len(data), nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// wrongSignature names the one mistake that is made often.
func wrongSignature(data []byte) error {
	const text = "PROXY " // 2.1
	if len(data) >= len(text) && string(data[:len(text)]) == text {
		return ErrVersion1
	}
	return ErrSignature
}

// addressSize is how many bytes of the body are addresses: 0 where what follows is
// to be passed over unread, which is so for the balancer's own connections,
// whatever family they name, and for connections it knows nothing of (2.2).
func addressSize(local bool, family byte) (int, error) {
	switch {
	case local || family == familyUnspecified:
		return 0, nil
	case family == familyTCP4:
		return 2 * (4 + 2), nil
	case family == familyTCP6:
		return 2 * (16 + 2), nil
	case family == familyUnix:
		return 2 * 108, nil
	}
	return 0, malformed("family and transport %#02x: only streams are served", family)
}

func source(family byte, body []byte) netip.AddrPort {
	switch family {
	case familyTCP4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:]))
	case familyTCP6:
		// Unmapped: an IPv4 client is one client, whichever socket of the balancer took it.
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)).Unmap(), binary.BigEndian.Uint16(body[32:]))
	}
	return netip.AddrPort{}
}

const (
	tlvPrefix = 3 // type and length
	tlvCRC32C = 0x03
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkTLVs walks over what follows the addresses and checks the header's sum, if
// it has one (2.2.3). It does not change header.
func checkTLVs(header []byte, at int) error {
	sum := 0 // where its value is
	for at < len(header) {
		if len(header)-at < tlvPrefix {
			return malformed("%d bytes after the last TLV", len(header)-at)
		}
		kind, size := header[at], int(binary.BigEndian.Uint16(header[at+1:]))
		if at += tlvPrefix; size > len(header)-at {
			return malformed("TLV %#02x of %d bytes in the last %d", kind, size, len(header)-at)
		}
		if kind == tlvCRC32C {
			if size != crc32.Size || sum != 0 {
				return malformed("the checksum is not one number of %d bytes", crc32.Size)
			}
			sum = at
		}
		at += size
	}
	if sum == 0 {
		return nil
	}
	// The sum was made with zeros in its own place.
	got := crc32.Update(0, castagnoli, header[:sum])
	got = crc32.Update(got, castagnoli, make([]byte, crc32.Size))
	got = crc32.Update(got, castagnoli, header[sum+crc32.Size:])
	if want := binary.BigEndian.Uint32(header[sum:]); got != want {
		return malformed("checksum %08x, of bytes that have %08x", want, got)
	}
	return nil
}

// Append appends the header of a connection over TCP, or, if source is not valid,
// that of a connection of the balancer's own.
func Append(b []byte, source, destination netip.AddrPort) []byte {
	b = append(b, signature...)
	from, to := source.Addr().Unmap(), destination.Addr().Unmap()
	switch {
	case !source.IsValid():
		return append(b, commandLocal, familyUnspecified, 0, 0)
	case from.Is4() && to.Is4():
		b = append(b, commandProxy, familyTCP4, 0, 2*(4+2))
		b = append(b, from.AsSlice()...)
		b = append(b, to.AsSlice()...)
	default:
		b = append(b, commandProxy, familyTCP6, 0, 2*(16+2))
		b = append16(b, from)
		b = append16(b, to)
	}
	b = binary.BigEndian.AppendUint16(b, source.Port())
	return binary.BigEndian.AppendUint16(b, destination.Port())
}

// append16 appends an address in 16 bytes: mapped if of IPv4, zeros if not valid.
func append16(b []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	wide := a.As16()
	return append(b, wide[:]...)
}
