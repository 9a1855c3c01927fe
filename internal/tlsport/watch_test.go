package tlsport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// newPEM is a certificate with a name, and its key.
func newPEM(t *testing.T, name string, until time.Time) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: until.Add(-time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

// secret is a folder as Kubernetes mounts one: the files are links into ..data,
// a link itself, which is exchanged in one step.
type secret struct {
	t    *testing.T
	dir  string
	last string
}

func (s *secret) set(version string, certPEM, keyPEM []byte) {
	s.t.Helper()
	of := filepath.Join(s.dir, version)
	next := filepath.Join(s.dir, "..data_tmp")
	if err := errors.Join(
		os.Mkdir(of, 0o700),
		os.WriteFile(filepath.Join(of, "tls.crt"), certPEM, 0o600),
		os.WriteFile(filepath.Join(of, "tls.key"), keyPEM, 0o600),
		os.Symlink(version, next),
		os.Rename(next, filepath.Join(s.dir, "..data")),
	); err != nil {
		s.t.Fatal(err)
	}
	if s.last != "" {
		if err := os.RemoveAll(filepath.Join(s.dir, s.last)); err != nil {
			s.t.Fatal(err)
		}
	}
	s.last = version
}

func newSecret(t *testing.T) *secret {
	s := &secret{t: t, dir: t.TempDir()}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// watched is a certificate under watch, and what it logs.
type watched struct {
	*certificate
	*secret
	log bytes.Buffer // read it only when everybody waits
}

func watch(t *testing.T, certPEM, keyPEM []byte) *watched {
	t.Helper()
	w := &watched{secret: newSecret(t)}
	w.set("v1", certPEM, keyPEM)
	var err error
	w.certificate, err = newCertificate(filepath.Join(w.dir, "tls.crt"), filepath.Join(w.dir, "tls.key"),
		slog.New(slog.NewTextHandler(&w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		synctest.Wait()
	})
	go w.watch(ctx)
	return w
}

// presents waits for two looks and says whose certificate is in use then.
func (w *watched) presents(want string) {
	w.t.Helper()
	time.Sleep(2*lookEvery + time.Millisecond) // a bubble's: nobody waits
	synctest.Wait()
	if got := w.current.Load().Leaf.Subject.CommonName; got != want {
		w.t.Errorf("%q is in use, want %q; the log:\n%s", got, want, &w.log)
	}
}

func (w *watched) reloaded(ok, refused float64) {
	w.t.Helper()
	if o, r := testutil.ToFloat64(w.reloads.WithLabelValues("ok")), testutil.ToFloat64(w.reloads.WithLabelValues("refused")); o != ok || r != refused {
		w.t.Errorf("%v reloads and %v refused, want %v and %v", o, r, ok, refused)
	}
	if n := strings.Count(w.log.String(), "level=ERROR"); n != int(refused) {
		w.t.Errorf("%d errors in the log, want %v:\n%s", n, refused, &w.log)
	}
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Hour)
		cert1, key1 := newPEM(t, "first", until)
		cert2, key2 := newPEM(t, "second", until)
		cert3, key3 := newPEM(t, "third", until)
		w := watch(t, cert1, key1)
		w.presents("first")
		w.set("v2", cert2, key2)
		w.presents("second")
		w.reloaded(1, 0)

		w.set("v3", cert3, key2) // the key of another
		w.presents("second")
		w.presents("second") // told once
		w.reloaded(1, 1)
		w.set("v4", []byte("nothing"), key2)
		w.presents("second")
		w.reloaded(1, 2)
		w.set("v5", cert3, key3)
		w.presents("third")
		w.set("v6", cert3, key3) // other files, the same content
		w.presents("third")
		w.reloaded(2, 2)
	})
}

// Files that are replaced one after the other, between two looks, are no error.
func TestWatchOfTwoWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Hour)
		cert1, key1 := newPEM(t, "first", until)
		cert2, key2 := newPEM(t, "second", until)
		w := watch(t, cert1, key1)
		time.Sleep(lookEvery - time.Millisecond)
		if err := os.WriteFile(filepath.Join(w.dir, "tls.crt"), cert2, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // a look comes in between
		if err := os.WriteFile(filepath.Join(w.dir, "tls.key"), key2, 0o600); err != nil {
			t.Fatal(err)
		}
		w.presents("second")
		w.reloaded(1, 0)
	})
}

// Files that are gone are told once, and taken up when they are back.
func TestWatchOfMissingFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(time.Hour)
		cert1, key1 := newPEM(t, "first", until)
		cert2, key2 := newPEM(t, "second", until)
		w := watch(t, cert1, key1)
		if err := os.Remove(filepath.Join(w.dir, "..data")); err != nil {
			t.Fatal(err)
		}
		w.presents("first")
		w.presents("first")
		w.reloaded(0, 1)
		w.set("v2", cert2, key2)
		w.presents("second")
		w.reloaded(1, 1)
	})
}

// A certificate outside its time is used, and warned of.
func TestCertificateOutsideItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for until, want := range map[time.Time]string{
			time.Now().Add(-time.Minute):   "has expired",
			time.Now().Add(24 * time.Hour): "is not valid yet",
		} {
			certPEM, keyPEM := newPEM(t, "untimely", until)
			w := watch(t, certPEM, keyPEM)
			w.presents("untimely")
			if log := w.log.String(); strings.Count(log, "level=WARN") != 1 || !strings.Contains(log, want) {
				t.Errorf("want %q in the log:\n%s", want, log)
			}
		}
	})
}
