package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"

	"github.com/socialvibes/vibemesh/internal/auth"
)

// principal is who publishes, as idempotency keys are told apart by: no user id
// can look like the shared secret.
type principal string

const secretPrincipal principal = "secret"

// publisher finds who publishes: the holder of a shared secret, or a person
// whose token has the publish claim.
func (a *API) publisher(r *http.Request) (caller, *Problem) {
	if given := r.Header.Values(a.cfg.SecretHeader); len(given) > 0 {
		if len(given) == 1 {
			if number := a.secretNumber(given[0]); number > 0 {
				who := caller{principal: secretPrincipal, secret: number}
				note(r, who)
				return who, nil
			}
		}
		return caller{}, a.unauthorized("The secret in the header "+a.cfg.SecretHeader+" is not one of this server's.", "")
	}
	id, p := a.identity(r, bearer(r), "Send the shared secret in the header "+a.cfg.SecretHeader+", or a token as Authorization: Bearer <token>.")
	if p != nil {
		return caller{}, p
	}
	if !id.MayPublish {
		p := problem(http.StatusForbidden, "This person may not publish: the token lacks the publish claim.")
		return caller{}, p.with("WWW-Authenticate", `Bearer realm="vibemesh", error="insufficient_scope"`)
	}
	return callerOf(id), nil
}

// callerOf is a person.
func callerOf(id auth.Identity) caller { return caller{principal: principal("user:" + id.UID)} }

// reader finds whose history is asked for.
func (a *API) reader(r *http.Request) (auth.Identity, *Problem) {
	token := bearer(r)
	if token == "" {
		token = r.URL.Query().Get("token")
	}
	return a.identity(r, token, "Sign in: send an ID token as Authorization: Bearer <token>, or as the parameter token.")
}

// identity verifies a token; missing is what to tell who has sent none.
func (a *API) identity(r *http.Request, token, missing string) (auth.Identity, *Problem) {
	if token == "" {
		return auth.Identity{}, a.unauthorized(missing, "")
	}
	id, err := a.verify.Verify(r.Context(), token)
	switch {
	case err == nil:
		note(r, callerOf(id))
		return id, nil
	case errors.Is(err, auth.ErrToken):
		return id, a.unauthorized(sentence(err.Error()), "invalid_token")
	case errors.Is(err, auth.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		a.logOf(r.Context()).Warn("tokens cannot be verified", "error", err)
		return id, unavailable("Tokens cannot be verified now. Try again.")
	}
	a.logOf(r.Context()).Error("verifying a token", "error", err)
	return id, problem(http.StatusInternalServerError, "The token could not be verified.")
}

// secretNumber compares with every secret, in a time that tells nothing of them: the
// number of the one that was given, from 1, or 0.
func (a *API) secretNumber(given string) int {
	sum, number := sha256.Sum256([]byte(given)), 0
	for i, s := range a.secrets {
		number = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], s[:]), i+1, number)
	}
	return number
}

func (a *API) unauthorized(detail, code string) *Problem {
	challenge := `Bearer realm="vibemesh"`
	if code != "" {
		challenge += `, error="` + code + `"`
	}
	return problem(http.StatusUnauthorized, detail).with("WWW-Authenticate", challenge)
}

func unavailable(detail string) *Problem {
	return problem(http.StatusServiceUnavailable, detail).with("Retry-After", retryAfter)
}

// bearer is the token of the Authorization header, empty when there is none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}
