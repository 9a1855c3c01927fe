// Package credentials makes what a nats-server asks of those who connect, in its operator
// mode: an operator, who vouches for accounts; an account for Vibemesh, with a signing key
// for each role of nats/permissions.json; and users, whose tokens name the key of their
// role and hold no permissions themselves. So the permissions of a role are changed for
// all of its users at once, by giving the servers another accounts.conf.
package credentials

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Log is the log that the permissions are for.
type Log struct {
	Subjects wire.Subjects
}

// File is something that was made.
type File struct{ Path, What string }

// AccountsFile is the part of a nats-server's configuration that says who may connect.
const AccountsFile = "accounts.conf"

// KeysDir is where the seeds are, below what is handed out.
const KeysDir = "keys"

// Make makes everything in a directory: accounts.conf, a user of each role, a user of the
// system account, and keys/. It refuses if any of it is there. Users expire after a time;
// 0: never.
func Make(dir string, log Log, expires time.Duration, now time.Time) (made []File, err error) {
	if made, err = plan(dir); err != nil {
		return nil, err
	}
	ring, err := newKeyring()
	if err != nil {
		return nil, err
	}
	ring.layout = layout{Prefix: log.Subjects.Prefix(), Partitions: log.Subjects.Partitions()}
	accounts, err := ring.accounts(log)
	if err != nil {
		return nil, err
	}
	if err := ring.write(filepath.Join(dir, KeysDir)); err != nil {
		return nil, err
	}
	for _, name := range append(ring.roles(), systemName) {
		creds, err := ring.user(name, name, expires, now)
		if err != nil {
			return nil, err
		}
		if err := create(filepath.Join(dir, name+".creds"), creds); err != nil {
			return nil, err
		}
	}
	return made, create(filepath.Join(dir, AccountsFile), accounts)
}

// plan is what Make will make, or an error if something of it is there.
func plan(dir string) (made []File, err error) {
	roles, err := Roles()
	if err != nil {
		return nil, err
	}
	made = append(made, File{filepath.Join(dir, AccountsFile), "who may connect: beside server.conf or cluster.conf, which include it"})
	for _, r := range roles {
		made = append(made, File{filepath.Join(dir, r.Name+".creds"), r.What})
	}
	made = append(made,
		File{filepath.Join(dir, systemName+".creds"), "the system account: looks at the servers themselves, and can stop them"},
		File{filepath.Join(dir, KeysDir), "seeds: whoever has them makes users. Keep them where no server and no process reads them"})
	for _, f := range made {
		if _, err := os.Lstat(f.Path); err == nil {
			return nil, fmt.Errorf("%s is there already, and nothing is overwritten: choose another directory; to change what is there, see --renew", f.Path)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return made, nil
}

// AddUser makes one more user of a role with the keys of Make, in a file of its name. The
// servers need not be told.
func AddUser(keys, role, name, dir string, expires time.Duration, now time.Time) (File, error) {
	if name == "" || strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, ".") {
		return File{}, fmt.Errorf("%q is no name for a user: it becomes a file's, such as shop", name)
	}
	if _, err := find(role); err != nil && role != systemName {
		return File{}, err
	}
	ring, err := readKeyring(keys)
	if err != nil {
		return File{}, err
	}
	creds, err := ring.user(role, name, expires, now)
	if err != nil {
		return File{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return File{}, err
	}
	path := filepath.Join(dir, name+".creds")
	return File{path, "a user of the role " + role}, create(path, creds)
}

// AddMissing makes the users of Make whose files are not in a directory.
func AddMissing(keys, dir string, expires time.Duration, now time.Time) (made []File, err error) {
	ring, err := readKeyring(keys)
	if err != nil {
		return nil, err
	}
	for _, name := range append(ring.roles(), systemName) {
		if _, err := os.Lstat(filepath.Join(dir, name+".creds")); !errors.Is(err, os.ErrNotExist) {
			if err != nil {
				return nil, err
			}
			continue
		}
		f, err := AddUser(keys, name, name, dir, expires, now)
		if err != nil {
			return nil, err
		}
		made = append(made, f)
	}
	return made, nil
}

// Subjects are those that the keys of Make are for.
func Subjects(keys string) (wire.Subjects, error) {
	ring, err := readKeyring(keys)
	if err != nil {
		return wire.Subjects{}, err
	}
	s, err := wire.NewSubjects(ring.layout.Prefix)
	return s.Partitioned(ring.layout.Partitions), err
}

// Renew makes accounts.conf anew with the keys of Make, in place of the old one: with the
// permissions that this version asks for, for a log that may have another number of
// partitions, and without the users that are revoked, whose files are named. Users of
// before go on to count.
func Renew(keys, dir string, log Log, revoke []string, now time.Time) (File, error) {
	ring, err := readKeyring(keys)
	if err != nil {
		return File{}, err
	}
	if ring.layout.Prefix != log.Subjects.Prefix() {
		return File{}, fmt.Errorf("the keys are for the prefix %s, not %s: another log has an account of its own", ring.layout.Prefix, log.Subjects.Prefix())
	}
	ring.layout.Partitions = log.Subjects.Partitions()
	for _, path := range revoke {
		if err := ring.revoke(path, now); err != nil {
			return File{}, err
		}
	}
	if err := ring.completeRoles(keys); err != nil {
		return File{}, err
	}
	accounts, err := ring.accounts(log)
	if err != nil {
		return File{}, err
	}
	if err := ring.writeLayout(keys); err != nil {
		return File{}, err
	}
	path := filepath.Join(dir, AccountsFile)
	return File{path, "who may connect: give it to every nats-server, and `nats-server --signal reload`"}, replace(path, accounts)
}

// revoke notes a user whose token does not count any more.
func (k *keyring) revoke(path string, now time.Time) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	token, err := jwt.ParseDecoratedJWT(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return fmt.Errorf("%s is no user: %w", path, err)
	}
	// A user of the system account is signed by that account itself.
	of := map[string]bool{}
	for _, name := range []string{accountName, backendsName, systemName} {
		if pair := k.seeds[name]; pair != nil {
			key, err := pair.PublicKey()
			if err != nil {
				return err
			}
			of[key] = true
		}
	}
	if !of[claims.IssuerAccount] && (claims.IssuerAccount != "" || !of[claims.Issuer]) {
		return fmt.Errorf("%s is not of these keys", path)
	}
	if k.layout.Revoked == nil {
		k.layout.Revoked = map[string]int64{}
	}
	k.layout.Revoked[claims.Subject] = now.Unix()
	return nil
}

// user is the credentials file of a new user.
func (k *keyring) user(role, name string, expires time.Duration, now time.Time) ([]byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, err
	}
	claims := jwt.NewUserClaims(public)
	claims.Name = name
	signer := k.seeds[role]
	if signer == nil {
		return nil, fmt.Errorf("there is no key for the role %s: make accounts.conf anew with --renew first", role)
	}
	if role != systemName {
		account, err := accountOf(role)
		if err != nil {
			return nil, err
		}
		if claims.IssuerAccount, err = k.public(account); err != nil {
			return nil, err
		}
		claims.SetScoped(true) // what it may do is said by the account, of the key
	}
	if expires > 0 {
		claims.Expires = now.Add(expires).Unix()
	}
	token, err := claims.Encode(signer)
	if err != nil {
		return nil, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	return jwt.FormatUserConfig(token, seed)
}

// accountOf is the name of the account that a role belongs to.
func accountOf(role string) (string, error) {
	r, err := find(role)
	if err != nil || r.Account == "" {
		return accountName, err
	}
	return r.Account, nil
}

// roles are those that there are keys for, in order.
func (k *keyring) roles() (names []string) {
	for name := range k.seeds {
		if !slices.Contains([]string{operatorName, accountName, backendsName, systemName}, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
