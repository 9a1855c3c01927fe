//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Where Firebase's keys are published.
const (
	certHost = "www.googleapis.com"
	certPath = "/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
)

// google answers, on loopback, for the one address of Google's that an edge asks, so
// that the edge verifies our tokens by the same code as real ones: it finds our
// proxy and our certificate authority in its environment, as behind a company's
// proxy. Nothing else gets through.
type google struct {
	dir     string // of the authority's certificate, removed at the end
	proxy   *http.Server
	certs   *http.Server
	certsAt string
	env     []string // for an edge
	answer  []byte
}

// startGoogle publishes the certificate of f's key.
func startGoogle(f *tokenFile) (g *google, err error) {
	g = &google{}
	defer func() {
		if err != nil {
			g.stop()
			g = nil
		}
	}()
	if g.answer, err = json.Marshal(map[string]string{f.KeyID: f.Cert}); err != nil {
		return g, err
	}
	authority, pair, err := makeAuthority()
	if err != nil {
		return g, err
	}
	if g.dir, err = os.MkdirTemp("", "meshbench-"); err != nil {
		return g, err
	}
	file := filepath.Join(g.dir, "authority.pem")
	if err := os.WriteFile(file, authority, 0o600); err != nil {
		return g, err
	}
	quiet := log.New(io.Discard, "", 0) // an edge that is ended leaves half a handshake
	g.certs = &http.Server{
		Handler: http.HandlerFunc(g.serveCerts), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}
	g.proxy = &http.Server{Handler: http.HandlerFunc(g.serveProxy), ReadHeaderTimeout: 10 * time.Second, ErrorLog: quiet}
	certs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return g, err
	}
	g.certsAt = certs.Addr().String()
	go func() { _ = g.certs.ServeTLS(certs, "", "") }() // until stop
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return g, err
	}
	go func() { _ = g.proxy.Serve(proxy) }() // until stop
	url := "http://" + proxy.Addr().String()
	g.env = []string{
		"WS_AUTH=firebase", "FIREBASE_PROJECT_ID=" + tokenProject,
		"HTTPS_PROXY=" + url, "https_proxy=" + url, "NO_PROXY=", "no_proxy=",
		"SSL_CERT_FILE=" + file, "SSL_CERT_DIR=" + g.dir,
	}
	return g, nil
}

func (g *google) stop() {
	for _, s := range []*http.Server{g.proxy, g.certs} {
		if s != nil {
			_ = s.Close()
		}
	}
	if g.dir != "" {
		_ = os.RemoveAll(g.dir)
	}
}

func (g *google) serveCerts(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != certPath {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=21600, must-revalidate") // as Google has it, about
	_, _ = w.Write(g.answer)                                                  // who has left asks again
}

// serveProxy tunnels what is for Google to serveCerts.
func (g *google) serveProxy(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Host != certHost+":443" {
		http.Error(w, "nothing but "+certHost+" is here", http.StatusBadGateway)
		return
	}
	up, err := net.Dial("tcp", g.certsAt)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer up.Close()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(up, conn) // the end of either side ends both
		_ = up.Close()
		close(ended)
	}()
	_, _ = io.Copy(conn, up)
	_ = conn.Close()
	<-ended
}

// makeAuthority makes a certificate for Google's host that vouches for itself.
func makeAuthority() (authority []byte, pair tls.Certificate, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, pair, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "meshbench"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(tokenLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames: []string{certHost},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, pair, err
	}
	authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return authority, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
