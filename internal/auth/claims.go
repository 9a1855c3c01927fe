package auth

import (
	"bytes"
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
	text      []byte // all claims, as JSON
	signed    string // what the signature is of
	signature string // still in base64url
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
	header, rest, _ := strings.Cut(token, ".")
	body, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return nil, refuse("it is not a JSON Web Token: it has %d parts, not 3", strings.Count(token, ".")+1)
	}
	p := &parsed{signed: token[:len(header)+1+len(body)], signature: signature}
	if _, ok := decodePart(header, &p.header); !ok {
		return nil, refuse("its header is not base64url of a JSON object of the right shape")
	}
	if p.text, ok = decodePart(body, &p.claims); !ok {
		return nil, refuse("its claims are not base64url of a JSON object of the right shape")
	}
	return p, nil
}

func decodePart(part string, into any) (text []byte, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil || json.Unmarshal(text, into) != nil {
		return nil, false
	}
	return text, bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) // null is no object
}

// holds reports a claim whose value is true. A claim whose name is not there
// letter by letter is not: so most tokens are parsed once only, which halves what
// parsing costs.
func (p *parsed) holds(claim string) bool {
	if !bytes.Contains(p.text, []byte(claim)) {
		return false
	}
	var all map[string]any
	return json.Unmarshal(p.text, &all) == nil && all[claim] == true
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

// identity is what a token says whose claims were checked.
func (p *parsed) identity(publishClaim string, grace int64) Identity {
	return Identity{
		UID:        strings.Clone(p.claims.Sub),
		IssuedAt:   time.Unix(p.claims.Iat, 0),
		Expires:    time.Unix(p.claims.Exp+grace, 0),
		MayPublish: publishClaim == "" || p.holds(publishClaim),
	}
}
