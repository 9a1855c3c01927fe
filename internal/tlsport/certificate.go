package tlsport

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The settings that the files come from, as errors name them.
const (
	certSetting = "WS_TLS_CERT"
	keySetting  = "WS_TLS_KEY"
)

// lookEvery is how often the files are looked at. Their content is compared: a
// Kubernetes secret changes by a symbolic link two folders up, and a time of
// modification may stay the same.
const lookEvery = time.Second

// certificate is the pair in use, and the watch for another one in its files.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	current atomic.Pointer[tls.Certificate]

	// Of the watch alone.
	seen   digest // what the files held when they were last looked at
	judged digest // what of it was last taken or refused

	reloads *prometheus.CounterVec
}

// digest stands for the content of both files; a key is not kept twice.
type digest [sha256.Size]byte

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "vibemesh_tls_certificate_reloads_total", Help: "Changes of the certificate's files, by result.",
	}, []string{"result"})
	for _, result := range []string{"ok", "refused"} {
		c.reloads.WithLabelValues(result)
	}
	certPEM, keyPEM, err := c.read()
	if err != nil {
		return nil, err
	}
	pair, err := c.parse(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	c.seen = digestOf(certPEM, keyPEM)
	c.judged = c.seen
	c.use(pair)
	return c, nil
}

func (c *certificate) read() (certPEM, keyPEM []byte, err error) {
	for _, f := range []struct{ setting, path string }{{certSetting, c.certFile}, {keySetting, c.keyFile}} {
		if f.path == "" {
			return nil, nil, fmt.Errorf("%s is empty: %s and %s go together; name the PEM files of a certificate and of its key",
				f.setting, certSetting, keySetting)
		}
	}
	certPEM, certErr := os.ReadFile(c.certFile)
	if certErr != nil {
		certErr = fmt.Errorf("%s: %w", certSetting, certErr)
	}
	keyPEM, keyErr := os.ReadFile(c.keyFile)
	if keyErr != nil {
		keyErr = fmt.Errorf("%s: %w", keySetting, keyErr)
	}
	return certPEM, keyPEM, errors.Join(certErr, keyErr)
}

// parse says which of the two files is wrong, and what to do.
func (c *certificate) parse(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	block := findBlock(certPEM, "CERTIFICATE")
	if block == nil {
		return nil, fmt.Errorf("%s %s: it holds no PEM block CERTIFICATE", certSetting, c.certFile)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return nil, fmt.Errorf("%s %s: %w", certSetting, c.certFile, err)
	}
	block = findBlock(keyPEM, "PRIVATE KEY")
	switch {
	case block == nil:
		return nil, fmt.Errorf("%s %s: it holds no PEM block PRIVATE KEY", keySetting, c.keyFile)
	case strings.HasPrefix(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
		return nil, fmt.Errorf("%s %s: the key is encrypted; store it without a passphrase, readable by this process only", keySetting, c.keyFile)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s %s with %s %s: %w; the first certificate must be the key's own, and its issuers follow it",
			certSetting, c.certFile, keySetting, c.keyFile, err)
	}
	return &pair, nil
}

// findBlock is the first PEM block of a type, or of one that ends like it, such
// as EC PRIVATE KEY.
func findBlock(data []byte, kind string) *pem.Block {
	for {
		block, rest := pem.Decode(data)
		if block == nil || strings.HasSuffix(block.Type, kind) {
			return block
		}
		data = rest
	}
}

// use has new handshakes present a pair. One that clients will refuse is used all
// the same: whoever runs the mesh may know better, and no certificate helps nobody.
func (c *certificate) use(pair *tls.Certificate) {
	c.current.Store(pair)
	leaf := pair.Leaf
	facts := []any{"file", c.certFile, "names", leaf.DNSNames, "addresses", leaf.IPAddresses, "from", leaf.NotBefore, "until", leaf.NotAfter}
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		c.log.Warn("the TLS certificate has expired: clients will refuse it", facts...)
	case now.Before(leaf.NotBefore):
		c.log.Warn("the TLS certificate is not valid yet: clients will refuse it", facts...)
	default:
		c.log.Info("TLS certificate", facts...)
	}
}

// forClient is a tls.Config's GetCertificate.
func (c *certificate) forClient(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

func (c *certificate) expiry() float64 { return float64(c.current.Load().Leaf.NotAfter.Unix()) }

// watch looks at the files until ctx ends.
func (c *certificate) watch(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.look()
		}
	}
}

// look takes up a change of the files once they have stayed the same for one more
// look: two files are not written at once. A wrong pair is told once.
func (c *certificate) look() {
	certPEM, keyPEM, err := c.read()
	now := digestOf(certPEM, keyPEM)
	if now != c.seen || now == c.judged {
		c.seen = now
		return
	}
	c.judged = now
	var pair *tls.Certificate
	if err == nil {
		pair, err = c.parse(certPEM, keyPEM)
	}
	if err != nil {
		c.reloads.WithLabelValues("refused").Inc()
		c.log.Error("the TLS certificate has changed and cannot be used: the one before it stays", "err", err)
		return
	}
	c.reloads.WithLabelValues("ok").Inc()
	c.use(pair)
}

// digestOf tells an unreadable file (nil) like an empty one, and never the same
// bytes cut differently.
func digestOf(certPEM, keyPEM []byte) digest {
	a, b := sha256.Sum256(certPEM), sha256.Sum256(keyPEM)
	return sha256.Sum256(append(a[:], b[:]...))
}
