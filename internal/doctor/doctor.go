// Package doctor finds what is wrong between a machine and a mesh: it looks at each step
// that a client and a publisher take, and says what to do about the first that fails.
// It changes nothing and publishes nothing.
package doctor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Config says what to examine.
type Config struct {
	URL          string // base of the server: http or https
	Token        string // of a person, or empty
	Secret       string // of publishers, or empty
	SecretHeader string // that carries it
	Project      string // that the token is to be for; empty: any
	PublishClaim string // that the token needs to publish
	// Idle is how long to leave a session alone, to see whether something between cuts it;
	// 0: not.
	Idle    time.Duration
	Timeout time.Duration // for one answer
	Now     func() time.Time
	// Resolve finds the addresses of a host; nil: as the system does.
	Resolve func(ctx context.Context, host string) ([]string, error)
}

// Result is that of one check.
type Result struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warn, fail or skip
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do, for warn and fail
}

// The states of a result. A check is skipped if it needs what was not given, or one that
// has failed.
const (
	OK   = "ok"
	Warn = "warn"
	Fail = "fail"
	Skip = "skip"
)

// soon is how long before its end a certificate is warned of.
const soon = 14 * 24 * time.Hour

// Run makes all checks and tells each result as it comes.
func Run(ctx context.Context, cfg Config, tell func(Result)) {
	if cfg.Resolve == nil {
		cfg.Resolve = net.DefaultResolver.LookupHost
	}
	d := &doctor{Config: cfg, tell: tell}
	reached := d.address() && d.resolves(ctx) && d.connects(ctx) && d.secure(ctx)
	if reached {
		d.talks(ctx)
	} else {
		d.skip("http", "the server is out of reach")
		d.skip("clock", "the server is out of reach")
	}
	good := d.token()
	switch {
	case !reached:
		d.skip("upgrade", "the server is out of reach")
		d.skip("publish", "the server is out of reach")
		return
	case d.Token != "" && !good:
		d.skip("upgrade", "the token is wrong")
	default:
		d.upgrades(ctx)
	}
	d.publishes(ctx, good)
	d.stays(ctx)
}

// doctor is one examination under way.
type doctor struct {
	Config
	tell func(Result)

	base      *url.URL
	addresses []string     // host:port of each that takes connections
	http      *http.Client // to the first of them
	mayToken  bool         // the token has the publish claim
	session   *opened      // that Idle is tried with; nil: none could be opened
}

func (d *doctor) ok(check, format string, args ...any) {
	d.tell(Result{Check: check, State: OK, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) skip(check, why string) { d.tell(Result{Check: check, State: Skip, Text: why}) }

func (d *doctor) warn(check, text, fix string) { d.tell(Result{check, Warn, text, fix}) }

func (d *doctor) fail(check, text, fix string) { d.tell(Result{check, Fail, text, fix}) }
