package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// secure looks at the certificate that each address shows. Without TLS there is nothing
// to look at.
func (d *doctor) secure(ctx context.Context) bool {
	if d.base.Scheme != "https" {
		return true
	}
	good := true
	for _, a := range d.addresses {
		good = d.certificate(ctx, a) && good
	}
	return good
}

// certificate makes a handshake that takes any certificate, and then judges it: so it
// can say what is wrong, and not only that something is.
func (d *doctor) certificate(ctx context.Context, address string) bool {
	check := "tls"
	if len(d.addresses) > 1 {
		check += " " + address
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{
		ServerName: d.base.Hostname(), MinVersion: tls.VersionTLS10, NextProtos: []string{"http/1.1"},
		InsecureSkipVerify: true, //nolint:gosec // judge verifies it; nothing is sent
	}}
	nc, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		d.fail(check, "the handshake fails: "+err.Error(), handshakeFix(err))
		return false
	}
	defer nc.Close()
	state := nc.(*tls.Conn).ConnectionState()
	if state.Version < tls.VersionTLS12 {
		d.fail(check, "it speaks "+tls.VersionName(state.Version)+" at most", "have the server, or the proxy before it, speak TLS 1.2 and 1.3")
		return false
	}
	if text, fix := d.judge(state.PeerCertificates); text != "" {
		d.fail(check, text, fix)
		return false
	}
	leaf := state.PeerCertificates[0]
	if left := leaf.NotAfter.Sub(d.Now()); left < soon {
		d.warn(check, fmt.Sprintf("the certificate expires in %d days, on %s", int(left.Hours())/24, leaf.NotAfter.UTC().Format(time.DateOnly)),
			"renew it: the server reads a new one without a restart")
	}
	d.ok(check, "%s, a certificate of %s until %s", tls.VersionName(state.Version), issuer(leaf), leaf.NotAfter.UTC().Format(time.DateOnly))
	return true
}

func issuer(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return c.Issuer.String()
}

func handshakeFix(err error) string {
	var (
		record  tls.RecordHeaderError
		timeout net.Error
		alert   tls.AlertError
	)
	switch {
	case errors.As(err, &record) && bytes.HasPrefix(record.RecordHeader[:], []byte("HTTP")), strings.Contains(err.Error(), "does not look like a TLS handshake"):
		return "this port speaks plain HTTP: write http:// in --url, or give the server a certificate (WS_TLS_CERT, WS_TLS_KEY)"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the port is open and says nothing: does it wait for a PROXY header (WS_PROXY_PROTOCOL)?"
	case errors.As(err, &alert):
		return "the server refuses what TLS says: does it know this name, or ask for a client certificate?"
	}
	return "does the server, or the proxy before it, end TLS on this port? A server with WS_PROXY_PROTOCOL=true hangs up on whoever sends no header"
}

// judge verifies a chain as clients do, and says what is wrong; empty: nothing.
func (d *doctor) judge(chain []*x509.Certificate) (text, fix string) {
	leaf, now := chain[0], d.Now()
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case now.After(leaf.NotAfter):
		return "the certificate expired on " + day(leaf.NotAfter), "renew it (or set this machine's clock, if that is not past)"
	case now.Before(leaf.NotBefore):
		return "the certificate counts from " + day(leaf.NotBefore) + " only", "set this machine's clock, or wait"
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: d.base.Hostname(), Intermediates: between, CurrentTime: now})
	var name x509.HostnameError
	switch {
	case err == nil:
		return "", ""
	case errors.As(err, &name):
		names := append([]string{}, leaf.DNSNames...)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		return fmt.Sprintf("the certificate is for %s, not for %s", strings.Join(names, ", "), d.base.Hostname()),
			"use one of its names in --url, or get a certificate for this one"
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		return "the certificate is signed by itself, so no client trusts it", "get one of an authority; on a machine of your own, name it in SSL_CERT_FILE"
	case len(chain) == 1:
		return "the certificate is of " + issuer(leaf) + ", whom this machine does not know, and no certificates between came with it",
			"serve the whole chain, the intermediates behind the certificate (fullchain.pem); or, for an authority of your own, name its file in SSL_CERT_FILE"
	}
	return err.Error(), "for an authority of your own, name its file in SSL_CERT_FILE"
}
