package tlsport

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/socialvibes/vibemesh/internal/netloop"
)

// secrets takes the two secrets that protect application data out of crypto/tls,
// which gives them to its KeyLogWriter only. They go to the kernel, and nowhere
// else.
type secrets struct {
	send, receive []byte // SERVER_ and CLIENT_TRAFFIC_SECRET_0: RFC 8446, 7.1
}

// Write takes one line, "LABEL client-random secret", the last two in hexadecimal.
func (s *secrets) Write(line []byte) (int, error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return len(line), nil
	}
	var to *[]byte
	switch string(fields[0]) {
	case "SERVER_TRAFFIC_SECRET_0":
		to = &s.send
	case "CLIENT_TRAFFIC_SECRET_0":
		to = &s.receive
	default: // secrets of the handshake, or of TLS 1.2
		return len(line), nil
	}
	*to = make([]byte, hex.DecodedLen(len(fields[2])))
	if _, err := hex.Decode(*to, fields[2]); err != nil {
		return 0, err
	}
	return len(line), nil
}

// clear forgets the secrets. crypto/tls's own copies are left to the collector.
func (s *secrets) clear() {
	clear(s.send)
	clear(s.receive)
	s.send, s.receive = nil, nil
}

// suite is what the key schedule and the kernel know of a cipher suite.
type suite struct {
	cipher netloop.Cipher
	key    int // bytes
	hash   func() hash.Hash
}

// suites are those of TLS 1.3 (RFC 8446, B.4).
var suites = map[uint16]suite{
	tls.TLS_AES_128_GCM_SHA256:       {netloop.AES128GCM, 16, sha256.New},
	tls.TLS_AES_256_GCM_SHA384:       {netloop.AES256GCM, 32, sha512.New384},
	tls.TLS_CHACHA20_POLY1305_SHA256: {netloop.ChaCha20Poly1305, 32, sha256.New},
}

// recordKey derives what protects records from a traffic secret (RFC 8446, 7.3).
func (s suite) recordKey(secret []byte) (netloop.RecordKey, error) {
	k := netloop.RecordKey{Cipher: s.cipher}
	if size := s.hash().Size(); len(secret) != size {
		return k, fmt.Errorf("a traffic secret has %d bytes, not %d", size, len(secret))
	}
	key, err := expandLabel(s.hash, secret, "key", s.key)
	if err != nil {
		return k, err
	}
	iv, err := expandLabel(s.hash, secret, "iv", len(k.IV))
	if err != nil {
		return k, err
	}
	k.Key, k.IV = key, [12]byte(iv)
	clear(iv)
	return k, nil
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
func expandLabel(h func() hash.Hash, secret []byte, label string, size int) ([]byte, error) {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(info, byte(len(label))), label...)
	info = append(info, 0) // the length of the context
	return hkdf.Expand(h, secret, string(info), size)
}
