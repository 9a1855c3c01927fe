package auth_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"pgregory.net/rapid"
)

const project = "vibes-test"

// spec is a token to be signed; the zero value is a good one for "alice", by key "k1".
type spec struct {
	kid    string         // of the header and of the key; empty: k1
	key    string         // kid of the key to sign with, if it is another
	header map[string]any // overrides; nil removes
	claims map[string]any // overrides; nil removes
	hmac   []byte         // sign with HMAC-SHA256 and this secret
	bare   bool           // leave the signature out
}

func (s spec) mint(t testing.TB) string {
	t.Helper()
	if s.kid == "" {
		s.kid = "k1"
	}
	if s.key == "" {
		s.key = s.kid
	}
	now := time.Now().Unix()
	header := override(map[string]any{"alg": "RS256", "typ": "JWT", "kid": s.kid}, s.header)
	claims := override(map[string]any{
		"iss": "https://securetoken.google.com/" + project, "aud": project, "sub": "alice", "user_id": "alice",
		"iat": now, "auth_time": now, "exp": now + 3600,
		"firebase": map[string]any{"identities": map[string]any{}, "sign_in_provider": "anonymous"},
	}, s.claims)
	text := encode(t, header) + "." + encode(t, claims)
	digest := sha256.Sum256([]byte(text))
	switch {
	case s.bare:
		return text + "."
	case s.hmac != nil:
		mac := hmac.New(sha256.New, s.hmac)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, signingKey(s.key), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func override(base, with map[string]any) map[string]any {
	maps.Copy(base, with)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	return base
}

func encode(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func newFirebase(t testing.TB, publishClaim string) auth.Verifier {
	t.Helper()
	v, err := auth.NewFirebase(t.Context(), project, publishClaim)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// newSDK makes the verifier of Google's Admin SDK, which ours has to agree with.
func newSDK(t testing.TB, publishClaim string) auth.Verifier {
	t.Helper()
	v, err := auth.NewSDK(t.Context(), project, publishClaim)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verifiers are ours and the SDK's.
var verifiers = map[string]func(t testing.TB, publishClaim string) auth.Verifier{
	"vibemesh": newFirebase, "sdk": newSDK,
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestFirebaseAccepts(t *testing.T) {
	google.reset(t, time.Hour, "k1", "k2")
	now := time.Now().Unix()
	long := strings.Repeat("ü", 64) // 128 bytes
	tests := []struct {
		name, publishClaim string
		spec               spec
		uid                string
		publish            bool
		expires            int64
	}{
		{"a plain token", "publisher", spec{}, "alice", false, now + 3600 + 300},
		{"another current key", "publisher", spec{kid: "k2"}, "alice", false, 0},
		{"the longest user id", "publisher", spec{claims: map[string]any{"sub": long}}, long, false, 0},
		{"with the publish claim", "publisher", spec{claims: map[string]any{"publisher": true}}, "alice", true, 0},
		{"with another claim's name", "staff", spec{claims: map[string]any{"staff": true}}, "alice", true, 0},
		{"publish claim false", "publisher", spec{claims: map[string]any{"publisher": false}}, "alice", false, 0},
		{"publish claim not a boolean", "publisher", spec{claims: map[string]any{"publisher": "true"}}, "alice", false, 0},
		{"publish claim a list", "publisher", spec{claims: map[string]any{"publisher": []bool{true}}}, "alice", false, 0},
		{"no publish claim asked for", "", spec{}, "alice", true, 0},
		{"exp two minutes ago", "publisher", spec{claims: map[string]any{"exp": now - 120}}, "alice", false, now + 180},
		{"iat in four minutes", "publisher", spec{claims: map[string]any{"iat": now + 240}}, "alice", false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := tt.spec.mint(t)
			id, err := newFirebase(t, tt.publishClaim).Verify(within(t, 10*time.Second), token)
			if err != nil {
				t.Fatal(err)
			}
			if sdk, err := newSDK(t, tt.publishClaim).Verify(within(t, 10*time.Second), token); err != nil || sdk != id {
				t.Errorf("got %+v, the SDK %+v, %v", id, sdk, err)
			}
			if id.UID != tt.uid || id.MayPublish != tt.publish || id.IssuedAt.Unix() < now {
				t.Errorf("got %+v", id)
			}
			// A second may pass between the table and the token.
			if e := id.Expires.Unix(); tt.expires != 0 && e != tt.expires && e != tt.expires+1 {
				t.Errorf("expires %d, want %d", e, tt.expires)
			}
			if !id.Expires.After(time.Now()) {
				t.Error("a fresh identity has expired")
			}
		})
	}
}

func TestFirebaseRefuses(t *testing.T) {
	google.reset(t, time.Hour, "k1")
	publicKey := certOf(signingKey("k1"))
	now := time.Now().Unix()
	good := spec{}.mint(t)
	parts := strings.Split(good, ".")
	claim := func(name string, value any) string { return spec{claims: map[string]any{name: value}}.mint(t) }
	tests := []struct {
		name, token, reason string
		expired             bool
	}{
		{name: "empty", token: "", reason: "missing"},
		{name: "garbage", token: "not a token at all", reason: "byte 3"},
		{name: "garbage in base64", token: "AAAA.BBBB.CCCC", reason: "header"},
		{name: "two parts", token: parts[0] + "." + parts[1], reason: "2 parts"},
		{name: "far too long", token: strings.Repeat("a", 9000), reason: "8192"},
		{name: "a line break in it", token: parts[0] + "." + parts[1] + "." + parts[2][:9] + "\n" + parts[2][9:], reason: "byte"},
		{name: "expired", token: claim("exp", now-301), reason: "expired", expired: true},
		{name: "no exp", token: claim("exp", nil), reason: "expired", expired: true},
		{name: "exp not a number", token: claim("exp", "soon"), reason: "claims"},
		{name: "exp nonsense", token: claim("exp", int64(1)<<62), reason: "seconds since 1970"},
		{name: "wrong audience", token: claim("aud", "other-project"), reason: `"other-project"`},
		{name: "wrong issuer", token: claim("iss", "https://securetoken.google.com/other"), reason: "issuer"},
		{name: "future iat", token: claim("iat", now+600), reason: "future"},
		{name: "empty sub", token: claim("sub", ""), reason: "user id"},
		{name: "no sub", token: claim("sub", nil), reason: "user id"},
		{name: "long sub", token: claim("sub", strings.Repeat("a", 129)), reason: "user id"},
		{name: "wrong key under a known kid", token: spec{key: "stranger"}.mint(t), reason: "signature"},
		{name: "unknown kid", token: spec{kid: "stranger"}.mint(t), reason: "signature"},
		{name: "claims changed after signing", token: parts[0] + "." + strings.Split(claim("sub", "bob"), ".")[1] + "." + parts[2], reason: "signature"},
		{name: "missing kid", token: spec{header: map[string]any{"kid": nil}}.mint(t), reason: "kid"},
		{name: "alg none", token: spec{header: map[string]any{"alg": "none"}, bare: true}.mint(t), reason: "RS256"},
		{name: "alg none, signed", token: spec{header: map[string]any{"alg": "none"}}.mint(t), reason: "RS256"},
		{name: "RS256, signature left out", token: spec{bare: true}.mint(t), reason: "signature"},
		{name: "HS256 with the public key", token: spec{header: map[string]any{"alg": "HS256"}, hmac: publicKey}.mint(t), reason: "RS256"},
		{name: "HS256 said to be RS256", token: spec{hmac: publicKey}.mint(t), reason: "signature"},
	}
	for name, newVerifier := range verifiers {
		v := newVerifier(t, "publisher")
		for _, tt := range tests {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				_, err := v.Verify(within(t, 10*time.Second), tt.token)
				checkRefused(t, err, tt.token, tt.reason)
				if errors.Is(err, auth.ErrExpired) != tt.expired {
					t.Errorf("expired: %v, want %v: %v", !tt.expired, tt.expired, err)
				}
			})
		}
		if _, err := v.Verify(within(t, 10*time.Second), good); err != nil {
			t.Errorf("the good token, after all these: %v", err)
		}
	}
}

// checkRefused wants an ErrToken that says reason and nothing of the token.
func checkRefused(t *testing.T, err error, token, reason string) {
	t.Helper()
	if !errors.Is(err, auth.ErrToken) || errors.Is(err, auth.ErrUnavailable) {
		t.Fatalf("got %v, want an ErrToken", err)
	}
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("the reason %q does not say %q", err, reason)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the reason shows the token: %q", err)
		}
	}
}

func TestFirebaseKeyRotation(t *testing.T) {
	google.reset(t, time.Second, "k1")
	v := newFirebase(t, "publisher")
	ctx := within(t, 20*time.Second)
	before, after := spec{kid: "k1"}.mint(t), spec{kid: "k2"}.mint(t)
	if _, err := v.Verify(ctx, before); err != nil {
		t.Fatal(err)
	}
	google.publish(time.Second, "k1", "k2")
	eventually(t, "the new key counts, once the old answer is out of date", func() bool {
		_, err := v.Verify(ctx, after)
		return err == nil
	})
	if _, err := v.Verify(ctx, before); err != nil {
		t.Errorf("the old key is still published, yet: %v", err)
	}
	google.publish(time.Second, "k2")
	eventually(t, "the old key counts no more", func() bool {
		_, err := v.Verify(ctx, before)
		return errors.Is(err, auth.ErrToken)
	})
}

func TestFirebaseCertificatesDown(t *testing.T) {
	t.Run("while they are cached", func(t *testing.T) {
		google.reset(t, time.Hour, "k1")
		v := newFirebase(t, "publisher")
		if _, err := v.Verify(within(t, 10*time.Second), spec{}.mint(t)); err != nil {
			t.Fatal(err)
		}
		google.setDown(true)
		if _, err := v.Verify(within(t, 10*time.Second), spec{claims: map[string]any{"sub": "bob"}}.mint(t)); err != nil {
			t.Error(err)
		}
		if n := google.fetched(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
	t.Run("with nothing cached", func(t *testing.T) {
		google.reset(t, time.Hour, "k1")
		google.setDown(true)
		v := newFirebase(t, "publisher")
		token := spec{}.mint(t)
		for range 100 {
			_, err := v.Verify(within(t, 10*time.Second), token)
			if !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrToken) {
				t.Fatalf("got %v, want an ErrUnavailable", err)
			}
		}
		// More than one only if the hundred took longer than the pause between fetches.
		if n := google.fetched(); n < 1 || n > 10 {
			t.Errorf("%d fetches for 100 tokens", n)
		}
		google.setDown(false)
		eventually(t, "tokens verify again", func() bool {
			_, err := v.Verify(within(t, 10*time.Second), token)
			return err == nil
		})
	})
}

// While the endpoint takes a request and does not answer, callers leave at their
// deadlines, few goroutines stay behind, and the answer, when it comes, serves all.
func TestFirebaseCertificatesStall(t *testing.T) {
	google.reset(t, time.Hour, "k1")
	google.stall(true)
	v := newFirebase(t, "publisher")
	token := spec{}.mint(t)
	before := runtime.NumGoroutine()
	start := time.Now()
	var wg sync.WaitGroup
	for range 400 {
		wg.Go(func() {
			_, err := v.Verify(within(t, 150*time.Millisecond), token)
			if !errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want ErrUnavailable and DeadlineExceeded", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("deadlines of 150 ms were kept after %v", took)
	}
	if n := runtime.NumGoroutine() - before; n > 8*runtime.GOMAXPROCS(0)+30 {
		t.Errorf("%d goroutines were left behind", n)
	}
	google.stall(false)
	eventually(t, "tokens verify again", func() bool {
		_, err := v.Verify(within(t, 10*time.Second), token)
		return err == nil
	})
}

// An impatient caller's fetch is not thrown away with it.
func TestFirebaseFetchOutlivesItsCaller(t *testing.T) {
	google.reset(t, time.Hour, "k1")
	google.stall(true)
	v := newFirebase(t, "publisher")
	token := spec{}.mint(t)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { _, err := v.Verify(ctx, token); left <- err }()
	<-google.arriving
	cancel()
	if err := <-left; !errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrUnavailable and Canceled", err)
	}
	google.stall(false)
	if _, err := v.Verify(within(t, 10*time.Second), token); err != nil {
		t.Error(err)
	}
	if n := google.fetched(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

func TestNewFirebaseNeedsAProject(t *testing.T) {
	_, err := auth.NewFirebase(t.Context(), "", "publisher")
	if err == nil || !strings.Contains(err.Error(), "FIREBASE_PROJECT_ID") {
		t.Errorf("got %v, want an error that names FIREBASE_PROJECT_ID", err)
	}
}

func BenchmarkVerifyFirebase(b *testing.B) { benchmarkVerify(b, newFirebase(b, "publisher")) }
func BenchmarkVerifySDK(b *testing.B)      { benchmarkVerify(b, newSDK(b, "publisher")) }

func benchmarkVerify(b *testing.B, v auth.Verifier) {
	google.reset(b, time.Hour, "k1")
	token := spec{}.mint(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// Whatever is done to a good token, ours refuses what the SDK refuses.
func TestFirebaseAgreesWithTheSDK(t *testing.T) {
	google.reset(t, time.Hour, "k1")
	ours, sdk := newFirebase(t, "publisher"), newSDK(t, "publisher")
	good := spec{}.mint(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
	rapid.Check(t, func(t *rapid.T) {
		token := []byte(good)
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			if len(token) == 0 {
				break
			}
			at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
			c := alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(t, "char")]
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				token[at] = c
			case 1:
				token = append(token[:at], token[at+1:]...)
			case 2:
				token = append(token[:at:at], append([]byte{c}, token[at:]...)...)
			case 3:
				token = token[:at+1]
			}
		}
		_, err := ours.Verify(context.Background(), string(token))
		_, want := sdk.Verify(context.Background(), string(token))
		if err == nil && want != nil {
			t.Fatalf("the SDK refuses what we take: %v: %q", want, token)
		}
		if err != nil && want == nil && !strings.HasPrefix(string(token), good[:len(good)-1]) {
			t.Fatalf("we refuse what the SDK takes: %v: %q", err, token) // but for another spelling of the last bits
		}
	})
}
