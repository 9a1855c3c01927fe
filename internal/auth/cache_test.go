package auth_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/socialvibes/vibemesh/internal/auth"
)

// verifierFunc counts its calls and is a Verifier.
type verifierFunc struct {
	calls atomic.Int64
	f     func(ctx context.Context, token string) (auth.Identity, error)
}

func (v *verifierFunc) Verify(ctx context.Context, token string) (auth.Identity, error) {
	v.calls.Add(1)
	return v.f(ctx, token)
}

// named takes every token for the name of a user, for an hour.
func named() *verifierFunc {
	return &verifierFunc{f: func(_ context.Context, token string) (auth.Identity, error) {
		now := time.Unix(time.Now().Unix(), 0)
		return auth.Identity{UID: token, IssuedAt: now, Expires: now.Add(time.Hour), MayPublish: token == "bob"}, nil
	}}
}

// metrics reads what a cache exports, by name and result.
func metrics(t *testing.T, c *auth.Cache) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(c.Collectors()...)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += "/" + label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func wantMetrics(t *testing.T, c *auth.Cache, want map[string]float64) {
	t.Helper()
	got := metrics(t, c)
	for name, v := range want {
		if g, there := got[name]; !there || g != v {
			t.Errorf("%s is %v (there: %v), want %v", name, g, there, v)
		}
	}
}

func TestCacheRemembersUntilExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := named()
		c := auth.NewCache(next, 100)
		if _, ok := c.Lookup("bob"); ok {
			t.Error("found before it was verified")
		}
		first, err := c.Verify(t.Context(), "bob")
		if err != nil || first.UID != "bob" || !first.MayPublish {
			t.Fatalf("got %+v, %v", first, err)
		}
		if _, ok := c.Lookup("alice"); ok {
			t.Error("found another token")
		}
		time.Sleep(time.Hour - time.Nanosecond) // of the bubble's clock
		if id, err := c.Verify(t.Context(), "bob"); err != nil || id != first {
			t.Errorf("remembered as %+v, %v; want %+v", id, err, first)
		}
		if id, ok := c.Lookup("bob"); !ok || id != first {
			t.Errorf("found %+v, %v; want %+v", id, ok, first)
		}
		wantMetrics(t, c, map[string]float64{
			"vibemesh_auth_cache_hits_total": 2, "vibemesh_auth_cache_misses_total": 1,
			"vibemesh_auth_cache_entries": 1, "vibemesh_auth_verifications_total/ok": 1,
		})
		time.Sleep(time.Nanosecond)
		if id, ok := c.Lookup("bob"); ok {
			t.Errorf("found %+v at its end", id)
		}
		wantMetrics(t, c, map[string]float64{"vibemesh_auth_cache_entries": 0})
		if _, err := c.Verify(t.Context(), "bob"); err != nil || next.calls.Load() != 2 {
			t.Errorf("after its end: %v, %d calls, want 2", err, next.calls.Load())
		}
	})
}

func TestCacheDoesNotRememberRefusals(t *testing.T) {
	for result, err := range map[string]error{
		"invalid": auth.ErrToken, "expired": auth.ErrExpired, "unavailable": auth.ErrUnavailable,
	} {
		next := &verifierFunc{f: func(context.Context, string) (auth.Identity, error) {
			return auth.Identity{}, fmt.Errorf("%w: because", err)
		}}
		c := auth.NewCache(next, 100)
		for range 3 {
			if _, got := c.Verify(t.Context(), "token"); !errors.Is(got, err) {
				t.Errorf("got %v, want %v", got, err)
			}
		}
		if n := next.calls.Load(); n != 3 {
			t.Errorf("%s: verified %d times, want 3", result, n)
		}
		wantMetrics(t, c, map[string]float64{
			"vibemesh_auth_verifications_total/" + result: 3, "vibemesh_auth_verifications_total/ok": 0,
			"vibemesh_auth_cache_entries": 0, "vibemesh_auth_cache_misses_total": 3,
		})
	}
}

func TestCacheRefusesNonsenseItself(t *testing.T) {
	next := named()
	c := auth.NewCache(next, 100)
	for _, token := range []string{"", "a b", string(make([]byte, 9000))} {
		if _, err := c.Verify(t.Context(), token); !errors.Is(err, auth.ErrToken) {
			t.Errorf("got %v, want an ErrToken", err)
		}
	}
	if n := next.calls.Load(); n != 0 {
		t.Errorf("%d reached the verifier", n)
	}
	wantMetrics(t, c, map[string]float64{"vibemesh_auth_verifications_total/invalid": 3})
}

func TestCacheVerifiesOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		next := named()
		verify := next.f
		next.f = func(ctx context.Context, token string) (auth.Identity, error) {
			<-release
			return verify(ctx, token)
		}
		c := auth.NewCache(next, 0) // remembers nothing, yet shares what is under way
		var wg sync.WaitGroup
		for range 50 {
			for _, token := range []string{"alice", "bob"} {
				wg.Go(func() {
					if id, err := c.Verify(t.Context(), token); err != nil || id.UID != token {
						t.Errorf("got %+v, %v", id, err)
					}
				})
			}
		}
		synctest.Wait()
		if n := next.calls.Load(); n != 2 {
			t.Errorf("%d verifications of 2 tokens", n)
		}
		close(release)
		wg.Wait()
		wantMetrics(t, c, map[string]float64{"vibemesh_auth_cache_misses_total": 100, "vibemesh_auth_verifications_total/ok": 2})
	})
}

// Who waits for another's verification keeps its own deadline, and does not share
// the fate of one that gave up.
func TestCacheWaitersAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		next := named()
		verify := next.f
		next.f = func(ctx context.Context, token string) (auth.Identity, error) {
			select {
			case <-release:
				return verify(ctx, token)
			case <-ctx.Done():
				return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnavailable, ctx.Err())
			}
		}
		c := auth.NewCache(next, 100)
		start := time.Now()
		results := make(map[time.Duration]error)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, patience := range []time.Duration{2 * time.Second, time.Second, 3 * time.Second, time.Minute} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err := c.Verify(ctx, "alice")
				if took := time.Since(start); took > patience {
					t.Errorf("the deadline of %v was kept after %v", patience, took)
				}
				mu.Lock()
				defer mu.Unlock()
				results[patience] = err
			})
			synctest.Wait() // so that the first is the one that verifies
		}
		time.Sleep(10 * time.Second)
		close(release)
		wg.Wait()
		for patience, err := range results {
			if gaveUp := patience < time.Minute; errors.Is(err, context.DeadlineExceeded) != gaveUp || (err == nil) == gaveUp {
				t.Errorf("who waits %v got %v", patience, err)
			}
		}
	})
}

func TestCacheSurvivesAPanic(t *testing.T) {
	next := named()
	verify := next.f
	next.f = func(context.Context, string) (auth.Identity, error) { panic("a bug") }
	c := auth.NewCache(next, 100)
	func() {
		defer func() { _ = recover() }()
		_, _ = c.Verify(t.Context(), "alice")
	}()
	next.f = verify
	if _, err := c.Verify(within(t, 5*time.Second), "alice"); err != nil {
		t.Error(err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	next := named()
	c := auth.NewCache(next, 64)
	if _, err := c.Verify(t.Context(), "favourite"); err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		token := fmt.Sprintf("user%d", i)
		if _, err := c.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Lookup("favourite"); !ok {
			t.Fatalf("a token that is always in use was dropped at %s", token)
		}
	}
	wantMetrics(t, c, map[string]float64{"vibemesh_auth_cache_entries": 64})
	remembered := 0
	for i := range 10_000 {
		if id, ok := c.Lookup(fmt.Sprintf("user%d", i)); ok {
			remembered++
			if id.UID != fmt.Sprintf("user%d", i) {
				t.Errorf("user%d is remembered as %q", i, id.UID)
			}
		}
	}
	if remembered != 63 {
		t.Errorf("%d others are remembered, want 63", remembered)
	}
}

// Under -race: many tokens, few places, lookups and verifications at once.
func TestCacheUnderLoad(t *testing.T) {
	c := auth.NewCache(named(), 64)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				token := fmt.Sprintf("user%d", (i*7+w)%100)
				if id, ok := c.Lookup(token); ok && id.UID != token {
					t.Errorf("%s is remembered as %q", token, id.UID)
				}
				if id, err := c.Verify(t.Context(), token); err != nil || id.UID != token {
					t.Errorf("%s is %q, %v", token, id.UID, err)
				}
			}
		})
	}
	wg.Wait()
	if n := metrics(t, c)["vibemesh_auth_cache_entries"]; n < 32 || n > 64 {
		t.Errorf("%v entries, want at most 64, and not far fewer", n)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	c := auth.NewCache(named(), 100)
	token := fmt.Sprintf("%01000d", 7)
	if _, err := c.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{token, token[1:]} {
		if n := testing.AllocsPerRun(100, func() { c.Lookup(token) }); n != 0 {
			t.Errorf("%v allocations a lookup", n)
		}
	}
}

func BenchmarkCacheHit(b *testing.B) {
	google.reset(b, time.Hour, "k1")
	c, token := auth.NewCache(newFirebase(b, "publisher"), 1000), spec{}.mint(b)
	if _, err := c.Verify(b.Context(), token); err != nil {
		b.Fatal(err)
	}
	b.Run("Lookup", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := c.Lookup(token); !ok {
				b.Fatal("not remembered")
			}
		}
	})
	b.Run("VerifyParallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

func BenchmarkVerifyDev(b *testing.B) {
	v := auth.NewDev(auth.DevProject, "publisher")
	token, err := auth.MintDev(auth.DevClaims{UID: "alice", Publisher: true}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
