package auth

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// DevProject is the Firebase project of development. The emulators never reach
// out to Google for a project whose name begins with "demo-".
const DevProject = "demo-vibemesh"

// DefaultPublishClaim is the custom claim that may publish when nothing else is said.
const DefaultPublishClaim = "publisher"

// DefaultTopicClaim is the custom claim that says which topics may be joined when nothing
// else is said.
const DefaultTopicClaim = "topics"

// devHeader is what the Firebase Auth emulator puts before every token.
const devHeader = `{"alg":"none","typ":"JWT"}`

// NewDev makes a Verifier of the tokens of development: those of the Firebase
// Auth emulator and of [MintDev], which anybody can write, so it must never
// guard anything. It checks the claims as the SDK does, without I/O, but a token
// ends exactly at its exp claim. The token's user need not exist anywhere.
func NewDev(projectID, publishClaim string) Verifier {
	return devVerifier{projectID: projectID, publishClaim: publishClaim}
}

type devVerifier struct{ projectID, publishClaim string }

func (v devVerifier) Verify(ctx context.Context, token string) (Identity, error) {
	if ctx.Err() != nil {
		return Identity{}, unavailable(ctx)
	}
	return v.VerifyNow(token)
}

// VerifyNow implements Immediate.
func (v devVerifier) VerifyNow(token string) (Identity, error) {
	p, err := parse(token)
	if err != nil {
		return Identity{}, err
	}
	if p.header.Alg != "none" || p.signature != "" {
		return Identity{}, refuse("it is signed, and this server takes unsigned development tokens only" +
			" (get one from the Auth emulator or from sv-cli token)")
	}
	if err := p.claims.check(v.projectID, time.Now(), 0); err != nil {
		return Identity{}, err
	}
	return p.identity(v.publishClaim, 0), nil
}

// DevClaims says what a development token shall hold.
type DevClaims struct {
	UID          string        // 1 to wire.MaxIDLen bytes of UTF-8
	ProjectID    string        // empty: DevProject
	Publisher    bool          // put the publish claim in
	PublishClaim string        // empty: DefaultPublishClaim
	TTL          time.Duration // from now to its end, at least a second; 0: an hour, as Firebase has it
	Topics       []string      // what the claim TopicClaim says; nil: there is none
	TopicClaim   string        // empty: DefaultTopicClaim
}

// MintDev writes the token that the Firebase Auth emulator would, for [NewDev].
// Its error says which of c's fields is wrong.
func MintDev(c DevClaims, now time.Time) (string, error) {
	if _, err := wire.EncodeID(c.UID); err != nil || !utf8.ValidString(c.UID) {
		return "", fmt.Errorf("auth: a user id has 1 to %d bytes of UTF-8", wire.MaxIDLen)
	}
	if c.TTL == 0 {
		c.TTL = time.Hour
	}
	if c.TTL < time.Second {
		return "", errors.New("auth: a token lives at least one second")
	}
	if c.ProjectID == "" {
		c.ProjectID = DevProject
	}
	body := map[string]any{
		"iss":       issuerPrefix + c.ProjectID,
		"aud":       c.ProjectID,
		"sub":       c.UID,
		"user_id":   c.UID,
		"iat":       now.Unix(),
		"auth_time": now.Unix(),
		"exp":       now.Add(c.TTL).Unix(),
		"firebase":  map[string]any{"identities": map[string]any{}, "sign_in_provider": "custom"},
	}
	if c.Publisher {
		name := cmp.Or(c.PublishClaim, DefaultPublishClaim)
		if _, taken := body[name]; taken {
			return "", fmt.Errorf("auth: %q is a claim of every token and cannot be the publish claim", name)
		}
		body[name] = true
	}
	if c.Topics != nil {
		name := cmp.Or(c.TopicClaim, DefaultTopicClaim)
		if _, taken := body[name]; taken {
			return "", fmt.Errorf("auth: %q is a claim of every token already and cannot say which topics may be joined", name)
		}
		body[name] = c.Topics
	}
	text, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("auth: writing the claims: %w", err)
	}
	b64 := base64.RawURLEncoding
	return b64.EncodeToString([]byte(devHeader)) + "." + b64.EncodeToString(text) + ".", nil
}
