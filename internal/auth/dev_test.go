package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
)

// unsigned puts a header and claims together as an emulator does.
func unsigned(header, claims string) string {
	b64 := base64.RawURLEncoding
	return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims)) + "."
}

func TestMintDev(t *testing.T) {
	tests := []struct {
		name         string
		claims       auth.DevClaims
		project      string // of the verifier
		publishClaim string
		want         auth.Identity // times as seconds after now are filled in by ttl
		ttl          time.Duration
	}{
		{"the least", auth.DevClaims{UID: "alice"}, auth.DevProject, "publisher", auth.Identity{UID: "alice"}, time.Hour},
		{"publisher", auth.DevClaims{UID: "bob", Publisher: true}, auth.DevProject, "publisher", auth.Identity{UID: "bob", MayPublish: true}, time.Hour},
		{"another claim", auth.DevClaims{UID: "bob", Publisher: true, PublishClaim: "staff"}, auth.DevProject, "staff", auth.Identity{UID: "bob", MayPublish: true}, time.Hour},
		{"the wrong claim", auth.DevClaims{UID: "bob", Publisher: true, PublishClaim: "staff"}, auth.DevProject, "publisher", auth.Identity{UID: "bob"}, time.Hour},
		{"anybody may publish", auth.DevClaims{UID: "alice"}, auth.DevProject, "", auth.Identity{UID: "alice", MayPublish: true}, time.Hour},
		{"another project", auth.DevClaims{UID: "alice", ProjectID: "demo-x"}, "demo-x", "publisher", auth.Identity{UID: "alice"}, time.Hour},
		{"a short life", auth.DevClaims{UID: "alice", TTL: time.Second}, auth.DevProject, "publisher", auth.Identity{UID: "alice"}, time.Second},
		{"an odd name", auth.DevClaims{UID: "a.b>*\"é\n"}, auth.DevProject, "publisher", auth.Identity{UID: "a.b>*\"é\n"}, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Now()
				token, err := auth.MintDev(tt.claims, now)
				if err != nil {
					t.Fatal(err)
				}
				v := auth.NewDev(tt.project, tt.publishClaim)
				tt.want.IssuedAt, tt.want.Expires = time.Unix(now.Unix(), 0), time.Unix(now.Add(tt.ttl).Unix(), 0)
				if id, err := v.Verify(t.Context(), token); err != nil || id != tt.want {
					t.Errorf("got %+v, %v; want %+v", id, err, tt.want)
				}
				time.Sleep(tt.ttl - time.Nanosecond) // of the bubble's clock
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Errorf("a nanosecond before its end: %v", err)
				}
				time.Sleep(time.Nanosecond)
				if _, err := v.Verify(t.Context(), token); !errors.Is(err, auth.ErrExpired) {
					t.Errorf("at its end: got %v, want ErrExpired", err)
				}
			})
		})
	}
}

func TestMintDevRefuses(t *testing.T) {
	tests := []struct {
		name   string
		claims auth.DevClaims
		reason string
	}{
		{"no user", auth.DevClaims{}, "user id"},
		{"a long user", auth.DevClaims{UID: strings.Repeat("a", 129)}, "user id"},
		{"bytes that JSON cannot hold", auth.DevClaims{UID: "\xff"}, "UTF-8"},
		{"a negative life", auth.DevClaims{UID: "alice", TTL: -time.Hour}, "second"},
		{"no life to speak of", auth.DevClaims{UID: "alice", TTL: time.Millisecond}, "second"},
		{"a claim that is taken", auth.DevClaims{UID: "alice", Publisher: true, PublishClaim: "sub"}, `"sub"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := auth.MintDev(tt.claims, time.Now()); err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("got %v, want an error that says %q", err, tt.reason)
			}
		})
	}
}

const noneHeader = `{"alg":"none","typ":"JWT"}`

// What the Auth emulator of firebase-tools 15.34.2 gave for an anonymous user
// with the custom claim publisher; only the times are others.
const emulatorClaims = `{"publisher":true,"provider_id":"anonymous","auth_time":946684800,"user_id":"cXHGYL6Bu5RPASpxIEfti3yxXUdW",` +
	`"firebase":{"identities":{},"sign_in_provider":"anonymous"},"iat":946684800,"exp":946688400,"aud":"demo-vibemesh",` +
	`"iss":"https://securetoken.google.com/demo-vibemesh","sub":"cXHGYL6Bu5RPASpxIEfti3yxXUdW"}`

func TestDevAcceptsAnEmulatorToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its clock starts at 946684800
		id, err := auth.NewDev(auth.DevProject, "publisher").Verify(t.Context(), unsigned(noneHeader, emulatorClaims))
		want := auth.Identity{
			UID: "cXHGYL6Bu5RPASpxIEfti3yxXUdW", IssuedAt: time.Unix(946684800, 0), Expires: time.Unix(946688400, 0), MayPublish: true,
		}
		if err != nil || id != want {
			t.Errorf("got %+v, %v; want %+v", id, err, want)
		}
	})
}

func TestDevRefuses(t *testing.T) {
	good := unsigned(noneHeader, emulatorClaims)
	with := func(old, new string) string {
		if !strings.Contains(emulatorClaims, old) {
			t.Fatalf("no %s to replace", old)
		}
		return unsigned(noneHeader, strings.Replace(emulatorClaims, old, new, 1))
	}
	tests := []struct{ name, token, reason string }{
		{"empty", "", "missing"},
		{"garbage", "let me in", "byte 3"},
		{"no parts", "letmein", "1 parts"},
		{"padded base64", "e30=.e30=.", "byte"},
		{"header not an object", unsigned(`"none"`, emulatorClaims), "header"},
		{"claims not an object", unsigned(noneHeader, `null`), "claims"},
		{"claims cut short", unsigned(noneHeader, emulatorClaims[:90]), "claims"},
		{"two audiences", with(`"aud":"demo-vibemesh"`, `"aud":["demo-vibemesh"]`), "claims"},
		{"a signature", good + "AAAA", "unsigned"},
		{"RS256", unsigned(`{"alg":"RS256","kid":"k1"}`, emulatorClaims), "unsigned"},
		{"NONE", unsigned(`{"alg":"NONE"}`, emulatorClaims), "unsigned"},
		{"another project", with(`"aud":"demo-vibemesh"`, `"aud":"demo-x"`), `"demo-x"`},
		{"another issuer", with(`securetoken.google.com`, `example.com`), "issuer"},
		{"no user", with(`"sub":"cXHGYL6Bu5RPASpxIEfti3yxXUdW"`, `"sub":""`), "user id"},
		{"from the future", with(`"iat":946684800`, `"iat":946685101`), "future"},
		{"negative iat", with(`"iat":946684800`, `"iat":-9223372036854775808`), "seconds since"},
		{"expired", with(`"exp":946688400`, `"exp":946684800`), "expired"},
		{"endless", with(`"exp":946688400`, `"exp":9223372036854775807`), "seconds since"},
		{"no end", with(`"exp":946688400,`, ``), "expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := auth.NewDev(auth.DevProject, "publisher").Verify(t.Context(), tt.token)
				checkRefused(t, err, tt.token, tt.reason)
			})
		})
	}
}

func TestDevKeepsTheDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := auth.NewDev(auth.DevProject, "").Verify(ctx, "x")
	if !errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrUnavailable and Canceled", err)
	}
}

// FuzzDevToken feeds the parser headers, claims and the rest of a token, and the
// rest alone as a token. What passes must be an identity of the contract, and
// what does not must be a short ErrToken that shows nothing of the token.
func FuzzDevToken(f *testing.F) {
	f.Add(noneHeader, emulatorClaims, "")
	v := auth.NewDev(auth.DevProject, "publisher")
	f.Fuzz(func(t *testing.T, header, claims, rest string) {
		for _, token := range []string{unsigned(header, claims) + rest, rest} {
			id, err := v.Verify(t.Context(), token)
			if err == nil {
				if len(id.UID) < 1 || len(id.UID) > 128 || !id.Expires.After(time.Now()) || id.IssuedAt.Unix() < 0 {
					t.Errorf("accepted as %+v", id)
				}
				continue
			}
			if !errors.Is(err, auth.ErrToken) || len(err.Error()) > 1000 || id != (auth.Identity{}) {
				t.Errorf("got %+v, %v", id, err)
			}
			if len(token) > 64 && strings.Contains(err.Error(), token) {
				t.Errorf("the reason shows the token: %q", err)
			}
		}
	})
}
