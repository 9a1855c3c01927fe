//go:build linux

package main

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/socialvibes/vibemesh/internal/auth"
)

// tokenProject is the Firebase project that the RS256 tokens are of. There is none.
const tokenProject = "demo-meshbench"

// The tokens live for a day, so that the next run finds them signed, and are signed
// anew when less than tokenRest of it is left.
const (
	tokenLife = 24 * time.Hour
	tokenRest = 3 * time.Hour
)

// token is what socket i signs in with.
func (w *worker) token(i int) (string, error) {
	if w.tokens != nil {
		return w.tokens[i], nil
	}
	return auth.MintDev(auth.DevClaims{UID: "u" + strconv.Itoa(w.conf.First+i), TTL: tokenLife}, w.minted)
}

// tokenFile is a file of signed tokens: one line of JSON, and a line for each of the
// users u0, u1 and so on.
type tokenFile struct {
	path string
	tokenHead
}

type tokenHead struct {
	KeyID   string `json:"kid"`
	Cert    string `json:"certificate"` // PEM, as Google publishes it
	Key     []byte `json:"key"`         // PKCS #1; of a project that does not exist
	Count   int    `json:"count"`
	Expires int64  `json:"expires"` // seconds since 1970
}

// signedTokens finds tokens for n users, in the user's cache folder if a run has left
// them there, and otherwise signs them, on all cores: a millisecond each.
func signedTokens(n int, note func(string, ...any)) (*tokenFile, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("a place for the tokens: %w", err)
	}
	return tokensIn(filepath.Join(cache, "vibemesh-meshbench"), n, note)
}

func tokensIn(dir string, n int, note func(string, ...any)) (*tokenFile, error) {
	f := &tokenFile{path: filepath.Join(dir, "tokens-rs256")}
	if err := f.readHead(); err == nil && f.Count >= n && time.Until(time.Unix(f.Expires, 0)) > tokenRest {
		note("tokens signed earlier: %d\n", f.Count)
		return f, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return f, f.sign(n, time.Now(), note)
}

func (f *tokenFile) readHead() error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	line, err := bufio.NewReader(file).ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, &f.tokenHead)
}

// sign makes a key, and a token for each of n users, and writes the file.
func (f *tokenFile) sign(n int, now time.Time, note func(string, ...any)) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "securetoken.system.gserviceaccount.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(2 * tokenLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	id := sha256.Sum256(der)
	f.tokenHead = tokenHead{
		KeyID: fmt.Sprintf("%x", id[:20]), Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key: x509.MarshalPKCS1PrivateKey(key), Count: n, Expires: now.Add(tokenLife).Unix(),
	}
	tokens := make([]string, n)
	var next atomic.Int64
	var group errgroup.Group
	for range runtime.NumCPU() {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				var err error
				if tokens[i], err = signToken(key, f.KeyID, i, now); err != nil {
					return err
				}
				if i%500 == 499 {
					note("\r%d of %d tokens signed ", i+1, n)
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("signing tokens: %w", err)
	}
	note("\r%d tokens signed        \n", n)
	return f.write(tokens)
}

// write replaces the file at once, so that no run finds half of one.
func (f *tokenFile) write(tokens []string) error {
	head, err := json.Marshal(f.tokenHead)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), "tokens-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // no longer there if all went well
	out := bufio.NewWriter(file)
	fmt.Fprintf(out, "%s\n", head) // Flush tells of errors
	for _, t := range tokens {
		fmt.Fprintf(out, "%s\n", t)
	}
	if err := errors.Join(out.Flush(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), f.path)
}

// signToken makes an ID token with all that Firebase puts into one for somebody who
// has signed in with Google, and of about that length.
func signToken(key *rsa.PrivateKey, keyID string, user int, now time.Time) (string, error) {
	uid := "u" + strconv.Itoa(user)
	email := fmt.Sprintf("somebody.%d@example.com", user)
	header, err := json.Marshal(map[string]string{"alg": "RS256", "kid": keyID, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": "https://securetoken.google.com/" + tokenProject, "aud": tokenProject,
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(tokenLife).Unix(), "sub": uid, "user_id": uid,
		"name": fmt.Sprintf("Somebody %d", user), "email": email, "email_verified": true,
		"firebase": map[string]any{
			"identities":       map[string]any{"google.com": []string{fmt.Sprintf("%021d", user)}, "email": []string{email}},
			"sign_in_provider": "google.com",
		},
	})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// readTokens reads the tokens of the users first to first+n-1.
func readTokens(path string, first, n int) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<10)
	tokens := make([]string, 0, n)
	for k := 0; len(tokens) < n; k++ {
		if !lines.Scan() {
			return nil, fmt.Errorf("%s: tokens of %d users: %w", path, first+n, errors.Join(lines.Err(), io.ErrUnexpectedEOF))
		}
		if k > first {
			tokens = append(tokens, lines.Text())
		}
	}
	return tokens, nil
}
