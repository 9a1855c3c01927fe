package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/socialvibes/vibemesh/internal/credentials"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// credentialsCommand has settings of its own: it reaches no NATS, and whoever runs it may
// have no settings of the mesh.
type credentialsCommand struct {
	Out        string        `placeholder:"DIR" type:"path" help:"Where the files go; it is made."`
	Prefix     string        `env:"WS_SUBJECT_PREFIX" default:"sv" help:"First token of every NATS subject."`
	Partitions int           `env:"WS_PARTITIONS" placeholder:"N" help:"Partitions of the log; default: 1, or with --renew as before."`
	Expires    time.Duration `placeholder:"DURATION" help:"How long users count, such as 2160h; default: for ever."`

	Keys string `placeholder:"DIR" type:"path" help:"The keys that were made before: for one more user, or --renew."`
	Role string `placeholder:"ROLE" help:"Make one more user of this role: backend, topics, edge, api, provision, run, operator or backup."`
	Name string `placeholder:"NAME" help:"The name of that user, and of its file; default: the role's."`

	Keep   bool     `help:"If --out has keys already, keep them and the users, and do as --renew; for what runs at each start."`
	Renew  bool     `help:"Make accounts.conf anew in --out, for this version of vibemesh, or --partitions, or without those who are revoked."`
	Revoke []string `placeholder:"FILE" type:"path" help:"With --renew: credentials files that count no more, a comma list."`
}

// Validate implements kong's check of a command's flags.
func (c *credentialsCommand) Validate() error {
	switch {
	case c.Renew && c.Keys == "", c.Role != "" && c.Keys == "":
		return errors.New("--keys is missing: name the directory keys of what `vibemesh credentials` made before")
	case c.Keys != "" && c.Role == "" && !c.Renew:
		return errors.New("--keys goes with --role, for one more user, or with --renew")
	case c.Role != "" && c.Renew:
		return errors.New("--role and --renew are two things: do one after the other")
	case len(c.Revoke) > 0 && !c.Renew:
		return errors.New("--revoke goes with --renew")
	case c.Keep && (c.Keys != "" || c.Role != ""):
		return errors.New("--keep finds the keys in --out: leave --keys and --role away")
	case c.Name != "" && c.Role == "":
		return errors.New("--name goes with --role")
	case c.Out == "":
		return errors.New("--out is missing: name a directory for the files")
	case c.Expires < 0:
		return errors.New("--expires is in the past")
	case c.Partitions < 0 || c.Partitions > 256:
		return fmt.Errorf("--partitions %d: a log has from 1 to 256", c.Partitions)
	}
	if _, err := wire.NewSubjects(c.Prefix); err != nil || c.Prefix == "" {
		return fmt.Errorf("--prefix %q: use letters, digits, _ and -, in tokens separated by dots, such as sv or acme.sv", c.Prefix)
	}
	return nil
}

// makeCredentials says what it made, and what comes next.
func makeCredentials(c *credentialsCommand, stdout, stderr io.Writer) int {
	made, next, err := c.make(time.Now())
	if err != nil {
		fmt.Fprintf(stderr, "vibemesh: %v\n", err)
		return 1
	}
	for _, f := range made {
		fmt.Fprintf(stdout, "%s\n    %s\n", f.Path, f.What)
	}
	fmt.Fprintln(stdout, "\nNext:")
	for _, command := range next {
		fmt.Fprintf(stdout, "    %s\n", command)
	}
	return 0
}

func (c *credentialsCommand) make(now time.Time) (made []credentials.File, next []string, err error) {
	if keys := filepath.Join(c.Out, credentials.KeysDir); c.Keep {
		if _, err := os.Stat(keys); err == nil {
			c.Keys, c.Renew = keys, true
		}
	}
	switch {
	case c.Role != "":
		name := c.Name
		if name == "" {
			name = c.Role
		}
		f, err := credentials.AddUser(c.Keys, c.Role, name, c.Out, c.Expires, now)
		if err != nil {
			return nil, nil, err
		}
		return []credentials.File{f}, []string{
			fmt.Sprintf("nats context save %s --creds %s --inbox-prefix _INBOX_%s --server nats://HOST:4222", name, f.Path, c.Role),
			fmt.Sprintf("vibemesh credentials --renew --keys %s --out %s --revoke %s   # when it is to count no more", c.Keys, filepath.Dir(c.Keys), f.Path),
		}, nil
	case c.Renew:
		log, err := c.renewed()
		if err != nil {
			return nil, nil, err
		}
		f, err := credentials.Renew(c.Keys, c.Out, log, c.Revoke, now)
		if err != nil {
			return nil, nil, err
		}
		made = []credentials.File{f}
		if c.Keep {
			// The start at which they were made may not have come to its end.
			more, err := credentials.AddMissing(c.Keys, c.Out, c.Expires, now)
			if err != nil {
				return nil, nil, err
			}
			made = append(made, more...)
		}
		return made, []string{
			"nats-server -t -c cluster.conf         # on every server, beside the new accounts.conf",
			"nats-server --signal reload            # on every server",
		}, nil
	}
	log, err := logOf(c.Prefix, max(c.Partitions, 1))
	if err != nil {
		return nil, nil, err
	}
	made, err = credentials.Make(c.Out, log, c.Expires, now)
	return made, []string{
		"nats-server -c server.conf             # or cluster.conf, with " + credentials.AccountsFile + " beside it",
		fmt.Sprintf("vibemesh provision --ws-nats-url=nats://HOST:4222 --ws-nats-creds=%s --ws-partitions=%d", filepath.Join(c.Out, "provision.creds"), log.Subjects.Partitions()),
	}, err
}

// renewed is the log that accounts.conf is made anew for: that of before, unless its
// number of partitions is given.
func (c *credentialsCommand) renewed() (credentials.Log, error) {
	before, err := credentials.Subjects(c.Keys)
	if err != nil {
		return credentials.Log{}, err
	}
	partitions := c.Partitions
	if partitions == 0 {
		partitions = before.Partitions()
	}
	return logOf(before.Prefix(), partitions)
}

func logOf(prefix string, partitions int) (credentials.Log, error) {
	s, err := wire.NewSubjects(prefix)
	s = s.Partitioned(partitions)
	return credentials.Log{Subjects: s}, err
}
