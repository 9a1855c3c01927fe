package mesh

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// Examination says what to examine of NATS, and as whom.
type Examination struct {
	URLs     []string // each is examined by itself
	Creds    string   // file, or empty
	TLS      TLSFiles
	Role     string // whose rights are tried; empty: that of the credentials, or backend
	Subjects wire.Subjects
	Log      LogSettings

	Roles  []string // that there are
	Rights func(role string) (publish, subscribe []string, err error)

	Now     func() time.Time
	Timeout time.Duration // for one answer
}

// LogSettings are what is known of the settings of the log; what is zero is as it is
// found. Replicas and such as WS_REPLICAS has them.
type LogSettings struct {
	Replicas int
	MaxAge   time.Duration
	MaxBytes int64
}

// Finding is the result of one check. State is ok, warn, fail or skip; Fix says what to
// do if it is warn or fail.
type Finding struct{ Check, State, Text, Fix string }

// The states of a finding. A check is skipped if one before has failed that it needs.
const (
	FindingOK   = "ok"
	FindingWarn = "warn"
	FindingFail = "fail"
	FindingSkip = "skip"
)

const (
	oldestNATS   = "2.12"              // atomic batches, schedules
	soon         = 14 * 24 * time.Hour // a certificate or credentials end
	clockWarning = time.Second
	clockFailure = time.Minute
	leastPayload = 128 << 10 // bytes: an envelope and its headers
)

// Examine looks at NATS as one of its users, changes nothing and stores nothing. It
// tells each finding as it comes.
func Examine(ctx context.Context, cfg Examination, tell func(Finding)) {
	e := &examiner{cfg: cfg, tell: tell, role: cmp.Or(cfg.Role, "backend"), sure: cfg.Role != ""}
	if !e.credentials() {
		return
	}
	for _, u := range cfg.URLs {
		nc := e.connect(u)
		if nc == nil {
			continue
		}
		if e.nc == nil {
			e.nc = nc
			defer nc.Close()
		} else {
			nc.Close()
		}
	}
	if e.nc == nil {
		for _, check := range []string{"nats jetstream", "nats rights", "nats streams", "nats clock"} {
			e.skip(check, "no server lets this user in")
		}
		return
	}
	streams, err := jetstream.New(e.nc)
	if err != nil {
		e.fail("nats jetstream", err.Error(), "")
		return
	}
	nc := &conn{Conn: e.nc}
	e.mesh = &Mesh{cfg: Config{URLs: cfg.URLs, Subjects: cfg.Subjects}, log: slog.New(slog.DiscardHandler), pub: &link{nc, js{streams, nc}}}
	e.findRole(ctx)
	if !e.jetStream(ctx) {
		e.skip("nats streams", "there is no JetStream")
		return
	}
	e.rights(ctx)
	e.streams(ctx)
}

// examiner is one examination under way.
type examiner struct {
	cfg  Examination
	tell func(Finding)
	role string
	sure bool  // that it is this role
	open bool  // there are no credentials, and the server asks for none
	mesh *Mesh // with the publishing connection alone
	nc   *nats.Conn
}

func (e *examiner) ok(check, format string, args ...any) {
	e.tell(Finding{Check: check, State: FindingOK, Text: fmt.Sprintf(format, args...)})
}

func (e *examiner) skip(check, why string) {
	e.tell(Finding{Check: check, State: FindingSkip, Text: why})
}

func (e *examiner) warn(check, text, fix string) {
	e.tell(Finding{check, FindingWarn, text, fix})
}

func (e *examiner) fail(check, text, fix string) {
	e.tell(Finding{check, FindingFail, text, fix})
}

func untilText(expires int64) string {
	if expires == 0 {
		return ", without an end"
	}
	return ", until " + time.Unix(expires, 0).UTC().Format(time.RFC3339)
}

// credentials looks at the file without a server: whose it is, and until when.
func (e *examiner) credentials() bool {
	if e.cfg.Creds == "" {
		return true
	}
	const check, again = "nats creds", "make a new one with `vibemesh credentials`, or the tool that made this one"
	claims, err := readUser(e.cfg.Creds)
	switch {
	case errors.Is(err, errNoCredentials), errors.Is(err, errUnreadable):
		e.fail(check, e.cfg.Creds+" "+err.Error(), again)
		return false
	case err != nil:
		e.fail(check, err.Error(), "give the credentials file as --creds, readable for this user")
		return false
	}
	if slices.Contains(e.cfg.Roles, claims.Name) && e.cfg.Role == "" {
		e.role, e.sure = claims.Name, true
	}
	until, left := time.Unix(claims.Expires, 0), time.Duration(0)
	if claims.Expires > 0 {
		left = until.Sub(e.cfg.Now())
	}
	switch {
	case claims.Expires > 0 && left <= 0:
		e.fail(check, fmt.Sprintf("the credentials of %s ended on %s", claims.Name, until.UTC().Format(time.RFC3339)), again)
		return false
	case claims.Expires > 0 && left < soon:
		e.warn(check, fmt.Sprintf("the credentials of %s end on %s", claims.Name, until.UTC().Format(time.RFC3339)), again)
	default:
		e.ok(check, "they are those of %s%s", claims.Name, untilText(claims.Expires))
	}
	return true
}

func (e *examiner) options() []nats.Option {
	opts := []nats.Option{
		nats.Name("vibemesh doctor"), nats.NoReconnect(),
		nats.Timeout(e.cfg.Timeout), nats.IgnoreDiscoveredServers(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // it is asked for as LastError
	}
	if e.cfg.Creds != "" {
		opts = append(opts, nats.UserCredentials(e.cfg.Creds))
	}
	return append(opts, e.cfg.TLS.options()...)
}

// connect tries one server, and looks at what it says of itself.
func (e *examiner) connect(server string) *nats.Conn {
	check := "nats " + hostOf(server)
	begun := time.Now()
	nc, err := nats.Connect(server, e.options()...)
	if _, bad := errors.AsType[*url.Error](err); bad { // it repeats the URL
		e.fail(check, "this is no URL", "write it like nats://nats-0:4222; in a name or password, write %25 for %, and so on")
		return nil
	}
	if err != nil {
		e.fail(check, err.Error(), remedy(err))
		return nil
	}
	took := time.Since(begun)
	version := nc.ConnectedServerVersion()
	if !atLeast(version, oldestNATS) {
		e.fail(check, fmt.Sprintf("%s is nats-server %s", nc.ConnectedServerName(), version), "run nats-server "+oldestNATS+" or newer: the log needs its atomic batches and schedules")
		nc.Close()
		return nil
	}
	how := "without TLS"
	if state, err := nc.TLSConnectionState(); err == nil {
		how = tls.VersionName(state.Version)
		if leaf := state.PeerCertificates[0]; leaf.NotAfter.Sub(e.cfg.Now()) < soon {
			e.warn(check+" tls", "its certificate expires on "+leaf.NotAfter.UTC().Format(time.RFC3339), "renew it, then `nats-server --signal reload`")
		}
	}
	e.open = e.cfg.Creds == "" && !nc.AuthRequired()
	e.ok(check, "%s, nats-server %s, %s, connected in %v", nc.ConnectedServerName(), version, how, took.Round(100*time.Microsecond))
	if e.open {
		e.warn(check, "it asks nobody who they are", "give it accounts (nats/server.conf, `vibemesh credentials`), unless only this machine can reach it")
	}
	if n := nc.MaxPayload(); n < leastPayload {
		e.fail(check, fmt.Sprintf("max_payload is %d bytes", n), fmt.Sprintf("set max_payload to %d or more in its configuration: an envelope has up to 64 KiB, and headers", leastPayload))
	}
	return nc
}

// hostOf is a server's URL without what it may tell of the user.
func hostOf(server string) string {
	if u, err := url.Parse(server); err == nil && u.Host != "" {
		return u.Host
	}
	return server[strings.LastIndexByte(server, '@')+1:] // one without a scheme, or no URL at all
}

// remedy says what to do about a server that does not let us in.
func remedy(err error) string {
	var (
		dns     *net.DNSError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		op      *net.OpError
	)
	switch text := strings.ToLower(err.Error()); {
	case errors.As(err, &dns):
		return "there is no such host name: look at --nats (WS_NATS_URL) and at the DNS of this machine"
	case errors.As(err, &unknown):
		return "give the authority that signed the server's certificate: --nats-ca"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the server's certificate (or set this machine's clock), then `nats-server --signal reload`"
	case errors.As(err, &name):
		return "connect by a name that is in the server's certificate, or issue one for this name"
	case strings.Contains(text, "certificate required"), strings.Contains(text, "bad certificate"):
		return "the server asks for a client certificate: --nats-cert and --nats-key"
	case errors.Is(err, nats.ErrSecureConnRequired):
		return "the server speaks TLS only: write tls:// in the URL"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "the server has no TLS: give it some (nats/tls.conf), or write nats:// in the URL and leave out --nats-ca"
	case errors.Is(err, nats.ErrAuthExpired), strings.Contains(text, "expired"):
		return "make new credentials with `vibemesh credentials`"
	case errors.Is(err, nats.ErrAuthorization), strings.Contains(text, "authorization"):
		return "the server does not know this user: give --creds of an account that it has (accounts.conf is made together with them)"
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, os.ErrDeadlineExceeded):
		return "nothing answers there: look at firewalls and network policies between here and the server"
	case errors.As(err, &op), errors.Is(err, nats.ErrNoServers):
		return "is nats-server running there, and its port (4222) in the URL?"
	}
	return "look at --nats (WS_NATS_URL) and at the server's log"
}

// atLeast compares versions such as 2.15.2 by their first two numbers.
func atLeast(version, least string) bool {
	var a, b, c, d int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return false
	}
	_, err := fmt.Sscanf(least, "%d.%d", &c, &d)
	return err == nil && (a > c || a == c && b >= d)
}
