package tlsport

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The keys of the application data in RFC 8448, 3, "Simple 1-RTT Handshake".
func TestRecordKeyOfTheRFC(t *testing.T) {
	for name, c := range map[string]struct{ secret, key, iv string }{
		"server": {
			"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
			"9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984",
		},
		"client": {
			"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
			"17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, err := suites[tls.TLS_AES_128_GCM_SHA256].recordKey(unhex(t, c.secret))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(k.Key, unhex(t, c.key)) || !bytes.Equal(k.IV[:], unhex(t, c.iv)) {
				t.Errorf("key %x iv %x, want %s and %s", k.Key, k.IV, c.key, c.iv)
			}
		})
	}
}

func TestRecordKeyOfTheWrongSize(t *testing.T) {
	for id, size := range map[uint16]int{
		tls.TLS_AES_128_GCM_SHA256: 48, tls.TLS_AES_256_GCM_SHA384: 32, tls.TLS_CHACHA20_POLY1305_SHA256: 0,
	} {
		if _, err := suites[id].recordKey(make([]byte, size)); err == nil {
			t.Errorf("%s took a secret of %d bytes", tls.CipherSuiteName(id), size)
		}
	}
}

func TestSecrets(t *testing.T) {
	var s secrets
	random, server, client := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 32)
	for _, line := range []string{
		fmt.Sprintf("CLIENT_HANDSHAKE_TRAFFIC_SECRET %x %x\n", random, random),
		fmt.Sprintf("SERVER_HANDSHAKE_TRAFFIC_SECRET %x %x\n", random, random),
		fmt.Sprintf("CLIENT_TRAFFIC_SECRET_0 %x %x\n", random, client),
		fmt.Sprintf("SERVER_TRAFFIC_SECRET_0 %x %x\n", random, server),
		fmt.Sprintf("CLIENT_RANDOM %x %x\n", random, random),
		"nonsense\n",
	} {
		if n, err := s.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if !bytes.Equal(s.send, server) || !bytes.Equal(s.receive, client) {
		t.Fatalf("send %x receive %x", s.send, s.receive)
	}
	if _, err := s.Write([]byte("CLIENT_TRAFFIC_SECRET_0 00 xyz\n")); err == nil {
		t.Error("a secret that is not hexadecimal was taken")
	}
	send, receive := s.send, s.receive
	s.clear()
	if s.send != nil || s.receive != nil || !bytes.Equal(send, make([]byte, 32)) || !bytes.Equal(receive, make([]byte, len(receive))) {
		t.Error("cleared secrets are still there")
	}
}
