package tlsport

import "github.com/socialvibes/vibemesh/internal/netloop"

// WithoutKernel has a port relay every connection.
func (p *Port) WithoutKernel() { p.ciphers = nil }

// HasKernel: the kernel takes over some ciphers.
func (p *Port) HasKernel() bool { return len(p.ciphers) > 0 }

// Relays is how many relays there are.
func (p *Port) Relays() int { return int(p.active.Load()) }

// RecordKey is what protects records under a traffic secret.
func RecordKey(cipherSuite uint16, secret []byte) (netloop.RecordKey, error) {
	return suites[cipherSuite].recordKey(secret)
}

// NextSecret is the secret that follows one when keys are changed (RFC 8446, 7.2).
func NextSecret(cipherSuite uint16, secret []byte) ([]byte, error) {
	s := suites[cipherSuite]
	return expandLabel(s.hash, secret, "traffic upd", s.hash().Size())
}
