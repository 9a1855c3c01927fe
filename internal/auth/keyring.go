package auth

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// certificatesURL is where Google publishes the certificates of the keys that
// sign Firebase ID tokens, as a JSON object of PEM texts by key id.
const certificatesURL = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"

const (
	fetchTimeout = 5 * time.Second
	// fetchPause is how long nobody asks again after a fetch that failed.
	fetchPause = time.Second
	// maxCertificates bounds the answer, in bytes; it has about four thousand.
	maxCertificates = 1 << 20
)

// keyring holds Google's current keys: those of the last answer, until its
// max-age has passed. It asks for the next one when a fifth of that time is left
// (an hour, as Google has it), and every second from then on, so that nobody waits
// for an answer but at the start, and an outage has to last to be noticed. A fetch
// belongs to no caller and goes on when those that wait for it leave.
type keyring struct {
	client *http.Client
	held   atomic.Pointer[keySet]

	mu       sync.Mutex
	fetching chan struct{} // closed when the fetch under way ends; nil: there is none
	failed   error         // of the last fetch
	pause    time.Time     // no fetch before this
}

type keySet struct {
	keys         map[string]*rsa.PublicKey // by kid; not changed any more
	renew, until time.Time
}

func newKeyring() *keyring { return &keyring{client: &http.Client{Timeout: fetchTimeout}} }

// now returns the keys, or nil if there are none; it never waits.
func (r *keyring) now() map[string]*rsa.PublicKey {
	set, now := r.held.Load(), time.Now()
	if set != nil && now.Before(set.renew) {
		return set.keys
	}
	r.mu.Lock()
	r.fetch(now)
	r.mu.Unlock()
	if set != nil && now.Before(set.until) {
		return set.keys
	}
	return nil
}

// wait returns the keys as soon as there are some.
func (r *keyring) wait(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	for {
		if keys := r.now(); keys != nil {
			return keys, nil
		}
		r.mu.Lock()
		fetching, failed := r.fetching, r.failed
		r.mu.Unlock()
		if fetching == nil {
			if failed == nil {
				continue // it ended well in between
			}
			return nil, fmt.Errorf("%w: fetching Google's certificates: %w", ErrUnavailable, failed)
		}
		select {
		case <-fetching:
		case <-ctx.Done():
			return nil, unavailable(ctx)
		}
	}
}

// fetch starts a fetch unless one is under way or has just failed. It is called
// with the lock held.
func (r *keyring) fetch(now time.Time) {
	if r.fetching != nil || now.Before(r.pause) {
		return
	}
	done := make(chan struct{})
	r.fetching = done
	go func() {
		set, err := r.ask()
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil {
			r.held.Store(set)
		} else {
			r.pause = time.Now().Add(fetchPause)
		}
		r.failed, r.fetching = err, nil
		close(done)
	}()
}

// ask makes one request.
func (r *keyring) ask() (*keySet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, certificatesURL, nil)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", req.URL.Host, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxCertificates))
	if err != nil {
		return nil, err
	}
	age, err := maxAge(resp.Header)
	if err != nil {
		return nil, err
	}
	keys, err := parseCertificates(body)
	if err != nil {
		return nil, err
	}
	set := &keySet{keys: keys, renew: began.Add(age - age/5), until: began.Add(age)}
	// Who has waited for the answer may use it, however old it is.
	if least := time.Now().Add(fetchPause); set.until.Before(least) {
		set.until = least
	}
	return set, nil
}

// maxAge is how long an answer counts (RFC 9111, 5.2.2.1), less what it has spent in
// caches on the way.
func maxAge(h http.Header) (time.Duration, error) {
	for _, directive := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if err != nil {
			break
		}
		old, _ := strconv.ParseUint(h.Get("Age"), 10, 31) // none: 0
		return time.Duration(max(int64(seconds)-int64(old), 1)) * time.Second, nil
	}
	return 0, errors.New("the certificates came without a max-age")
}

// parseCertificates takes the keys out of Google's answer.
func parseCertificates(body []byte) (map[string]*rsa.PublicKey, error) {
	var texts map[string]string
	if err := json.Unmarshal(body, &texts); err != nil {
		return nil, fmt.Errorf("the certificates are not a JSON object: %w", err)
	}
	keys := make(map[string]*rsa.PublicKey, len(texts))
	for kid, text := range texts {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, fmt.Errorf("certificate %.64q is not PEM", kid)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %.64q: %w", kid, err)
		}
		key, ok := cert.PublicKey.(*rsa.PublicKey)
		if !ok {
			return nil, fmt.Errorf("certificate %.64q is not of an RSA key", kid)
		}
		keys[kid] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("there are no certificates in the answer")
	}
	return keys, nil
}
