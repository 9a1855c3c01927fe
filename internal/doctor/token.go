package doctor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

const (
	tokenIssuer = "https://securetoken.google.com/"
	tokenSkew   = 5 * time.Minute // as servers allow
	customAud   = "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"
)

// claims are what a Firebase ID token says.
type claims struct {
	Iss, Aud, Sub string
	Iat, Exp      int64
}

// token takes the token apart, and reports that nothing is wrong with what it says. Whether
// its signature is right, only a server can tell.
func (d *doctor) token() bool {
	const check = "token"
	if d.Token == "" {
		d.skip(check, "none was given; --token (SV_TOKEN), or --user for servers with WS_AUTH=dev")
		return false
	}
	const another = "get a fresh ID token of the signed-in person (getIdToken)"
	var header struct{ Alg string }
	var c claims
	var all map[string]any
	parts := strings.Split(d.Token, ".")
	if len(parts) != 3 || !decode(parts[0], &header) || !decode(parts[1], &c) || !decode(parts[1], &all) {
		d.fail(check, fmt.Sprintf("it is no JSON Web Token: it has %d parts of the form xxx.yyy.zzz", len(parts)), "was it cut when it was copied, or is it an API key? "+another)
		return false
	}
	now := d.Now()
	until := time.Unix(c.Exp, 0)
	switch {
	case c.Aud == customAud:
		d.fail(check, "it is a custom token, with which an app signs in", "sign in with it (signInWithCustomToken), and take that session's ID token")
	case c.Iss != tokenIssuer+c.Aud:
		d.fail(check, fmt.Sprintf("its issuer %q is not Firebase Authentication for its audience %q", c.Iss, c.Aud), another)
	case d.Project != "" && c.Aud != d.Project:
		d.fail(check, fmt.Sprintf("it is of the Firebase project %q, not of %q", c.Aud, d.Project), "sign in to that project; or set FIREBASE_PROJECT_ID of the server")
	case c.Sub == "":
		d.fail(check, "it names no user (sub)", another)
	case !until.After(now):
		d.fail(check, fmt.Sprintf("it ended %v ago", now.Sub(until).Round(time.Second)), another+": they live one hour")
	case time.Unix(c.Iat, 0).After(now.Add(tokenSkew)):
		d.fail(check, "it was issued in the future", "set this machine's clock, or that of whoever issued it")
	default:
		d.mayToken = d.PublishClaim == "" || all[d.PublishClaim] == true
		d.describe(check, &c, header.Alg, until.Sub(now))
		return true
	}
	return false
}

func (d *doctor) describe(check string, c *claims, alg string, left time.Duration) {
	may := "may not publish"
	if d.mayToken {
		may = "may publish"
	}
	kind := ""
	if alg == "none" {
		kind = ", unsigned: for servers with WS_AUTH=dev"
	}
	text := fmt.Sprintf("of %s, project %s, for %v more, %s%s", c.Sub, c.Aud, left.Round(time.Second), may, kind)
	if left < tokenSkew {
		d.warn(check, text, "renew tokens some minutes before their end")
		return
	}
	d.ok(check, "%s", text)
}

func decode(part string, into any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(text, into) == nil
}
