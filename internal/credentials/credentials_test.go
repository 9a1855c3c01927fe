package credentials_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/socialvibes/vibemesh/internal/credentials"
	"github.com/socialvibes/vibemesh/internal/wire"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func logOf(t *testing.T, prefix string, partitions int) credentials.Log {
	t.Helper()
	s, err := wire.NewSubjects(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return credentials.Log{Subjects: s.Partitioned(partitions)}
}

func made(t *testing.T, prefix string, partitions int, expires time.Duration) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "made")
	if _, err := credentials.Make(dir, logOf(t, prefix, partitions), expires, now); err != nil {
		t.Fatal(err)
	}
	return dir
}

// user is what a credentials file says, signed by whom it says.
func user(t *testing.T, path string) *jwt.UserClaims {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.ParseDecoratedJWT(text)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jwt.DecodeUserClaims(token) // which looks at the signature
	if err != nil {
		t.Fatal(err)
	}
	pair, err := jwt.ParseDecoratedUserNKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if public, err := pair.PublicKey(); err != nil || public != claims.Subject {
		t.Errorf("%s: the seed is of %s, the token of %s", path, public, claims.Subject)
	}
	return claims
}

// account is the one named VIBEMESH in accounts.conf.
func account(t *testing.T, dir string) *jwt.AccountClaims { return accountNamed(t, dir, "VIBEMESH") }

func accountNamed(t *testing.T, dir, name string) *jwt.AccountClaims {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, credentials.AccountsFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, token, ok := strings.Cut(strings.TrimSpace(line), ": eyJ")
		if !ok || !strings.HasPrefix(line, "  A") {
			continue
		}
		claims, err := jwt.DecodeAccountClaims("eyJ" + token)
		if err != nil {
			t.Fatal(err)
		}
		if claims.Name == name {
			return claims
		}
	}
	t.Fatalf("no account %s", name)
	return nil
}

func scope(t *testing.T, a *jwt.AccountClaims, role string) *jwt.UserScope {
	t.Helper()
	for _, s := range a.SigningKeys {
		if us, ok := s.(*jwt.UserScope); ok && us.Role == role {
			return us
		}
	}
	t.Fatalf("no signing key of %s", role)
	return nil
}

// TestFilesAreTheirOwnersAlone: nobody else reads any of it, and nothing is missing.
func TestFilesAreTheirOwnersAlone(t *testing.T) {
	dir := made(t, "sv", 1, 0)
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files = append(files, strings.TrimPrefix(path, dir+"/"))
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "accounts.conf api.creds backend.creds backup.creds edge.creds keys/account.nk keys/api.nk keys/backend.nk keys/backends.nk keys/backup.nk keys/edge.nk " +
		"keys/layout.json keys/operator.nk keys/provision.nk keys/root.nk keys/run.nk keys/sys.nk keys/topics.nk operator.creds provision.creds run.creds " +
		"sys.creds topics.creds"
	if got := strings.Join(files, " "); got != want {
		t.Errorf("made\n%s, want\n%s", got, want)
	}
}

// TestNothingIsOverwritten: each of the files alone is enough to refuse all.
func TestNothingIsOverwritten(t *testing.T) {
	for _, name := range []string{"accounts.conf", "edge.creds", "sys.creds", "keys"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := credentials.Make(dir, logOf(t, "sv", 1), 0, now)
		if err == nil || !strings.Contains(err.Error(), name+" is there already") {
			t.Errorf("%s: %v", name, err)
		}
		if all, err := os.ReadDir(dir); err != nil || len(all) != 1 {
			t.Errorf("%s: there are now %v, %v", name, all, err)
		}
	}
	dir := made(t, "sv", 1, 0)
	before := user(t, filepath.Join(dir, "backend.creds")).Subject
	if _, err := credentials.AddUser(filepath.Join(dir, "keys"), "backend", "backend", dir, 0, now); err == nil {
		t.Error("a user took the place of another")
	}
	if user(t, filepath.Join(dir, "backend.creds")).Subject != before {
		t.Error("backend.creds has changed")
	}
}

// TestUsersHaveThePermissionsOfTheirRole: they are those of its signing key, and not the
// user's own.
func TestUsersHaveThePermissionsOfTheirRole(t *testing.T) {
	dir := made(t, "acme.sv", 4, time.Hour)
	vibemesh, backends := account(t, dir), accountNamed(t, dir, "BACKENDS")
	roles, err := credentials.Roles()
	if err != nil {
		t.Fatal(err)
	}
	if len(vibemesh.SigningKeys)+len(backends.SigningKeys) != len(roles) {
		t.Errorf("%d and %d signing keys for %d roles", len(vibemesh.SigningKeys), len(backends.SigningKeys), len(roles))
	}
	for _, r := range roles {
		a := vibemesh
		if r.Account == "backends" {
			a = backends
		}
		u := user(t, filepath.Join(dir, r.Name+".creds"))
		s := scope(t, a, r.Name)
		if u.Issuer != s.Key || u.IssuerAccount != a.Subject || u.Name != r.Name || !u.HasEmptyPermissions() || u.Expires != now.Add(time.Hour).Unix() {
			t.Errorf("%s: %+v", r.Name, u)
		}
		allowed, err := credentials.Permissions(r.Name, logOf(t, "acme.sv", 4).Subjects)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.Template.Pub.Allow, allowed.Publish) || !slices.Equal(s.Template.Sub.Allow, allowed.Subscribe) || (s.Template.Resp != nil) != (allowed.Answers > 0) {
			t.Errorf("%s: the key's permissions are %+v", r.Name, s.Template.Permissions)
		}
		if len(allowed.Publish) == 0 && allowed.Answers == 0 || len(allowed.Subscribe) == 0 {
			t.Errorf("%s: an empty list allows everything: %+v", r.Name, allowed)
		}
		for _, subject := range append(allowed.Publish, allowed.Subscribe...) {
			if strings.ContainsAny(subject, "{}") || strings.HasPrefix(subject, "sv.") || strings.Contains(subject, ".SV_LOG") {
				t.Errorf("%s: %s", r.Name, subject)
			}
		}
	}
	for _, a := range []*jwt.AccountClaims{vibemesh, backends} {
		if a.Limits.LeafNodeConn != 0 || !a.Limits.DisallowBearer {
			t.Errorf("limits: %+v", a.Limits)
		}
	}
	a := vibemesh
	if a.Limits.DiskStorage != jwt.NoLimit || backends.Limits.IsJSEnabled() {
		t.Errorf("JetStream: %+v, %+v", a.Limits.JetStreamLimits, backends.Limits.JetStreamLimits)
	}
	if l := backends.Limits; l.Conn != 5000 || l.Subs != 100 || l.Payload != 128<<10 || a.Limits.Conn != jwt.NoLimit || a.Limits.Payload != jwt.NoLimit {
		t.Errorf("limits of backends: %+v, of the mesh: %+v", l, a.Limits)
	}
	if len(a.Mappings) != 2 || a.Mappings["acme.sv.ws.broadcast"][0].Subject != "acme.sv.log.0.broadcast" {
		t.Errorf("mappings: %v", a.Mappings)
	}
	if sys := user(t, filepath.Join(dir, "sys.creds")); sys.Issuer == a.Subject || sys.IssuerAccount != "" || sys.Expires == 0 {
		t.Errorf("sys: %+v", sys)
	}
}

// TestOneMoreUser: with the seed of one role and what is no secret, its users can be made,
// and nothing else. (That of an account would make users who may do all of it.)
func TestOneMoreUser(t *testing.T) {
	dir := made(t, "sv", 1, 0)
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backend.nk", "layout.json"} {
		if err := os.Rename(filepath.Join(dir, "keys", name), filepath.Join(keys, name)); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "shop")
	f, err := credentials.AddUser(keys, "backend", "shop", out, time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	u := user(t, f.Path)
	if f.Path != filepath.Join(out, "shop.creds") || u.Name != "shop" || u.Issuer != scope(t, accountNamed(t, dir, "BACKENDS"), "backend").Key || u.Expires != now.Add(time.Minute).Unix() {
		t.Errorf("%s: %+v", f.Path, u)
	}
	for what, tt := range map[string]struct{ role, name, want string }{
		"another role's seed": {"edge", "more", "no key for the role edge"},
		"no such role":        {"shop", "more", `no role is called "shop": they are backend, topics, edge,`},
		"not a name":          {"backend", "../more", "is no name for a user"},
		"no name":             {"backend", "", "is no name for a user"},
	} {
		if _, err := credentials.AddUser(keys, tt.role, tt.name, out, 0, now); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	older := filepath.Join(dir, "keys") // whose layout does not have the accounts
	if err := os.WriteFile(filepath.Join(older, "layout.json"), []byte(`{"prefix":"sv","partitions":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err = credentials.AddUser(older, "edge", "more", out, 0, now); err != nil || user(t, f.Path).IssuerAccount != account(t, dir).Subject {
		t.Errorf("of older keys: %v", err)
	}
	if err := os.Remove(filepath.Join(older, "account.nk")); err != nil {
		t.Fatal(err)
	}
	if _, err := credentials.AddUser(older, "edge", "another", out, 0, now); err == nil || !strings.Contains(err.Error(), "--renew") {
		t.Errorf("of older keys, without the account's: %v", err)
	}
	if _, err := credentials.Renew(keys, out, logOf(t, "sv", 1), nil, now); err == nil || !strings.Contains(err.Error(), "root.nk") {
		t.Errorf("accounts without the seed of the operator: %v", err)
	}
	if _, err := credentials.AddUser(t.TempDir(), "backend", "more", out, 0, now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no keys: %v", err)
	}
}

// TestRenew: the keys stay, so users of before count; what changes is what they may do,
// and who of them.
func TestRenew(t *testing.T) {
	dir := made(t, "sv", 1, 0)
	keys := filepath.Join(dir, "keys")
	before, operator := account(t, dir), markOperator(t, keys)
	if err := os.Remove(filepath.Join(keys, "topics.nk")); err != nil { // of a version that did not have it
		t.Fatal(err)
	}
	shop, err := credentials.AddUser(keys, "backend", "shop", dir, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := credentials.Renew(keys, dir, logOf(t, "sv", 4), []string{shop.Path}, now); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(read(t, filepath.Join(dir, credentials.AccountsFile))), "operator: "+operator+"\n") {
		t.Error("another operator, which servers that run do not take")
	}
	after := account(t, dir)
	if after.Subject != before.Subject || scope(t, after, "edge").Key != scope(t, before, "edge").Key {
		t.Error("keys have changed")
	}
	if len(after.Mappings) != 2 || !slices.Contains(scope(t, after, "edge").Template.Pub.Allow, "$JS.API.STREAM.INFO.SV_LOG_3") {
		t.Error("it is not for 4 partitions")
	}
	if scope(t, after, "topics").Key == scope(t, before, "topics").Key {
		t.Error("the role without a key has the old one")
	}
	if _, err := nkeys.FromSeed(read(t, filepath.Join(keys, "topics.nk"))); err != nil {
		t.Error(err)
	}
	revoked := user(t, shop.Path).Subject
	if len(after.Revocations) != 1 || after.Revocations[revoked] != now.Unix() {
		t.Errorf("revoked: %v", after.Revocations)
	}
	s, err := credentials.Subjects(keys)
	if err != nil || s.Partitions() != 4 {
		t.Errorf("the keys are for %d partitions, %v", s.Partitions(), err)
	}
	// Another time, what was revoked stays so.
	if _, err := credentials.Renew(keys, dir, logOf(t, "sv", 4), nil, now); err != nil || len(account(t, dir).Revocations) != 1 {
		t.Errorf("revoked: %v, %v", account(t, dir).Revocations, err)
	}
	for what, tt := range map[string]struct {
		prefix string
		revoke string
		want   string
	}{
		"another prefix":   {"tv", "", "the keys are for the prefix sv"},
		"another's user":   {"sv", filepath.Join(made(t, "sv", 1, 0), "edge.creds"), "is not of these keys"},
		"another's system": {"sv", filepath.Join(made(t, "sv", 1, 0), "sys.creds"), "is not of these keys"},
		"no file of users": {"sv", filepath.Join(keys, "layout.json"), "layout.json"},
	} {
		var revoke []string
		if tt.revoke != "" {
			revoke = []string{tt.revoke}
		}
		if _, err := credentials.Renew(keys, dir, logOf(t, tt.prefix, 4), revoke, now); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// markOperator gives the keys another token of the same operator, as one of another day
// would be, and returns it.
func markOperator(t *testing.T, keys string) string {
	t.Helper()
	path := filepath.Join(keys, "layout.json")
	var layout map[string]any
	if err := json.Unmarshal(read(t, path), &layout); err != nil {
		t.Fatal(err)
	}
	before, _ := layout["operator"].(string) //nolint:errcheck // then it is empty
	claims, err := jwt.DecodeOperatorClaims(before)
	if err != nil {
		t.Fatal(err)
	}
	root, err := nkeys.FromSeed(read(t, filepath.Join(keys, "root.nk")))
	if err != nil {
		t.Fatal(err)
	}
	claims.Name = "another day"
	token, err := claims.Encode(root)
	if err != nil {
		t.Fatal(err)
	}
	layout["operator"] = token
	text, err := json.Marshal(layout)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return token
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.TrimSpace(string(text)))
}

// TestEachSubjectSaysWhy: so that nobody has to guess what may be taken away.
func TestEachSubjectSaysWhy(t *testing.T) {
	roles, err := credentials.Roles()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		if r.What == "" {
			t.Errorf("%s: what does it do?", r.Name)
		}
		for _, p := range append(slices.Clone(r.Publish), r.Subscribe...) {
			if p.Why == "" || p.When != "" && p.When != "several" {
				text, _ := json.Marshal(p) //nolint:errcheck // strings
				t.Errorf("%s: %s", r.Name, text)
			}
		}
	}
}
