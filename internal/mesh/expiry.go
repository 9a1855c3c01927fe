package mesh

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

var descExpiry = prometheus.NewDesc("vibemesh_nats_credentials_expiry_timestamp_seconds",
	"When what this process signs in to NATS with expires, in seconds since 1970; absent where it does not.", []string{"file"}, nil)

// expiries are when the files that this process signs in to NATS with expire, by what they
// are. They are read anew, as each connection does. One that cannot be read, or counts for
// ever, has none.
func (m *Mesh) expiries() map[string]float64 {
	at := map[string]float64{}
	if m.cfg.Creds != "" {
		if user, err := readUser(m.cfg.Creds); err == nil && user.Expires > 0 {
			at["credentials"] = float64(user.Expires)
		}
	}
	if m.cfg.TLS.Cert != "" {
		if pair, err := tls.LoadX509KeyPair(m.cfg.TLS.Cert, m.cfg.TLS.Key); err == nil {
			at["certificate"] = float64(pair.Leaf.NotAfter.Unix())
		}
	}
	return at
}

// natsUser is what a credentials file says of its user.
type natsUser struct {
	Name    string `json:"name"`
	Expires int64  `json:"exp"` // Unix seconds; 0: never
}

var (
	errNoCredentials = errors.New("is no credentials file: it lacks the user's token or its seed")
	errUnreadable    = errors.New("has a token that cannot be read")
)

// userToken finds the user's token in a credentials file.
var userToken = regexp.MustCompile(`(?s)-BEGIN NATS USER JWT-+\s+([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\s`)

// readUser reads a credentials file, without verifying it. Its error is that of the file
// system, errNoCredentials or errUnreadable.
func readUser(file string) (user natsUser, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return user, err
	}
	found := userToken.FindSubmatch(text)
	if found == nil || !bytes.Contains(text, []byte("-BEGIN USER NKEY SEED-")) {
		return user, errNoCredentials
	}
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(string(found[1]), ".")[1])
	if err != nil || json.Unmarshal(body, &user) != nil {
		return natsUser{}, errUnreadable
	}
	return user, nil
}
