package auth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answer is a scripted certificate endpoint.
type answer struct {
	status  int
	header  http.Header
	body    string
	err     error
	fetches int
}

func (a *answer) RoundTrip(r *http.Request) (*http.Response, error) {
	a.fetches++
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{
		StatusCode: a.status, Status: http.StatusText(a.status), Header: a.header,
		Body: io.NopCloser(strings.NewReader(a.body)), Request: r,
	}, nil
}

func goodAnswer(t *testing.T, kids ...string) *answer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, &cert, &cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, kid := range kids {
		texts[kid] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	body, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	return &answer{status: 200, header: http.Header{"Cache-Control": {"public, max-age=1000, must-revalidate"}}, body: string(body)}
}

func ringOf(a *answer) *keyring { return &keyring{client: &http.Client{Transport: a}} }

func TestKeyringRenewsAhead(t *testing.T) {
	good := goodAnswer(t, "k1")
	synctest.Test(t, func(t *testing.T) {
		ring := ringOf(good)
		if ring.now() != nil {
			t.Fatal("keys before the first answer")
		}
		synctest.Wait()
		if len(ring.now()) != 1 || good.fetches != 1 {
			t.Fatalf("%d keys after %d fetches", len(ring.now()), good.fetches)
		}
		time.Sleep(799 * time.Second)
		if ring.now() == nil || good.fetches != 1 {
			t.Fatalf("%d fetches before a fifth is left", good.fetches)
		}
		good.err = errors.New("down")
		// With a fifth left it asks; nobody waits, nobody notices, once a second at most.
		for range 190 {
			time.Sleep(time.Second)
			for range 10 {
				if ring.now() == nil {
					t.Fatal("the keys were gone before their time")
				}
				synctest.Wait()
			}
		}
		if n := good.fetches; n < 100 || n > 191 {
			t.Errorf("%d fetches in 190 s of an outage, want one a second", n)
		}
		time.Sleep(12 * time.Second)
		if ring.now() != nil {
			t.Error("keys past their max-age count still")
		}
		synctest.Wait()
		if _, err := ring.wait(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "down") {
			t.Errorf("got %v, want ErrUnavailable and the cause", err)
		}
		good.err = nil
		time.Sleep(fetchPause)
		if keys, err := ring.wait(t.Context()); len(keys) != 1 || err != nil {
			t.Errorf("got %v, %v once it is back", keys, err)
		}
	})
}

func TestKeyringRefusesAnswers(t *testing.T) {
	good := goodAnswer(t, "k1", "k2")
	for name, change := range map[string]func(a *answer){
		"status":      func(a *answer) { a.status = 503 },
		"no max-age":  func(a *answer) { a.header = http.Header{} },
		"bad max-age": func(a *answer) { a.header = http.Header{"Cache-Control": {"max-age=soon"}} },
		"not JSON":    func(a *answer) { a.body = "<html>" },
		"not PEM":     func(a *answer) { a.body = `{"k1":"hello"}` },
		"not X.509":   func(a *answer) { a.body = `{"k1":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}` },
		"empty":       func(a *answer) { a.body = `{}` },
		"cut off":     func(a *answer) { a.body = a.body[:len(a.body)/2] },
	} {
		t.Run(name, func(t *testing.T) {
			a := *good
			change(&a)
			if keys, err := ringOf(&a).wait(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, %v", keys, err)
			}
		})
	}
	if keys, err := ringOf(good).wait(t.Context()); len(keys) != 2 || err != nil {
		t.Errorf("the good one: %v, %v", keys, err)
	}
}

func TestMaxAge(t *testing.T) {
	for _, tt := range []struct {
		header http.Header
		want   time.Duration
	}{
		{http.Header{"Cache-Control": {"public, Max-Age=22000, must-revalidate"}}, 22000 * time.Second},
		{http.Header{"Cache-Control": {"public", `max-age="60"`}}, time.Minute},
		{http.Header{"Cache-Control": {"max-age=60"}, "Age": {"20"}}, 40 * time.Second},
		{http.Header{"Cache-Control": {"max-age=60"}, "Age": {"90"}}, time.Second},
	} {
		if got, err := maxAge(tt.header); got != tt.want || err != nil {
			t.Errorf("%v: %v, %v; want %v", tt.header, got, err, tt.want)
		}
	}
}

func TestVerifyNowNeverWaits(t *testing.T) {
	a := goodAnswer(t, "k1")
	v := &firebaseVerifier{keys: ringOf(a), projectID: "p"}
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(v, 10)
		if _, err := c.VerifyNow("a.b.c"); !errors.Is(err, ErrWait) {
			t.Errorf("without keys: %v, want ErrWait", err)
		}
		synctest.Wait()
		if _, err := c.VerifyNow("a.b.c"); !errors.Is(err, ErrToken) {
			t.Errorf("with keys: %v, want ErrToken", err)
		}
	})
	slow := NewCache(waiter{}, 10)
	if _, err := slow.VerifyNow("a.b.c"); !errors.Is(err, ErrWait) {
		t.Errorf("of one that cannot: %v, want ErrWait", err)
	}
	if _, err := slow.Verify(t.Context(), "a.b.c"); err != nil {
		t.Fatal(err)
	}
	if id, err := slow.VerifyNow("a.b.c"); err != nil || id.UID != "alice" {
		t.Errorf("of one that is remembered: %v, %v", id, err)
	}
}

// waiter is a Verifier that is no Immediate.
type waiter struct{}

func (waiter) Verify(context.Context, string) (Identity, error) {
	return Identity{UID: "alice", Expires: time.Now().Add(time.Hour)}, nil
}

// slow is an endpoint that answers late.
type slow struct{ *answer }

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(1200 * time.Millisecond)
	return s.answer.RoundTrip(r)
}

// TestKeyringTakesOldAnswers: one that has been in caches for all of its time, and
// takes longer to come than it counts, is still an answer.
func TestKeyringTakesOldAnswers(t *testing.T) {
	old := goodAnswer(t, "k1")
	old.header = http.Header{"Cache-Control": {"max-age=21600"}, "Age": {"21600"}}
	synctest.Test(t, func(t *testing.T) {
		ring := &keyring{client: &http.Client{Transport: slow{old}}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if keys, err := ring.wait(ctx); len(keys) != 1 || err != nil {
			t.Errorf("got %v, %v", keys, err)
		}
		time.Sleep(fetchTimeout) // whatever was begun ends
	})
}
