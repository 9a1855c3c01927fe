package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
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
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

const secret = "a-secret-of-the-test"

// ours signs the certificates that the tests trust.
var ours *signer

// TestMain makes an authority and has this process trust it, and it alone.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "doctor")
	if err == nil {
		if ours, err = newSigner("Test Authority", nil); err == nil {
			file := filepath.Join(dir, "ca.pem")
			err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.cert.Raw}), 0o600)
			os.Setenv("SSL_CERT_FILE", file)
			os.Setenv("SSL_CERT_DIR", dir)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// The process ends with goleak, or with the status of the tests.
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { os.RemoveAll(dir); os.Exit(code) }))
}

// signer is an authority.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newSigner(name string, by *signer) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-10 * 365 * 24 * time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	parent, signing := template, key
	if by != nil {
		parent, signing = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signing)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &signer{cert, key}, err
}

// issue makes a certificate of a name that counts until then; of nobody: by itself.
func issue(t *testing.T, by *signer, name string, until time.Time, between ...*signer) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: until.Add(-90 * 24 * time.Hour), NotAfter: until,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	parent, signing := template, key
	if by != nil {
		parent, signing = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signing)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for _, b := range between {
		c.Certificate = append(c.Certificate, b.cert.Raw)
	}
	return c
}

// fake is a server that is well, but for what a test breaks.
type fake struct {
	*httptest.Server
	handle map[string]http.HandlerFunc // instead of what is well, by path
	date   time.Time                   // of answers; zero: now
	cutOff time.Duration               // the proxy's idle timeout; 0: none
	status string                      // the answer of /status
}

const wellStatus = `{"version":"1.0.0","node":"api-0","complete":true,"log":{"partitions":1},` +
	`"edges":[{"node":"edge-0","version":"1.0.0","caught_up":true},{"node":"edge-1","version":"1.0.0","caught_up":true}]}`

func newFake(t *testing.T, cert *tls.Certificate) *fake {
	t.Helper()
	f := &fake{handle: map[string]http.HandlerFunc{}, status: wellStatus}
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	if cert != nil {
		f.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"http/1.1"}}
		f.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(f.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	if !f.date.IsZero() {
		w.Header().Set("Date", f.date.UTC().Format(http.TimeFormat))
	}
	if h := f.handle[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	switch r.URL.Path {
	case "/openapi.json":
		fmt.Fprint(w, `{"info":{"title":"Vibemesh","version":"1.0.0"}}`)
	case "/api/v1/ws":
		f.session(w, r)
	case "/api/v1/ws/status":
		id, err := auth.NewDev(auth.DevProject, "publisher").Verify(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		switch {
		case r.Header.Get("X-SV-KEY") == secret, err == nil && id.MayPublish:
			fmt.Fprint(w, f.status)
		default:
			problem(w, http.StatusUnauthorized, "The secret is not one of this server's.")
		}
	default:
		http.NotFound(w, r)
	}
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"about:blank","title":%q,"status":%d,"detail":%q}`, http.StatusText(status), status, detail)
}

// session takes a development token, in each of its places, and answers pings.
func (f *fake) session(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		http.Error(w, "this is a WebSocket: connect with a client that upgrades", http.StatusUpgradeRequired)
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if q := r.URL.Query().Get("token"); q != "" {
		token = q
	}
	if _, of, ok := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), "bearer."); ok {
		token = of
	}
	up := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == "vibemesh.v1" }}
	nc, _, _, err := up.Upgrade(r, w)
	if err != nil {
		return
	}
	defer nc.Close()
	if _, err := auth.NewDev(auth.DevProject, "publisher").Verify(context.Background(), token); err != nil {
		_ = ws.WriteFrame(nc, ws.NewCloseFrame(ws.NewCloseFrameBody(wire.CloseToken, "it is not good")))
		_, _ = io.Copy(io.Discard, nc)
		return
	}
	_ = ws.WriteFrame(nc, ws.NewTextFrame([]byte(`{"type":"hello","session":"s","node":"edge-0","cursor":"c","ping":1}`)))
	for {
		if f.cutOff > 0 {
			_ = nc.SetReadDeadline(time.Now().Add(f.cutOff))
		}
		head, err := ws.ReadHeader(nc)
		if err != nil || head.OpCode == ws.OpClose {
			return
		}
		if _, err := io.CopyN(io.Discard, nc, head.Length); err != nil {
			return
		}
		if head.OpCode == ws.OpText {
			_ = ws.WriteFrame(nc, ws.NewTextFrame([]byte(`{"type":"pong","cursor":"c"}`)))
		}
	}
}

// token is one of a development server.
func token(t *testing.T, c auth.DevClaims, at time.Time) string {
	t.Helper()
	c.UID = "ada"
	text, err := auth.MintDev(c, at)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// examine runs the doctor; change breaks its settings.
func examine(t *testing.T, url string, change func(*Config)) []Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cfg := Config{
		URL: url, Token: token(t, auth.DevClaims{}, time.Now()), Secret: secret, SecretHeader: "X-SV-KEY", PublishClaim: "publisher",
		Timeout: 5 * time.Second, Now: time.Now,
	}
	if change != nil {
		change(&cfg)
	}
	var all []Result
	Run(ctx, cfg, func(r Result) { all = append(all, r) })
	return all
}

// expect finds the one result of a check in a state, and what it is to say and to advise.
func expect(t *testing.T, all []Result, check, state, text, fix string) {
	t.Helper()
	for _, r := range all {
		if r.Check == check && r.State == state && strings.Contains(r.Text, text) && strings.Contains(r.Fix, fix) {
			return
		}
	}
	t.Errorf("no %s of %s with %q and %q in:", state, check, text, fix)
	for _, r := range all {
		t.Logf("%-4s %-20s %s → %s", r.State, r.Check, r.Text, r.Fix)
	}
}

// only finds that nothing else than some checks has failed or warned.
func only(t *testing.T, all []Result, checks ...string) {
	t.Helper()
	for _, r := range all {
		if r.State != OK && r.State != Skip && !strings.Contains(" "+strings.Join(checks, " ")+" ", " "+strings.Fields(r.Check)[0]+" ") {
			t.Errorf("%s: %s %s → %s", r.State, r.Check, r.Text, r.Fix)
		}
		if (r.State == Warn || r.State == Fail) && r.Fix == "" {
			t.Errorf("%s of %s (%s) says not what to do", r.State, r.Check, r.Text)
		}
	}
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
