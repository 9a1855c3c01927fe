package nats_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/socialvibes/vibemesh/internal/credentials"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// seldom is what a role may do and has no need of in TestEachRoleDoesItsJob, with when it
// has.
var seldom = map[string]string{
	"edge publish $JS.API.STREAM.MSG.GET.SV_LOG":            "a page of the past that a replica may not know the end of",
	"edge publish $JS.FC.KV_SV_REVOKED.>":                   "very many revocations at once",
	"api publish $JS.FC.KV_SV_REVOKED.>":                    "very many revocations at once",
	"provision publish $JS.API.STREAM.UPDATE.KV_SV_REVOKED": "a definition of another version, other replicas",
	"provision publish $JS.API.STREAM.DELETE.SV_LOG":        "an empty log of another number of partitions",
	"backup publish $JS.SNAPSHOT.ACK.KV_SV_REVOKED.>":       "a bucket of more than a few megabytes",
	"backup publish $JS.API.STREAM.DELETE.SV_LOG_READ":      "a mirror of a log that is removed",
}

// everythingIsUsed fails for what a role may do and does not: it should not be allowed.
// A role that is others together is like them.
func everythingIsUsed(t *testing.T, dir string, said *logged, partitions int) {
	t.Helper()
	said.mu.Lock()
	used := maps.Clone(said.used)
	said.mu.Unlock()
	all, err := credentials.Roles()
	if err != nil {
		t.Fatal(err)
	}
	stated := maps.Clone(seldom)
	for _, role := range all {
		if role.As != nil {
			continue
		}
		user := userOf(t, filepath.Join(dir, role.Name+".creds"))
		allowed, err := credentials.Permissions(role.Name, wire.Subjects{}.Partitioned(partitions))
		if err != nil {
			t.Fatal(err)
		}
		for verb, patterns := range map[string][]string{"publish": allowed.Publish, "subscribe": allowed.Subscribe} {
			needed := map[string]bool{} // of the streams of the log, by one is enough
			for _, pattern := range patterns {
				what := role.Name + " " + verb + " " + anyPartition(pattern)
				needed[what] = needed[what] || usedBy(used, user, verb, pattern, partitionsSeenBy(role, partitions))
			}
			for what, was := range needed {
				delete(stated, what)
				if _, rare := seldom[what]; !was && !rare {
					t.Errorf("nobody needed what is allowed: %s", what)
				}
			}
		}
	}
	for what := range stated {
		t.Errorf("nobody may do what is said to be done seldom: %s", what)
	}
}

// partitionsSeenBy is of how many partitions the log is for who looks at what a role
// publishes: what backends do is mapped in the other account, after their rights were
// looked at.
func partitionsSeenBy(role credentials.Role, partitions int) int {
	if role.Account != "" {
		return 1
	}
	return partitions
}

func usedBy(used map[use]bool, user, verb, pattern string, partitions int) bool {
	for u := range used {
		subject := u.subject
		if verb == "publish" {
			subject = mapped(subject, partitions)
		}
		if u.user == user && u.verb == verb && covers(pattern, subject) {
			return true
		}
	}
	return false
}

var partitionOf = regexp.MustCompile(`(SV_LOG|SV_LOG_READ)_\d+`)

func anyPartition(pattern string) string { return partitionOf.ReplaceAllString(pattern, "$1") }

// userOf is the public key of the user that a credentials file is of.
func userOf(t *testing.T, path string) string {
	t.Helper()
	return claimsOf(t, path).Subject
}

// claimsOf is the token of a credentials file.
func claimsOf(t *testing.T, path string) *jwt.UserClaims {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.ParseDecoratedJWT(text)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}
