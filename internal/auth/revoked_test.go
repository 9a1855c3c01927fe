package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
)

func devToken(t testing.TB, c auth.DevClaims, issued time.Time) string {
	t.Helper()
	c.TTL = 3 * time.Hour
	text, err := auth.MintDev(c, issued)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// slowly hides VerifyNow, so that both ways through the cache are taken.
type slowly struct{ auth.Verifier }

func TestRevoked(t *testing.T) {
	now := time.Now()
	for name, v := range map[string]auth.Verifier{
		"at once": auth.NewDev(auth.DevProject, "publisher"), "slowly": slowly{auth.NewDev(auth.DevProject, "publisher")},
	} {
		t.Run(name, func(t *testing.T) {
			c := auth.NewCache(v, 100)
			old, fresh := devToken(t, auth.DevClaims{UID: "ada"}, now.Add(-time.Hour)), devToken(t, auth.DevClaims{UID: "ada"}, now)
			other := devToken(t, auth.DevClaims{UID: "bob"}, now.Add(-time.Hour))
			check := func(what string, want ...error) {
				t.Helper()
				for i, token := range []string{old, fresh, other} {
					if _, err := c.Verify(t.Context(), token); !errors.Is(err, want[i]) {
						t.Errorf("%s: Verify of token %d: %v, want %v", what, i, err, want[i])
					}
					if _, err := c.VerifyNow(token); !errors.Is(err, want[i]) && !errors.Is(err, auth.ErrWait) {
						t.Errorf("%s: VerifyNow of token %d: %v, want %v", what, i, err, want[i])
					}
					if _, ok := c.Lookup(token); ok != (want[i] == nil) {
						t.Errorf("%s: Lookup of token %d: %v", what, i, ok)
					}
				}
			}
			check("before", nil, nil, nil)
			c.Revoked().Set("ada", now.Add(-time.Minute))
			check("revoked", auth.ErrRevoked, nil, nil)
			if !errors.Is(auth.ErrRevoked, auth.ErrToken) {
				t.Error("a revoked token is no refused one")
			}
			c.Revoked().Set("ada", now.Add(time.Minute))
			check("all revoked", auth.ErrRevoked, auth.ErrRevoked, nil)
			c.Revoked().Remove("ada")
			c.Revoked().Remove("ada")
			check("restored", nil, nil, nil)
			if n := c.Revoked().Len(); n != 0 {
				t.Errorf("%d left", n)
			}
		})
	}
}

// TestRevokedTogether is for the race detector, and for the count.
func TestRevokedTogether(t *testing.T) {
	var r auth.Revoked
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				uid := fmt.Sprint((i + j) % 10)
				r.Set(uid, time.Now())
				r.Holds(uid, time.Now())
				r.Remove(uid)
			}
		})
	}
	wg.Wait()
	if r.Len() != 0 || r.Holds("1", time.Time{}) {
		t.Errorf("%d left", r.Len())
	}
}

func BenchmarkRevokedHolds(b *testing.B) {
	for _, users := range []int{0, 100_000} {
		b.Run(fmt.Sprint("users=", users), func(b *testing.B) {
			var r auth.Revoked
			for i := range users {
				r.Set(fmt.Sprint("user-", i), time.Now())
			}
			issued := time.Now().Add(time.Hour)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r.Holds("user-500", issued) {
						b.Error("it holds")
					}
				}
			})
		})
	}
}

func TestTopicClaim(t *testing.T) {
	c := auth.NewCache(auth.NewDev(auth.DevProject, "publisher"), 100)
	c.ReadTopics("topics")
	token := devToken(t, auth.DevClaims{UID: "ada", Topics: []string{"club.*", "news", "", strings.Repeat("x", 130)}}, time.Now())
	for _, from := range []string{"the token", "the cache"} {
		id, err := c.Verify(context.Background(), token)
		if err != nil {
			t.Fatal(err)
		}
		if id.UID != "ada" {
			t.Errorf("%s: user %q", from, id.UID)
		}
		for topic, want := range map[string]bool{
			"club.7": true, "club.": true, "club": false, "news": true, "news2": false, "": false, strings.Repeat("x", 130): false,
		} {
			if id.Topics.Allow(topic) != want {
				t.Errorf("%s: topic %.20q: %v, want %v", from, topic, !want, want)
			}
		}
	}
	for _, token := range []string{
		devToken(t, auth.DevClaims{UID: "bob"}, time.Now()),
		devToken(t, auth.DevClaims{UID: "bob", Publisher: true, PublishClaim: "topics"}, time.Now()), // true, no list
	} {
		id, err := c.VerifyNow(token)
		if err != nil || id.Topics != "" || id.Topics.Allow("news") {
			t.Errorf("topics %q, %v, want none", id.Topics, err)
		}
	}
	all := auth.NewTopics("*")
	if !all.Allow("anything") {
		t.Error("* does not allow anything")
	}
	plain := auth.NewCache(auth.NewDev(auth.DevProject, "publisher"), 100)
	if id, err := plain.VerifyNow(token); err != nil || id.Topics != "" {
		t.Errorf("topics %q, %v although nobody wants them", id.Topics, err)
	}
}
