package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/config"
	permissions "github.com/socialvibes/vibemesh/internal/credentials"
	"github.com/socialvibes/vibemesh/internal/doctor"
	"github.com/socialvibes/vibemesh/internal/mesh"
	"github.com/socialvibes/vibemesh/internal/wire"
)

type doctorCmd struct {
	Only string        `help:"Examine the server only, or NATS only." enum:"all,server,nats" default:"all" placeholder:"PART"`
	Idle time.Duration `help:"Also leave a session alone for so long, to see whether a proxy cuts it; longer than the edge's pings, such as 70s." placeholder:"TIME"`

	Token        string `help:"ID token of a person, to open a session with." from:"SV_TOKEN" placeholder:"TOKEN"`
	User         string `help:"Mint a development token for this user, for servers with WS_AUTH=dev; wins over --token." placeholder:"UID"`
	Project      string `help:"Firebase project that the token is to be of." from:"FIREBASE_PROJECT_ID" placeholder:"ID"`
	Claim        string `help:"Name of the claim that may publish." from:"WS_PUBLISH_CLAIM" default:"publisher" placeholder:"NAME"`
	Secret       string `help:"Shared secret of publishers." from:"SV_SECRET" placeholder:"SECRET"`
	SecretHeader string `help:"Header that carries the secret." from:"SV_SECRET_HEADER" default:"X-SV-KEY" placeholder:"NAME"`

	NATS         []string      `name:"nats" help:"Also examine NATS: URLs of its servers, a comma list; each is examined." from:"WS_NATS_URL" placeholder:"URL"`
	Creds        string        `help:"NATS credentials file." from:"WS_NATS_CREDS" placeholder:"FILE" type:"path"`
	NATSCA       string        `name:"nats-ca" help:"Authorities in PEM that have signed the certificates of the NATS servers." from:"WS_NATS_CA" placeholder:"FILE" type:"path"`
	NATSCert     string        `name:"nats-cert" help:"Certificate in PEM that NATS asks for, where it does." from:"WS_NATS_CERT" placeholder:"FILE" type:"path"`
	NATSKey      string        `name:"nats-key" help:"Its private key in PEM." from:"WS_NATS_KEY" placeholder:"FILE" type:"path"`
	Role         string        `help:"Whose rights to try, such as backend, edge or operator; left out: as the credentials say, or backend." placeholder:"ROLE"`
	Prefix       string        `help:"First token of every subject." from:"WS_SUBJECT_PREFIX" default:"sv" placeholder:"PREFIX"`
	Partitions   int           `help:"Partitions of the log." from:"WS_PARTITIONS" default:"1" placeholder:"N"`
	Replicas     int           `help:"Replicas that the log is to have; 0: any." from:"WS_REPLICAS" default:"0" placeholder:"N"`
	HistoryAge   time.Duration `help:"How long the log is to keep a message; 0: any time." from:"WS_HISTORY_AGE" default:"0" placeholder:"TIME"`
	HistoryBytes config.Bytes  `help:"Most bytes that the log is to keep, such as 50GiB; 0: any." from:"WS_HISTORY_BYTES" default:"0" placeholder:"SIZE"`
}

func (c *doctorCmd) check() error {
	for _, v := range []struct{ flag, value string }{
		{"--secret (SV_SECRET)", c.Secret}, {"--secret-header (SV_SECRET_HEADER)", c.SecretHeader}, {"--token (SV_TOKEN)", strings.TrimSpace(c.Token)},
	} {
		if err := oneLine(v.flag, v.value); err != nil {
			return err
		}
	}
	switch {
	case c.Only == "nats" && len(c.NATS) == 0:
		return usage("--only nats needs --nats (WS_NATS_URL)")
	case c.Idle < 0:
		return usage("--idle=%v must not be negative", c.Idle)
	case c.Partitions < 1 || c.Partitions > 256:
		return usage("--partitions=%d must be 1 to 256", c.Partitions)
	case (c.NATSCert == "") != (c.NATSKey == ""):
		return usage("--nats-cert and --nats-key go together")
	}
	return nil
}

// Run makes the checks and prints each as it is done.
func (c *doctorCmd) Run(ctx context.Context, w world, g globals) error {
	if err := c.check(); err != nil {
		return err
	}
	subjects, err := wire.NewSubjects(c.Prefix)
	if err != nil {
		return usage("--prefix: %v", err)
	}
	found := &findings{w: w, g: g, Results: []doctor.Result{}}
	if c.Only != "nats" {
		if err := c.server(ctx, w, g, found.take); err != nil {
			return err
		}
	}
	if c.Only != "server" && len(c.NATS) > 0 {
		roles, err := permissions.Roles()
		if err != nil {
			return err
		}
		e := mesh.Examination{
			URLs: c.NATS, Creds: c.Creds, TLS: mesh.TLSFiles{CA: c.NATSCA, Cert: c.NATSCert, Key: c.NATSKey}, Role: c.Role,
			Subjects: subjects.Partitioned(c.Partitions), Now: w.now, Timeout: g.Timeout,
			Log: mesh.LogSettings{Replicas: c.Replicas, MaxAge: c.HistoryAge, MaxBytes: int64(c.HistoryBytes)},
			Rights: func(role string) (publish, subscribe []string, err error) {
				a, err := permissions.Permissions(role, subjects.Partitioned(c.Partitions))
				return a.Publish, a.Subscribe, err
			},
		}
		for _, r := range roles {
			e.Roles = append(e.Roles, r.Name)
		}
		mesh.Examine(ctx, e, func(f mesh.Finding) { found.take(doctor.Result(f)) })
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return found.close()
}

// server examines what is behind --url.
func (c *doctorCmd) server(ctx context.Context, w world, g globals, tell func(doctor.Result)) error {
	cfg := doctor.Config{
		URL: g.URL, Token: strings.TrimSpace(c.Token), Secret: c.Secret, SecretHeader: c.SecretHeader, Project: c.Project,
		PublishClaim: c.Claim, Idle: c.Idle, Timeout: g.Timeout, Now: w.now,
	}
	if c.User != "" {
		token, err := auth.MintDev(auth.DevClaims{UID: c.User, ProjectID: c.Project, TTL: time.Hour}, w.now())
		if err != nil {
			return usage("--user: %v", err)
		}
		cfg.Token = token
	}
	doctor.Run(ctx, cfg, tell)
	return nil
}

// findings are printed as they come, or all at the end as one document.
type findings struct {
	w       world
	g       globals
	printed error // why it could not be

	OK      bool            `json:"ok"` // nothing has failed
	Results []doctor.Result `json:"checks"`
	failed  int
	warned  int
}

const checkWidth = 20 // of most names of checks

func (f *findings) take(r doctor.Result) {
	f.Results = append(f.Results, r)
	colour := map[string]string{doctor.OK: green, doctor.Warn: yellow, doctor.Fail: red}[r.State]
	switch r.State {
	case doctor.Warn:
		f.warned++
	case doctor.Fail:
		f.failed++
	case doctor.Skip:
		colour = dim
	}
	if f.g.JSON || f.printed != nil {
		return
	}
	space := strings.Repeat(" ", max(checkWidth-utf8.RuneCountInString(r.Check), 0))
	line := f.w.paint(colour, fmt.Sprintf("%-4s", r.State)) + "  " + f.w.paint(bold, clean(r.Check)) + space + "  " + clean(r.Text)
	if r.Fix != "" {
		line += "\n      " + f.w.paint(colour, "→") + " " + clean(r.Fix)
	}
	f.printed = say(f.w, line)
}

// close says how it went. That something has failed is an error.
func (f *findings) close() error {
	if f.OK = f.failed == 0; f.g.JSON {
		f.printed = printJSON(f.w, f)
	}
	switch {
	case f.printed != nil:
		return f.printed
	case f.failed > 0:
		return fmt.Errorf("%s failed, with %s", plural(f.failed, "check"), plural(f.warned, "warning"))
	case f.g.JSON:
		return nil
	case f.warned > 0:
		return say(f.w, "nothing has failed, with "+plural(f.warned, "warning"))
	}
	return say(f.w, "all is well")
}
