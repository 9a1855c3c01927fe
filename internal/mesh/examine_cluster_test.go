package mesh_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/mesh"
)

// One replica on a cluster is a choice that few mean.
func TestExamineCluster(t *testing.T) {
	url := cluster(t)
	m := connectTo(t, mesh.Config{URLs: []string{url}})
	provision(t, m, anHour)
	all := examine(t, url, nil)
	found(t, all, "nats streams", mesh.FindingWarn, "are a cluster, and the log has one replica", "WS_REPLICAS=3")
	none(t, all, "nats streams", host(url))
	all = examine(t, url, func(e *mesh.Examination) { e.Log.Replicas = 3 })
	found(t, all, "nats stream SV_LOG", mesh.FindingWarn, "num_replicas: 1 → 3", "vibemesh provision")
	provision(t, m, mesh.LogConfig{Replicas: 3, MaxAge: time.Hour})
	all = examine(t, url, func(e *mesh.Examination) { e.Log.Replicas = 3 })
	found(t, all, "nats stream SV_LOG", mesh.FindingOK, "3 replicas", "")
}

// TestExamineWithoutMajority: a server that has lost the others has JetStream turned on.
func TestExamineWithoutMajority(t *testing.T) {
	url := natsServer(t, t.TempDir(), storage(t)+`server_name: left
		cluster { name: three, listen: "127.0.0.1:-1", routes: ["nats://127.0.0.1:1", "nats://127.0.0.1:2"] }`)
	all := examine(t, url, nil)
	for until := time.Now().Add(time.Minute); time.Now().Before(until) && strings.Contains(fmt.Sprint(all), "JetStream does not answer"); {
		all = examine(t, url, nil) // it waits ten seconds for the others before it says anything
	}
	found(t, all, "nats jetstream", mesh.FindingFail, "temporarily unavailable", "bring a majority of its servers back")
}

// certificate writes a certificate for 127.0.0.1 until some time, and who has signed it.
func certificate(t *testing.T, dir string, until time.Time) (ca string) {
	t.Helper()
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca = file("ca.pem", "CERTIFICATE", der)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-500 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if der, err = x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, key); err != nil {
		t.Fatal(err)
	}
	file("cert.pem", "CERTIFICATE", der)
	if der, err = x509.MarshalECPrivateKey(key); err != nil {
		t.Fatal(err)
	}
	file("key.pem", "EC PRIVATE KEY", der)
	return ca
}

func TestExamineTLS(t *testing.T) {
	stranger := certificate(t, t.TempDir(), time.Now().Add(time.Hour))
	for _, tc := range []struct {
		name             string
		left             time.Duration
		ca               string // "": none; "own"; else a file
		state, text, fix string
	}{
		{"well", 400 * time.Hour, "own", mesh.FindingOK, "TLS 1.3", ""},
		{"about to expire", 40 * time.Hour, "own", mesh.FindingWarn, "its certificate expires on", "renew it"},
		{"expired", -time.Hour, "own", mesh.FindingFail, "expired", "renew the server's certificate"},
		{"unknown authority", 400 * time.Hour, "", mesh.FindingFail, "unknown authority", "--nats-ca"},
		{"of a stranger", 400 * time.Hour, stranger, mesh.FindingFail, "", "--nats-ca"},
		{"no such file", 400 * time.Hour, "/no/such/file", mesh.FindingFail, "no such file", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			ca := certificate(t, dir, time.Now().Add(tc.left))
			if tc.ca != "own" {
				ca = tc.ca
			}
			url := natsServer(t, dir, storage(t)+fmt.Sprintf("tls { cert_file: %q, key_file: %q }\n", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")))
			url = strings.Replace(url, "tls://", "nats://", 1)
			all := examine(t, url, func(e *mesh.Examination) { e.TLS.CA = ca })
			found(t, all, host(url), tc.state, tc.text, tc.fix)
		})
	}
	t.Run("no TLS there", func(t *testing.T) {
		url := natsServer(t, t.TempDir(), storage(t))
		all := examine(t, url, func(e *mesh.Examination) { e.TLS.CA = stranger })
		found(t, all, host(url), mesh.FindingFail, "", "the server has no TLS")
	})
}
