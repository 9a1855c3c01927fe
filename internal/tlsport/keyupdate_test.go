package tlsport_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/tlsport"
)

// keyLog keeps a client's own traffic secret.
type keyLog struct{ secret []byte }

func (k *keyLog) Write(line []byte) (int, error) {
	if f := strings.Fields(string(line)); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
		var err error
		if k.secret, err = hex.DecodeString(f[2]); err != nil {
			return 0, err
		}
	}
	return len(line), nil
}

// writer protects records as a TLS client does, because crypto/tls's never asks
// for other keys.
type writer struct {
	t      *testing.T
	conn   net.Conn
	suite  uint16
	secret []byte
	seq    uint64
}

func (w *writer) send(kind byte, content []byte) {
	w.t.Helper()
	key, err := tlsport.RecordKey(w.suite, w.secret)
	if err != nil {
		w.t.Fatal(err)
	}
	block, err := aes.NewCipher(key.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		w.t.Fatal(err)
	}
	nonce := key.IV // RFC 8446, 5.3
	for i, b := range binary.BigEndian.AppendUint64(nil, w.seq) {
		nonce[4+i] ^= b
	}
	w.seq++
	inner := append(bytes.Clone(content), kind)
	header := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(header[3:], uint16(len(inner)+aead.Overhead()))
	if _, err := w.conn.Write(aead.Seal(header, nonce[:], inner, header)); err != nil {
		w.t.Fatal(err)
	}
}

// update asks for other keys, and uses them (RFC 8446, 4.6.3).
func (w *writer) update() {
	w.t.Helper()
	w.send(22, []byte{24, 0, 0, 1, 0})
	next, err := tlsport.NextSecret(w.suite, w.secret)
	if err != nil {
		w.t.Fatal(err)
	}
	w.secret, w.seq = next, 0
}

// A client may change its keys: a relay goes on, with the kernel it is the end.
func TestKeyUpdate(t *testing.T) {
	paths(t, func(t *testing.T, r *rig) {
		config := r.pair.client()
		log := &keyLog{}
		config.KeyLogWriter = log
		client, plain := r.connect(config)
		f := r.file(plain)
		suite := client.ConnectionState().CipherSuite
		if suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
			t.Skip("this processor has no AES, and crypto/tls chose another cipher than this test writes")
		}
		w := &writer{t: t, conn: client.NetConn(), suite: suite, secret: log.secret}
		w.send(23, []byte("before "))
		got := make([]byte, 7)
		if _, err := io.ReadFull(f, got); err != nil || string(got) != "before " {
			t.Fatalf("%q, %v", got, err)
		}
		w.update()
		if strings.HasSuffix(t.Name(), "/kernel") {
			if n, err := f.Read(got); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%d, %v; want an end", n, err)
			}
			return
		}
		w.send(23, []byte("after"))
		if n, err := io.ReadAtLeast(f, got, 5); err != nil || string(got[:n]) != "after" {
			t.Fatalf("%q, %v", got[:n], err)
		}
	})
}
