package auth

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	firebase "firebase.google.com/go/v4"
	fbauth "firebase.google.com/go/v4/auth"
	"golang.org/x/oauth2"
	"google.golang.org/api/option"
)

const (
	// checkTimeout ends one check of the SDK's, fetching certificates included.
	checkTimeout = 5 * time.Second
	// slotsPerCPU bounds the checks under way at once.
	slotsPerCPU = 8
)

// newSDK makes a Verifier of Google's Admin SDK. It needs no Google credentials and
// looks for none. With FIREBASE_AUTH_EMULATOR_HOST set, the SDK takes the unsigned
// tokens of that emulator, and asks it whether their user still exists.
func newSDK(ctx context.Context, projectID, publishClaim string) (Verifier, error) {
	// Verifying takes no credentials, but the SDK's constructor looks for some,
	// asking the metadata service of Google's machines for seconds where there is
	// none, and fails without. This gives it something that is never used.
	none := option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{}))
	app, err := firebase.NewApp(ctx, &firebase.Config{ProjectID: projectID}, none)
	if err != nil {
		return nil, fmt.Errorf("auth: starting the Firebase SDK: %w", err)
	}
	client, err := app.Auth(ctx)
	if err != nil {
		return nil, fmt.Errorf("auth: starting the Firebase SDK: %w", err)
	}
	return &sdkVerifier{
		client: client, projectID: projectID, publishClaim: publishClaim,
		emulated: os.Getenv("FIREBASE_AUTH_EMULATOR_HOST") != "",
		slots:    make(chan struct{}, slotsPerCPU*runtime.GOMAXPROCS(0)),
		timeout:  checkTimeout,
	}, nil
}

// sdkVerifier keeps two weaknesses of the SDK from its callers: it holds a
// mutex while it fetches certificates, under which a caller's deadline does not
// count, and it fetches with the context of whoever comes first, so that one
// impatient caller would fail the fetch for all.
type sdkVerifier struct {
	client                  *fbauth.Client
	projectID, publishClaim string
	emulated                bool
	timeout                 time.Duration
	slots                   chan struct{} // one is held by each goroutine inside the SDK
	pausedUntil             atomic.Int64  // Unix nanoseconds; set when a fetch failed
}

type verdict struct {
	token *fbauth.Token
	err   error
}

func (v *sdkVerifier) Verify(ctx context.Context, token string) (Identity, error) {
	if err := checkText(token); err != nil {
		return Identity{}, err
	}
	if ctx.Err() != nil {
		return Identity{}, unavailable(ctx)
	}
	// A failed fetch leaves the SDK without any certificate: until somebody may
	// try again, no token can pass.
	if time.Now().UnixNano() < v.pausedUntil.Load() {
		return Identity{}, fmt.Errorf("%w: the last fetch of the certificates failed less than %v ago", ErrUnavailable, fetchPause)
	}
	select {
	case v.slots <- struct{}{}:
	case <-ctx.Done():
		return Identity{}, unavailable(ctx)
	}
	done := make(chan verdict, 1)
	go v.ask(context.WithoutCancel(ctx), token, done)
	select {
	case d := <-done:
		return v.judge(token, d)
	case <-ctx.Done():
		return Identity{}, unavailable(ctx)
	}
}

// ask lets the SDK verify and gives the slot back.
func (v *sdkVerifier) ask(ctx context.Context, token string, done chan<- verdict) {
	defer func() { <-v.slots }()
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	t, err := v.client.VerifyIDToken(ctx, token)
	if err != nil && fbauth.IsCertificateFetchFailed(err) {
		v.pausedUntil.Store(time.Now().Add(fetchPause).UnixNano())
	}
	done <- verdict{t, err}
}

// judge makes an Identity, or an error with a reason of our own, of what the SDK
// said: its own texts quote the token.
func (v *sdkVerifier) judge(token string, d verdict) (Identity, error) {
	switch err := d.err; {
	case err == nil:
	case fbauth.IsCertificateFetchFailed(err):
		return Identity{}, fmt.Errorf("%w: fetching Google's certificates: %.300s", ErrUnavailable, err.Error())
	case fbauth.IsIDTokenExpired(err):
		return Identity{}, ErrExpired
	case fbauth.IsIDTokenRevoked(err), fbauth.IsUserDisabled(err), fbauth.IsUserNotFound(err):
		return Identity{}, refuse("it was revoked, or its user is disabled or deleted")
	case fbauth.IsIDTokenInvalid(err):
		return Identity{}, v.explain(token)
	default:
		return Identity{}, fmt.Errorf("%w: %.300s", ErrUnavailable, err.Error())
	}
	// Again, for what the SDK takes and the contract does not.
	p, err := parse(token)
	if err != nil {
		return Identity{}, err
	}
	if err := p.claims.check(v.projectID, time.Now(), skew); err != nil {
		return Identity{}, err
	}
	return p.identity(v.publishClaim, skew), nil
}

// explain finds what is wrong with a token that the SDK refused.
func (v *sdkVerifier) explain(token string) error {
	p, err := parse(token)
	if err != nil {
		return err
	}
	if !v.emulated {
		if err := p.checkSigned(v.projectID); err != nil {
			return err
		}
	}
	if err := p.claims.check(v.projectID, time.Now(), skew); err != nil {
		return err
	}
	return errSignature
}
