package mesh

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// userFile is a credentials file; without a time it counts for ever.
func userFile(t *testing.T, expires time.Time) string {
	t.Helper()
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	id, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewUserClaims(id)
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	token, err := claims.Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, "user.creds", text)
}

// certFiles are a client's certificate and its key.
func certFiles(t *testing.T, expires time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: expires}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, "client.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		written(t, "client.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func written(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExpiries: an operator is told before NATS turns this process away, by the files as
// they are now; what never ends, or is not there, is no time in 1970.
func TestExpiries(t *testing.T) {
	soon, late := time.Unix(1_900_000_000, 0), time.Unix(2_000_000_000, 0)
	cert, key := certFiles(t, late)
	m := &Mesh{cfg: Config{Creds: userFile(t, soon), TLS: TLSFiles{Cert: cert, Key: key}}}
	if diff := cmp.Diff(map[string]float64{"credentials": 1.9e9, "certificate": 2e9}, m.expiries()); diff != "" {
		t.Error(diff)
	}
	renewed, err := os.ReadFile(userFile(t, late))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.cfg.Creds, renewed, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := m.expiries()["credentials"]; got != 2e9 {
		t.Errorf("renewed credentials expire at %v", got)
	}
	for name, cfg := range map[string]Config{
		"neither":            {},
		"for ever":           {Creds: userFile(t, time.Time{})},
		"gone":               {Creds: "no such file", TLS: TLSFiles{Cert: "none", Key: "none"}},
		"not credentials":    {Creds: cert},
		"no pair, no expiry": {TLS: TLSFiles{Cert: key, Key: cert}},
	} {
		if at := (&Mesh{cfg: cfg}).expiries(); len(at) > 0 {
			t.Errorf("%s: %v", name, at)
		}
	}
}
