//go:build linux

package main

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestTokensAreKept: signed once, found again, and signed anew when they are too few
// or too old.
func TestTokensAreKept(t *testing.T) {
	dir := t.TempDir()
	made := func(n int) *tokenFile {
		t.Helper()
		f, err := tokensIn(dir, n, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first := made(5)
	if again := made(4); again.KeyID != first.KeyID || again.Count != 5 {
		t.Errorf("tokens of a moment ago were signed anew: %+v", again.tokenHead)
	}
	if more := made(6); more.KeyID == first.KeyID || more.Count != 6 {
		t.Errorf("five tokens for six users: %+v", more.tokenHead)
	}
	old := &tokenFile{path: first.path}
	if err := old.sign(6, time.Now().Add(tokenRest-tokenLife-time.Minute), t.Logf); err != nil {
		t.Fatal(err)
	}
	if fresh := made(6); fresh.KeyID == old.KeyID {
		t.Error("tokens that are about to expire are used again")
	}
	if info, err := os.Stat(first.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	tokens, err := readTokens(first.path, 2, 3)
	if err != nil || len(tokens) != 3 {
		t.Fatalf("%d tokens, %v", len(tokens), err)
	}
	for i, token := range tokens {
		if claims := claimsOf(t, token); claims["sub"] != "u"+strconv.Itoa(2+i) {
			t.Errorf("token %d is of %v", 2+i, claims["sub"])
		}
	}
	if _, err := readTokens(first.path, 4, 3); err == nil {
		t.Error("more tokens were read than there are")
	}
}

// TestTokensAreVouchedFor: whoever asks for Google's certificates by way of the
// proxy gets the one that the tokens are signed by, and nothing else.
func TestTokensAreVouchedFor(t *testing.T) {
	f, err := tokensIn(t.TempDir(), 1, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	g, err := startGoogle(f)
	if err != nil {
		t.Fatal(err)
	}
	defer g.stop()
	env := map[string]string{}
	for _, e := range g.env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	proxy, err := url.Parse(env["HTTPS_PROXY"])
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(env["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy, transport.TLSClientConfig.RootCAs = http.ProxyURL(proxy), pool
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	resp, err := client.Get("https://" + certHost + certPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	certs := map[string]string{}
	if err := json.NewDecoder(resp.Body).Decode(&certs); err != nil || !strings.Contains(resp.Header.Get("Cache-Control"), "max-age=") {
		t.Fatalf("%v, %v", err, resp.Header)
	}
	tokens, err := readTokens(f.path, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkSignature(t, tokens[0], certs)
	if n := len(tokens[0]); n < 850 || n > 1100 {
		t.Errorf("a token of %d bytes is not as long as Firebase's", n)
	}
	if resp, err := client.Get("https://accounts.google.com/"); err == nil {
		resp.Body.Close()
		t.Error("the proxy lets anything through")
	}
}

func checkSignature(t *testing.T, token string, certs map[string]string) {
	t.Helper()
	at := strings.LastIndexByte(token, '.')
	var header struct{ Alg, Kid string }
	part(t, token[:strings.IndexByte(token, '.')], &header)
	block, _ := pem.Decode([]byte(certs[header.Kid]))
	if header.Alg != "RS256" || block == nil {
		t.Fatalf("header %+v, certificates %v", header, certs)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token[:at]))
	if err := rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], signature); err != nil {
		t.Error(err)
	}
	if claims := claimsOf(t, token); claims["aud"] != tokenProject || claims["iss"] != "https://securetoken.google.com/"+tokenProject {
		t.Errorf("claims %v", claims)
	}
}

func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	part(t, strings.Split(token, ".")[1], &claims)
	return claims
}

func part(t *testing.T, text string, into any) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}
