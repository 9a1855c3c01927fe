package mesh

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// TLSFiles are PEM files for connections to NATS. They are read again with each
// connection, so a renewed one counts from then on.
type TLSFiles struct {
	CA   string // authorities that servers' certificates are of; empty: those of the system
	Cert string // the client's certificate, where servers ask for one, or empty
	Key  string // and its private key
}

func (f TLSFiles) options() (opts []nats.Option) {
	if f.CA != "" {
		opts = append(opts, nats.RootCAs(f.CA)) // and nothing but TLS, whatever the URL says
	}
	if f.Cert != "" {
		opts = append(opts, nats.ClientCert(f.Cert, f.Key))
	}
	return opts
}

// explain says what to do about an error of a connection that is one of TLS and stays
// one; nil for all others.
func (f TLSFiles) explain(err error) error {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	why := ""
	switch {
	case errors.As(err, &authority) && f.CA == "":
		why = "no authority of this system has signed the server's certificate: name the file of the one that has in WS_NATS_CA"
	case errors.As(err, &authority):
		why = "none of WS_NATS_CA has signed the server's certificate"
	case errors.As(err, &host):
		why = "the server's certificate has other names than WS_NATS_URL"
	case errors.As(err, &invalid):
		why = "the server's certificate is not valid"
	case isAlert(err) && f.Cert == "":
		why = "the server asks for a client certificate: name its file in WS_NATS_CERT and its key in WS_NATS_KEY"
	case isAlert(err):
		why = "the server refuses the certificate of WS_NATS_CERT"
	case errors.Is(err, nats.ErrSecureConnWanted):
		why = "WS_NATS_CA asks for TLS, which the server does not speak: turn it on there, or leave WS_NATS_CA empty"
	case errors.Is(err, nats.ErrClientCertOrRootCAsRequired), isFile(err):
		why = "the files of WS_NATS_CA, WS_NATS_CERT and WS_NATS_KEY cannot be used"
	default:
		return nil
	}
	return fmt.Errorf("%w: TLS with NATS: %s: %w", wire.ErrUnavailable, why, err)
}

// isAlert reports that the server ended the handshake. Where it does so because of our
// certificate, TLS 1.3 has us know only after the handshake.
func isAlert(err error) bool { return strings.Contains(err.Error(), "remote error: tls: ") }

// isFile reports that nats.go could not make sense of a file.
func isFile(err error) bool {
	text := err.Error()
	return strings.Contains(text, "error loading client certificate") || strings.Contains(text, "error loading or parsing rootCA") ||
		strings.Contains(text, "failed to parse root certificate") || strings.Contains(text, "error parsing client certificate")
}

// tlsFor is how to speak TLS to one server of the cluster. One that others told us of, by
// its address, has a certificate for a name: that of WS_NATS_URL counts, as for nats.go.
func (m *Mesh) tlsFor(server string, before *tls.Config) *tls.Config {
	at, err := url.Parse(server)
	if err != nil || net.ParseIP(at.Hostname()) == nil {
		return before
	}
	for _, u := range m.cfg.URLs {
		named, err := url.Parse(u)
		if err != nil || named.Hostname() == at.Hostname() {
			return before
		}
		if net.ParseIP(named.Hostname()) == nil {
			c := &tls.Config{MinVersion: tls.VersionTLS12}
			if before != nil {
				c = before.Clone()
			}
			c.ServerName = named.Hostname()
			return c
		}
	}
	return before
}
