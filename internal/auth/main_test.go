package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Our verifier and the SDK are used as they are: they fetch certificates from the
// address built into them, by their own HTTP clients, which find this process's
// proxy and certificate authority in the environment, as they would behind a
// company's proxy.
const (
	certHost = "www.googleapis.com"
	certPath = "/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
)

var google *fakeGoogle

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run returns the exit code, so that its clean-ups come before the exit.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vibemesh-auth-")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(dir)
	ca, serverCert, err := makeTLS()
	if err != nil {
		log.Print(err)
		return 1
	}
	caFile := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		log.Print(err)
		return 1
	}
	google = &fakeGoogle{}
	tlsServer := httptest.NewUnstartedServer(http.HandlerFunc(google.serveCerts))
	tlsServer.TLS = &tls.Config{Certificates: []tls.Certificate{serverCert}}
	tlsServer.StartTLS()
	defer tlsServer.Close()
	google.addr = tlsServer.Listener.Addr().String()
	proxy := httptest.NewServer(http.HandlerFunc(google.serveProxy))
	defer proxy.Close()

	// Go reads these once, when the first request needs them: before that is now.
	for name, value := range map[string]string{
		"HTTPS_PROXY": proxy.URL, "https_proxy": proxy.URL, "NO_PROXY": "", "no_proxy": "",
		"SSL_CERT_FILE": caFile, "SSL_CERT_DIR": dir,
		"FIREBASE_AUTH_EMULATOR_HOST":    "",
		"GOOGLE_APPLICATION_CREDENTIALS": filepath.Join(dir, "there-are-none.json"),
	} {
		if err := os.Setenv(name, value); err != nil {
			log.Print(err)
			return 1
		}
	}
	return m.Run()
}

// fakeGoogle is the certificate endpoint and the proxy on the way to it.
type fakeGoogle struct {
	addr string // of the TLS server, behind the proxy

	mu       sync.Mutex
	keys     map[string]*rsa.PrivateKey // published now, by kid
	maxAge   time.Duration
	down     bool
	stalled  chan struct{} // not nil: requests wait until it is closed
	fetches  int           // requests for the certificates, and refused tunnels to them
	foreign  []string      // hosts that should not have been asked for
	arriving chan struct{} // gets a token, if there is room, when a request comes in
}

// reset publishes keys, forgets what was counted, and lets go who is stalled.
func (g *fakeGoogle) reset(t testing.TB, maxAge time.Duration, kids ...string) {
	t.Helper()
	g.publish(maxAge, kids...)
	g.mu.Lock()
	g.fetches, g.foreign, g.arriving = 0, nil, make(chan struct{}, 1)
	g.mu.Unlock()
	t.Cleanup(func() {
		g.stall(false)
		g.setDown(false)
		g.mu.Lock()
		defer g.mu.Unlock()
		if len(g.foreign) > 0 {
			t.Errorf("the SDK asked for %q", g.foreign)
		}
	})
}

func (g *fakeGoogle) publish(maxAge time.Duration, kids ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.maxAge, g.keys = maxAge, make(map[string]*rsa.PrivateKey)
	for _, kid := range kids {
		g.keys[kid] = signingKey(kid)
	}
}

func (g *fakeGoogle) setDown(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

func (g *fakeGoogle) stall(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if on {
		g.stalled = make(chan struct{})
	} else if g.stalled != nil {
		close(g.stalled)
		g.stalled = nil
	}
}

func (g *fakeGoogle) fetched() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fetches
}

func (g *fakeGoogle) serveProxy(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	ours := r.Method == http.MethodConnect && r.Host == certHost+":443"
	if !ours {
		g.foreign = append(g.foreign, r.Method+" "+r.Host)
	}
	down := g.down
	if ours && down {
		g.fetches++
	}
	g.mu.Unlock()
	if !ours || down {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	up, err := net.Dial("tcp", g.addr)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		up.Close()
		return
	}
	fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { defer up.Close(); _, _ = io.Copy(up, conn) }()
	go func() { defer conn.Close(); _, _ = io.Copy(conn, up) }()
}

func (g *fakeGoogle) serveCerts(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.fetches++
	stalled, arriving := g.stalled, g.arriving
	g.mu.Unlock()
	select {
	case arriving <- struct{}{}:
	default:
	}
	if stalled != nil {
		select {
		case <-stalled:
		case <-r.Context().Done():
			return
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down || r.URL.Path != certPath {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	certs := make(map[string]string)
	for kid, key := range g.keys {
		certs[kid] = string(certOf(key))
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d, must-revalidate", int(g.maxAge.Seconds())))
	_ = json.NewEncoder(w).Encode(certs)
}

// signingKey makes one RSA key for each kid, once.
func signingKey(kid string) *rsa.PrivateKey {
	keysMu.Lock()
	defer keysMu.Unlock()
	if keysByKid[kid] == nil {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // the machine has no randomness
		}
		keysByKid[kid] = key
	}
	return keysByKid[kid]
}

var (
	keysMu    sync.Mutex
	keysByKid = make(map[string]*rsa.PrivateKey)
)

// certOf wraps a public key as Google publishes it: a self-signed certificate.
func certOf(key *rsa.PrivateKey) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err) // a fixed template and a good key
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// makeTLS makes a certificate authority and a certificate for Google's host.
func makeTLS() (ca []byte, server tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, server, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames: []string{certHost},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, server, err
	}
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return ca, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// eventually calls ok until it is true; the real clock is the SDK's own.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not happen within 15 s: %s", what)
		}
	}
}
