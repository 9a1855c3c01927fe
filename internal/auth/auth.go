// Package auth decides who a token speaks for. [NewFirebase] verifies Firebase
// ID tokens by Google's certificates, [NewDev] takes the unsigned tokens of
// development, and a [Cache] in front of either remembers verified tokens, so
// that a storm of reconnects is not a storm of RSA.
//
// # When a token ends
//
// Identity.Expires is the moment from which Verify refuses the same token, so a
// fresh Identity never lies in the past, and a session may be ended exactly then.
// Firebase's own SDK lets a server's clock be wrong by five minutes: for NewFirebase,
// Expires is the token's exp claim plus these five minutes (and a token issued
// up to five minutes in the future is accepted). A client that refreshes its
// token by Expires, rather than by exp, therefore always has a new one. For
// NewDev there is no tolerance of the end: Expires is exp.
//
// # What is not checked
//
// A token is good until it ends: disabling a user or revoking refresh tokens at
// Firebase stops the next token, not this one. (With the Auth emulator the SDK
// does ask, at each verification.) What stops this one is [Revoked], which a Cache
// asks for each token that it knows or verifies.
package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Identity is who a verified token speaks for.
type Identity struct {
	UID        string    // 1 to wire.MaxIDLen bytes
	IssuedAt   time.Time // the token's iat claim
	Expires    time.Time // from then on the token is refused; see the package's doc
	MayPublish bool      // the publish claim is there and true, or none is asked for
	Topics     Topics    // what its claim says of topics; see Cache.ReadTopics
}

// Verifier checks tokens. Verify returns when ctx ends, at the latest. Its error
// wraps ErrToken or ErrUnavailable, and ctx's own error if that was the cause.
type Verifier interface {
	Verify(ctx context.Context, token string) (Identity, error)
}

// Immediate is a Verifier that can often answer at once.
type Immediate interface {
	Verifier
	// VerifyNow is Verify where that neither waits nor does I/O, but it may compute;
	// otherwise its error is ErrWait.
	VerifyNow(token string) (Identity, error)
}

// ErrWait: VerifyNow cannot answer at once; Verify can.
var ErrWait = errors.New("verifying this token takes waiting")

// Errors of a Verifier, wrapped.
var (
	// ErrToken: the token is missing, malformed, expired or wrong. The whole text
	// of such an error may be shown to the client: it never holds the token.
	ErrToken = errors.New("the token was refused")
	// ErrExpired is the ErrToken of a token that was good once.
	ErrExpired = fmt.Errorf("%w: it has expired; refresh it or sign in again", ErrToken)
	// ErrUnavailable: the token could not be checked now; the same one may pass
	// later. The text says what is out of reach and is meant for logs.
	ErrUnavailable = errors.New("tokens cannot be verified now")
)

// maxToken is the largest token that is looked at, in bytes. Firebase allows
// 1,000 bytes of custom claims; real tokens have one or two thousand in all.
const maxToken = 8 << 10

// skew is how wrong the SDK lets a server's clock be, in seconds.
const skew = 300

// refuse makes an ErrToken with a reason.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrToken, fmt.Sprintf(format, args...))
}

// unavailable is what a caller gets whose context ended first.
func unavailable(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
}

// checkText refuses what cannot be a token before anything is hashed or decoded.
// It is stricter than base64, which skips line breaks, so that one token cannot
// be written in many ways and fill the cache.
func checkText(token string) error {
	if token == "" {
		return refuse("it is missing")
	}
	if len(token) > maxToken {
		return refuse("it is longer than %d bytes", maxToken)
	}
	for i := 0; i < len(token); i++ {
		c := token[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return refuse("it is not a JSON Web Token: byte %d cannot be part of one", i)
		}
	}
	return nil
}
