package program_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// TestTLS: sockets, the API and the page by TLS on one port, with both versions of
// it, and a certificate that is changed while it runs.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	roots := writeCertificate(t, cert, key, 1)
	p := start(t, "run", "WS_TLS_CERT="+cert, "WS_TLS_KEY="+key)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			config := &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: version}
			https := &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 10 * time.Second}
			defer https.CloseIdleConnections()

			conn := dialTLS(t, p.addr, config)
			wantText(t, conn, `"type":"hello"`)
			title := tls.VersionName(version)
			req, err := http.NewRequest(http.MethodPost, "https://"+p.addr+"/api/v1/ws/toast",
				strings.NewReader(fmt.Sprintf(`{"title":%q,"to":{"user":"alice"}}`, title)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-SV-KEY", secret)
			req.Header.Set("Content-Type", "application/json")
			if resp, err := https.Do(req); err != nil || resp.StatusCode != http.StatusCreated {
				t.Fatalf("publishing: %+v %v", resp, err)
			} else {
				resp.Body.Close()
			}
			wantText(t, conn, title)
			resp, err := https.Get("https://" + p.addr + "/")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if page, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(page, []byte("<title>")) {
				t.Errorf("the page: %d bytes, %v", len(page), err)
			}
		})
	}

	if resp, err := http.Get(p.url() + "/"); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: %+v %v, want 400", resp, err)
	} else {
		resp.Body.Close()
	}

	roots = writeCertificate(t, cert, key, 2)
	eventually(t, "the new certificate is used", func() bool {
		conn, err := tls.Dial("tcp", p.addr, &tls.Config{RootCAs: roots})
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
	})
	if status := p.terminate(); status != 0 {
		t.Errorf("after SIGTERM the exit status is %d", status)
	}
}

// TestTLSOfAPI: a process without sockets serves by TLS as well.
func TestTLSOfAPI(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	roots := writeCertificate(t, cert, key, 1)
	nats := startNATS(t)
	provision(t, nats.URL())
	p := start(t, "api", "WS_NATS_URL="+nats.URL(), "WS_TLS_CERT="+cert, "WS_TLS_KEY="+key)
	https := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 10 * time.Second}
	defer https.CloseIdleConnections()
	resp, err := https.Get("https://" + p.addr + "/openapi.json")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%+v %v", resp, err)
	}
	resp.Body.Close()
}

// writeCertificate writes a certificate that signs itself, and returns what trusts it.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, content := range map[string][]byte{
		certFile: text, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

func dialTLS(t *testing.T, addr string, config *tls.Config) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d := ws.Dialer{TLSConfig: config}
	conn, br, _, err := d.Dial(ctx, "wss://"+addr+"/api/v1/ws?token="+token(t, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if br != nil {
		return &readAhead{conn, io.MultiReader(br, conn)}
	}
	return conn
}

// readAhead is a connection of which some was read with the answer to the upgrade.
type readAhead struct {
	net.Conn
	r io.Reader
}

func (r *readAhead) Read(b []byte) (int, error) { return r.r.Read(b) }

func wantText(t *testing.T, conn net.Conn, part string) {
	t.Helper()
	text, err := wsutil.ReadServerText(conn)
	if err != nil || !bytes.Contains(text, []byte(part)) {
		t.Fatalf("got %q, %v, want %q in it", text, err, part)
	}
}
