package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"
)

// The keys that are no role's. A role is called operator, too: the key of the operator of
// NATS has another name.
const (
	operatorName = "root"
	accountName  = "account"
	backendsName = "backends" // the account apart, as permissions.json calls it
	systemName   = "sys"
)

// layoutFile remembers beside the keys what accounts.conf was made for.
const layoutFile = "layout.json"

type layout struct {
	Prefix     string            `json:"prefix"`
	Partitions int               `json:"partitions"`
	Operator   string            `json:"operator"`           // its token: a server that runs takes no other one
	Accounts   map[string]string `json:"accounts,omitempty"` // their public keys, which a user of a role names
	Revoked    map[string]int64  `json:"revoked,omitempty"`  // by the user's key: since when, in seconds since 1970
}

// keyring is the seeds, by name: those above, and of each role the account's signing key.
type keyring struct {
	seeds  map[string]nkeys.KeyPair
	layout layout
}

func newKeyring() (*keyring, error) {
	k := &keyring{seeds: map[string]nkeys.KeyPair{}}
	var err error
	if k.seeds[operatorName], err = nkeys.CreateOperator(); err != nil {
		return nil, err
	}
	for _, name := range []string{accountName, backendsName, systemName} {
		if k.seeds[name], err = nkeys.CreateAccount(); err != nil {
			return nil, err
		}
	}
	roles, err := Roles()
	if err != nil {
		return nil, err
	}
	for _, r := range roles {
		if k.seeds[r.Name], err = nkeys.CreateAccount(); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// completeRoles makes keys for roles that did not exist when the others were made.
func (k *keyring) completeRoles(dir string) error {
	roles, err := Roles()
	if err != nil {
		return err
	}
	for _, r := range roles {
		if k.seeds[r.Name] != nil {
			continue
		}
		if k.seeds[r.Name], err = nkeys.CreateAccount(); err != nil {
			return err
		}
		if err := writeSeed(dir, r.Name, k.seeds[r.Name]); err != nil {
			return err
		}
	}
	return nil
}

// public is the public key of an account: whoever makes users of a role needs it, and not
// the seed, with which a user could be made who may do all.
func (k *keyring) public(account string) (string, error) {
	if key := k.layout.Accounts[account]; key != "" {
		return key, nil
	}
	if k.seeds[account] == nil { // keys of before the layout had it
		return "", fmt.Errorf("%s does not have the account %s: make accounts.conf anew with --renew first", layoutFile, account)
	}
	return k.seeds[account].PublicKey()
}

// write makes the directory of the keys, whole or not at all: nobody could go on with half.
// Of several at once one makes it.
func (k *keyring) write(dir string) (err error) {
	above := filepath.Dir(dir)
	if err := os.MkdirAll(above, 0o700); err != nil {
		return err
	}
	own, err := os.MkdirTemp(above, ".half-"+filepath.Base(dir)+"-*") // of mode 0700
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(own))
		}
	}()
	for name, pair := range k.seeds {
		if err := writeSeed(own, name, pair); err != nil {
			return err
		}
	}
	if err := k.writeLayout(own); err != nil {
		return err
	}
	return os.Rename(own, dir) // which takes no place of one that holds something
}

func writeSeed(dir, name string, pair nkeys.KeyPair) error {
	seed, err := pair.Seed()
	if err != nil {
		return err
	}
	return create(filepath.Join(dir, name+".nk"), append(seed, '\n'))
}

func (k *keyring) writeLayout(dir string) error {
	text, err := json.MarshalIndent(k.layout, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, layoutFile), append(text, '\n'))
}

// readKeyring reads the seeds that are in a directory: for a user of a role, that of the
// role is enough.
func readKeyring(dir string) (*keyring, error) {
	k := &keyring{seeds: map[string]nkeys.KeyPair{}}
	text, err := os.ReadFile(filepath.Join(dir, layoutFile))
	if err != nil {
		return nil, fmt.Errorf("%s is no directory of keys that `vibemesh credentials` made: %w", dir, err)
	}
	if err := json.Unmarshal(text, &k.layout); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, layoutFile), err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.nk"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		seed, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(string(seed))))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		k.seeds[strings.TrimSuffix(filepath.Base(path), ".nk")] = pair
	}
	return k, nil
}

// create writes a file that was not there, for its owner alone: whole, or not at all.
func create(path string, text []byte) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already, and nothing is overwritten", path)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return replace(path, text)
}

// replace writes a file whole, or leaves the old one.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
