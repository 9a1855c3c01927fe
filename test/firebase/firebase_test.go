//go:build firebase

// Package firebase_test verifies tokens of the real Firebase Auth emulator. It
// needs Node.js and, once, npm ci --ignore-scripts in this folder; then
//
//	go test -tags firebase ./test/firebase
package firebase_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
)

const project = auth.DevProject

func newFirebase(t *testing.T, project, publishClaim string) auth.Verifier {
	t.Helper()
	v, err := auth.NewFirebase(t.Context(), project, publishClaim)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEmulator(t *testing.T) {
	e := startEmulator(t, project)
	t.Setenv("FIREBASE_AUTH_EMULATOR_HOST", e.host)
	v := newFirebase(t, project, "publisher")
	dev := auth.NewDev(project, "publisher")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	accepted := func(t *testing.T, v auth.Verifier, token string) auth.Identity {
		t.Helper()
		id, err := v.Verify(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	refused := func(t *testing.T, v auth.Verifier, token, reason string) {
		t.Helper()
		if _, err := v.Verify(ctx, token); !errors.Is(err, auth.ErrToken) || !strings.Contains(err.Error(), reason) {
			t.Errorf("got %v, want an ErrToken that says %q", err, reason)
		}
	}

	for name, fields := range map[string]map[string]any{
		"anonymous": nil, "by email": {"email": "alice@example.com", "password": "correct horse"},
	} {
		t.Run(name, func(t *testing.T) {
			a := e.signUp(t, fields)
			id := accepted(t, v, a.IDToken)
			if id.UID != a.LocalID || id.MayPublish {
				t.Errorf("got %+v, want the user %s, who may not publish", id, a.LocalID)
			}
			if age := time.Since(id.IssuedAt); age < -2*time.Second || age > time.Minute {
				t.Errorf("issued %v ago", age)
			}
			if life := id.Expires.Sub(id.IssuedAt); life != time.Hour+5*time.Minute {
				t.Errorf("it ends %v after it was issued, want an hour and the tolerance", life)
			}
			if d := accepted(t, dev, a.IDToken); d.UID != id.UID || d.Expires.Sub(d.IssuedAt) != time.Hour {
				t.Errorf("the development verifier says %+v", d)
			}
		})
	}
	t.Run("publish claim", func(t *testing.T) {
		a := e.signUp(t, nil)
		e.admin(t, project, "update", map[string]any{"localId": a.LocalID, "customAttributes": `{"publisher":true}`})
		if accepted(t, v, a.IDToken).MayPublish {
			t.Error("the token of before the claim may publish")
		}
		token := e.refresh(t, a)
		if !accepted(t, v, token).MayPublish || !accepted(t, dev, token).MayPublish {
			t.Error("the token with the claim may not publish")
		}
		if accepted(t, newFirebase(t, project, "staff"), token).MayPublish {
			t.Error("the token may publish by another claim")
		}
		if !accepted(t, newFirebase(t, project, ""), a.IDToken).MayPublish {
			t.Error("when no claim is asked for, any user may publish")
		}
	})
	t.Run("another project", func(t *testing.T) {
		a := e.signUp(t, nil)
		refused(t, newFirebase(t, "demo-other", "publisher"), a.IDToken, project)
		refused(t, auth.NewDev("demo-other", "publisher"), a.IDToken, project)
	})
	t.Run("damaged", func(t *testing.T) {
		token := e.signUp(t, nil).IDToken
		refused(t, v, token[:len(token)/2], "parts")
		refused(t, v, token[1:], "header")
	})
	t.Run("a user nobody has signed up", func(t *testing.T) {
		token, err := auth.MintDev(auth.DevClaims{UID: "nobody"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		refused(t, v, token, "deleted")
		if id := accepted(t, dev, token); id.UID != "nobody" {
			t.Errorf("the development verifier says %+v", id)
		}
	})
	t.Run("disabled, then deleted", func(t *testing.T) {
		a := e.signUp(t, nil)
		accepted(t, v, a.IDToken)
		e.admin(t, project, "update", map[string]any{"localId": a.LocalID, "disableUser": true})
		refused(t, v, a.IDToken, "disabled")
		e.admin(t, project, "delete", map[string]any{"localId": a.LocalID})
		refused(t, v, a.IDToken, "deleted")
	})
	t.Run("remembered", func(t *testing.T) {
		a := e.signUp(t, nil)
		c := auth.NewCache(v, 10)
		want := accepted(t, c, a.IDToken)
		if id, ok := c.Lookup(a.IDToken); !ok || id != want {
			t.Errorf("found %+v, %v; want %+v", id, ok, want)
		}
	})
	// The last: nothing runs after it.
	t.Run("emulator gone", func(t *testing.T) {
		token := e.signUp(t, nil).IDToken
		e.stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := v.Verify(ctx, token)
		if !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrToken) {
			t.Errorf("got %v, want an ErrUnavailable", err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("the deadline of 1 s was kept after %v", took)
		}
		if id := accepted(t, dev, token); id.UID == "" {
			t.Error("the development verifier needs no emulator")
		}
	})
}
