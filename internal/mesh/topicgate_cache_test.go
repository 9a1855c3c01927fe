package mesh

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestGateCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newGateCache(10)
		put := func(uid string, allow bool, d time.Duration) {
			c.put(gateKey{uid, "t"}, allow, time.Now(), time.Now().Add(d))
		}
		get := func(uid string) string {
			allow, known := c.get(gateKey{uid, "t"}, time.Now())
			return fmt.Sprint(allow, known)
		}
		put("ada", true, time.Minute)
		put("bob", false, time.Second)
		put("carl", true, 0)
		if got := get("ada") + get("bob") + get("carl") + get("dora"); got != "true true"+"false true"+"false false"+"false false" {
			t.Error(got)
		}
		time.Sleep(time.Second)
		if got := get("ada") + get("bob"); got != "true true"+"false false" {
			t.Error("a second later:", got)
		}
		time.Sleep(time.Minute)
		if _, known := c.get(gateKey{"ada", "t"}, time.Now()); known {
			t.Error("it is known for longer than it was to be")
		}
		// Never more than ten, and what is asked for stays.
		put("ada", true, time.Hour)
		for i := range 100 {
			put(fmt.Sprint(i), true, time.Hour)
			if get("ada") != "true true" {
				t.Fatalf("what is asked for is gone after %d others", i)
			}
			if c.len() > 10 {
				t.Fatalf("%d entries", c.len())
			}
		}
	})
}

func TestGateAnswerLasts(t *testing.T) {
	yes, no, many, some := true, false, 1e9, 5.0
	for _, tt := range []struct {
		a    gateAnswer
		want time.Duration
	}{
		{gateAnswer{Allow: &yes}, time.Minute},
		{gateAnswer{Allow: &yes, TTL: &some}, 5 * time.Second},
		{gateAnswer{Allow: &yes, TTL: &many}, time.Hour},
		{gateAnswer{Allow: &no}, 10 * time.Second},
		{gateAnswer{Allow: &no, TTL: &many}, time.Minute},
	} {
		if got := tt.a.lasts(); got != tt.want {
			t.Errorf("%v lasts %v, want %v", *tt.a.Allow, got, tt.want)
		}
	}
}
