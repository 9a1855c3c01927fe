package doctor

import (
	"context"
	"crypto/tls"
	"net/url"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestTLS(t *testing.T) {
	between, err := newSigner("Test Intermediate", ours)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := newSigner("Another Authority", nil)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(60 * day)
	for _, tc := range []struct {
		name             string
		cert             tls.Certificate
		state, text, fix string
	}{
		{"well", issue(t, ours, "127.0.0.1", later), OK, "TLS 1.3, a certificate of Test Authority until ", ""},
		{"with its intermediate", issue(t, between, "127.0.0.1", later, between), OK, "Test Intermediate", ""},
		{"about to expire", issue(t, ours, "127.0.0.1", time.Now().Add(9*day+time.Hour)), Warn, "expires in 9 days", "renew it"},
		{"expired", issue(t, ours, "127.0.0.1", time.Now().Add(-day)), Fail, "expired on", "renew it"},
		{"not yet", issue(t, ours, "127.0.0.1", time.Now().Add(100*day)), Fail, "counts from", "clock"},
		{"of another name", issue(t, ours, "other.example.org", later), Fail, "is for other.example.org, not for 127.0.0.1", "--url"},
		{"signed by itself", issue(t, nil, "127.0.0.1", later), Fail, "signed by itself", "SSL_CERT_FILE"},
		{"without its intermediate", issue(t, between, "127.0.0.1", later), Fail, "of Test Intermediate, whom this machine does not know", "fullchain.pem"},
		{"of a stranger", issue(t, stranger, "127.0.0.1", later, stranger), Fail, "unknown authority", "SSL_CERT_FILE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, &tc.cert)
			all := examine(t, f.URL, nil)
			expect(t, all, "tls", tc.state, tc.text, tc.fix)
			only(t, all, "tls")
			if tc.state == Fail {
				expect(t, all, "http", Skip, "", "")
			} else {
				expect(t, all, "upgrade header", OK, "", "")
			}
		})
	}
}

// Each address shows its own certificate.
func TestTLSOfEachAddress(t *testing.T) {
	good := issue(t, ours, "localhost", time.Now().Add(60*day))
	f := newFake(t, &good)
	u, _ := url.Parse(f.URL)
	all := examine(t, "https://localhost:"+u.Port(), func(c *Config) {
		c.Resolve = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	})
	expect(t, all, "tls", OK, "", "")
	only(t, all)
}

func TestWrongProtocol(t *testing.T) {
	plain := newFake(t, nil)
	all := examine(t, strings.Replace(plain.URL, "http://", "https://", 1), nil)
	expect(t, all, "tls", Fail, "", "write http:// in --url")
	only(t, all, "tls")

	cert := issue(t, ours, "127.0.0.1", time.Now().Add(60*day))
	secure := newFake(t, &cert)
	all = examine(t, strings.Replace(secure.URL, "https://", "http://", 1), nil)
	expect(t, all, "http", Fail, "the port speaks TLS", "write https:// in --url")
}

func TestOldTLS(t *testing.T) {
	cert := issue(t, ours, "127.0.0.1", time.Now().Add(60*day))
	f := newFake(t, &cert)
	f.TLS.MinVersion, f.TLS.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 //nolint:gosec // it is the mistake
	all := examine(t, f.URL, nil)
	expect(t, all, "tls", Fail, "TLS 1.1 at most", "TLS 1.2 and 1.3")
	only(t, all, "tls")
}
