package tlsport_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/socialvibes/vibemesh/internal/netloop"
	"github.com/socialvibes/vibemesh/internal/tlsport"
)

func TestWrongFiles(t *testing.T) {
	good := newPair(t, withECDSA, "good", time.Now().Add(time.Hour))
	other := newPair(t, withECDSA, "other", time.Now().Add(time.Hour))
	encrypted := "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
	legacy := "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n"
	broken := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	for name, c := range map[string]struct {
		cert, key string // content; "-" for no file, "" for no name
		want      []string
	}{
		"no certificate named":    {"", string(good.keyPEM), []string{"WS_TLS_CERT is empty", "WS_TLS_KEY"}},
		"no key named":            {string(good.certPEM), "", []string{"WS_TLS_KEY is empty"}},
		"no certificate":          {"-", string(good.keyPEM), []string{"WS_TLS_CERT: open ", "no such file"}},
		"no key":                  {string(good.certPEM), "-", []string{"WS_TLS_KEY: open ", "no such file"}},
		"neither":                 {"-", "-", []string{"WS_TLS_CERT: ", "WS_TLS_KEY: "}},
		"certificate is not PEM":  {"x", string(good.keyPEM), []string{"WS_TLS_CERT ", "no PEM block CERTIFICATE"}},
		"certificate is garbage":  {broken, string(good.keyPEM), []string{"WS_TLS_CERT ", "x509: malformed"}},
		"key is not PEM":          {string(good.certPEM), "x", []string{"WS_TLS_KEY ", "no PEM block PRIVATE KEY"}},
		"exchanged":               {string(good.keyPEM), string(good.certPEM), []string{"WS_TLS_CERT ", "no PEM block CERTIFICATE"}},
		"key is encrypted":        {string(good.certPEM), encrypted, []string{"WS_TLS_KEY ", "is encrypted"}},
		"key is encrypted, older": {string(good.certPEM), legacy, []string{"WS_TLS_KEY ", "is encrypted"}},
		"another's key":           {string(good.certPEM), string(other.keyPEM), []string{"WS_TLS_CERT ", "WS_TLS_KEY ", "private key does not match"}},
	} {
		t.Run(name, func(t *testing.T) {
			open := openFiles(t)
			dir := t.TempDir()
			file := func(name, content string) string {
				if content == "" {
					return ""
				}
				path := filepath.Join(dir, name)
				if content != "-" {
					if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				return path
			}
			_, err := tlsport.New(file("c", c.cert), file("k", c.key), slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), strings.Split(string(good.keyPEM), "\n")[1]) {
				t.Error("the error shows the key")
			}
			if now := openFiles(t); now > open {
				t.Errorf("%d files are open, %d were before", now, open)
			}
		})
	}
}

// One file may hold both, in any order and with other blocks between.
func TestOneFile(t *testing.T) {
	p := newPair(t, withECDSA, "both", time.Now().Add(time.Hour))
	path := filepath.Join(t.TempDir(), "both.pem")
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	if err := os.WriteFile(path, bytes.Join([][]byte{[]byte(parameters), p.keyPEM, p.certPEM}, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	port, err := tlsport.New(path, path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := port.Run(ended); err != nil {
		t.Error(err)
	}
}

func TestCertificateMetrics(t *testing.T) {
	r := newRig(t, withECDSA, false)
	_, plain := r.connect(r.pair.client())
	defer netloop.CloseFD(plain)
	for _, c := range r.Collectors() {
		if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
			t.Error(problems, err)
		}
	}
	for name, want := range map[string]float64{
		"vibemesh_tls_relays":                               1,
		"vibemesh_tls_certificate_expiry_timestamp_seconds": float64(r.pair.leaf.NotAfter.Unix()),
		"vibemesh_tls_certificate_reloads_total ok":         0,
		"vibemesh_tls_certificate_reloads_total refused":    0,
		"vibemesh_tls_handshakes_total relay ok":            1,
		"vibemesh_tls_handshakes_total kernel ok":           0,
		"vibemesh_tls_handshakes_total none failed":         0,
	} {
		if got, ok := r.metrics()[name]; !ok || got != want {
			t.Errorf("%s is %v, %v; want %v", name, got, ok, want)
		}
	}
}

// A port presents the pair that its files hold.
func TestReloadWhileRunning(t *testing.T) {
	r := newRig(t, withECDSA, false)
	old, oldPlain := r.connect(r.pair.client())
	defer netloop.CloseFD(oldPlain)
	second := newPair(t, withRSA, "second", time.Now().Add(2*time.Hour))
	second.store(t, r.dir)
	eventually(t, "the new certificate", func() bool {
		return r.metrics()["vibemesh_tls_certificate_expiry_timestamp_seconds"] == float64(second.leaf.NotAfter.Unix())
	})
	client, plain := r.connect(second.client())
	defer netloop.CloseFD(plain)
	if got := client.ConnectionState().PeerCertificates[0].Subject.CommonName; got != "second" {
		t.Errorf("the port presents %q", got)
	}
	if n, err := netloop.Write(oldPlain, []byte("on")); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := old.Read(make([]byte, 8)); n != 2 || err != nil {
		t.Errorf("a connection of before: %d, %v", n, err)
	}
}
