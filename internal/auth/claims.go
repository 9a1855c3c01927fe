package auth

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

const issuerPrefix = "https://securetoken.google.com/"

// maxTime is the last second of the year 9999: a claim beyond it is nonsense,
// and adding a tolerance to one that is smaller cannot overflow.
const maxTime = 253402300799

// parsed is a token taken apart, nothing in it checked.
type parsed struct {
	header    struct{ Alg, Kid string }
	claims    claims
	custom    map[string]any // all claims, the standard ones too
	signature string         // still in base64url
}

// claims are those that every Firebase ID token has.
type claims struct {
	Iss, Aud, Sub string
	Iat, Exp      int64 // seconds since 1970
}

// parse takes a token apart.
func parse(token string) (*parsed, error) {
	if err := checkText(token); err != nil {
		return nil, err
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, refuse("it is not a JSON Web Token: it has %d parts, not 3", len(parts))
	}
	p := &parsed{signature: parts[2]}
	if !decodePart(parts[0], &p.header) {
		return nil, refuse("its header is not base64url of a JSON object of the right shape")
	}
	if !decodePart(parts[1], &p.claims) || !decodePart(parts[1], &p.custom) || p.custom == nil {
		return nil, refuse("its claims are not base64url of a JSON object of the right shape")
	}
	return p, nil
}

func decodePart(part string, into any) bool {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(raw, into) == nil
}

// check makes the checks of the Firebase SDK on everything but the signature.
// grace is how many seconds past exp a token is still good.
func (c *claims) check(projectID string, now time.Time, grace int64) error {
	if c.Aud != projectID {
		return refuse("it is for the Firebase project %.64q (aud), and this server is for %.64q", c.Aud, projectID)
	}
	if c.Iss != issuerPrefix+projectID {
		return refuse("its issuer (iss) is not %s%.64s", issuerPrefix, projectID)
	}
	if _, err := wire.EncodeID(c.Sub); err != nil {
		return refuse("its user id (sub) does not have 1 to %d bytes", wire.MaxIDLen)
	}
	if c.Iat < 0 || c.Iat > maxTime || c.Exp < 0 || c.Exp > maxTime {
		return refuse("its times (iat, exp) are not seconds since 1970")
	}
	if c.Iat-skew > now.Unix() {
		return refuse("it was issued in the future (iat); compare the clocks")
	}
	if c.Exp+grace <= now.Unix() {
		return ErrExpired
	}
	return nil
}

// identity is what checked claims say.
func (c *claims) identity(custom map[string]any, publishClaim string, grace int64) Identity {
	return Identity{
		UID:        strings.Clone(c.Sub),
		IssuedAt:   time.Unix(c.Iat, 0),
		Expires:    time.Unix(c.Exp+grace, 0),
		MayPublish: publishClaim == "" || custom[publishClaim] == true,
	}
}
