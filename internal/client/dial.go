package client

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// Path is where an edge takes sessions, below the base URL.
const Path = "/api/v1/ws"

// DefaultDialTimeout bounds connecting and upgrading when Options name no other.
const DefaultDialTimeout = 15 * time.Second

// maxRefusal bounds what is kept of the body of a refused upgrade, in bytes.
const maxRefusal = 64 << 10

// TokenIn is where the connect request carries the token.
type TokenIn int

// A header keeps the token out of access logs; the others are for what stands
// between client and edge and does not pass it on.
const (
	TokenHeader      TokenIn = iota // Authorization: Bearer <token>
	TokenQuery                      // ?token=<token>
	TokenSubprotocol                // Sec-WebSocket-Protocol: vibemesh.v1, bearer.<token>
)

// Options say which session to open. Only URL is required.
type Options struct {
	URL     string      // base of the server: http, https, ws or wss
	Token   string      // Firebase ID token; Follow takes it from its source
	TokenIn TokenIn     // where the token travels
	Cursor  string      // of the last frame handled; empty: a new client
	Topics  []string    // joined while connecting
	Replay  int         // the last N events for a new client; ignored with a cursor
	Unread  bool        // hello is to say how many events are unread
	Header  http.Header // further headers of the upgrade, such as Origin

	DialTimeout time.Duration // connect and upgrade; 0: DefaultDialTimeout

	// OnRetry, when set, hears why Follow comes back and how long it waits first.
	OnRetry func(reason error, wait time.Duration)

	netDial func(ctx context.Context, network, addr string) (net.Conn, error) // tests
}

// Dial opens a session. Its error is an *UpgradeError when the server answered
// with anything but 101. The first frame of the session is still to be read.
func Dial(ctx context.Context, opts Options) (*Conn, error) {
	u, err := opts.connectURL()
	if err != nil {
		return nil, err
	}
	var refused *UpgradeError
	d := ws.Dialer{
		Timeout: cmp.Or(opts.DialTimeout, DefaultDialTimeout),
		NetDial: opts.netDial,
		Header:  ws.HandshakeHeaderHTTP(opts.header()),
		OnStatusError: func(status int, _ []byte, resp io.Reader) {
			refused = readRefusal(status, resp)
		},
	}
	if opts.TokenIn == TokenSubprotocol && opts.Token != "" {
		d.Protocols = []string{"vibemesh.v1", "bearer." + opts.Token}
	}
	nc, br, _, err := d.Dial(ctx, u)
	switch {
	case refused != nil:
		return nil, refused
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("client: connecting: %w", err)
	}
	if br == nil { // otherwise it holds what came right behind the answer
		br = bufio.NewReaderSize(nc, 4096)
	}
	return &Conn{nc: nc, br: br}, nil
}

// connectURL is the whole URL of the upgrade.
func (o *Options) connectURL() (string, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("client: %.200q is not a server URL; it looks like http://127.0.0.1:8080", o.URL)
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("client: scheme %.40q of the server URL is none of http, https, ws, wss", u.Scheme)
	}
	// No character of a JWT needs escaping; one that does would end up in a header.
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("client: the token contains a space, a line end or a character that is not ASCII")
	}
	if !strings.HasSuffix(u.Path, Path) {
		u.Path = strings.TrimRight(u.Path, "/") + Path
	}
	u.User, u.Fragment = nil, ""
	q := u.Query()
	if o.TokenIn == TokenQuery && o.Token != "" {
		q.Set("token", o.Token)
	}
	if len(o.Topics) > 0 {
		q.Set("topics", strings.Join(o.Topics, ","))
	}
	if o.Cursor != "" {
		q.Set("cursor", o.Cursor)
	} else if o.Replay > 0 {
		q.Set("replay", strconv.Itoa(o.Replay))
	}
	if o.Unread {
		q.Set("unread", "1")
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func (o *Options) header() http.Header {
	h := o.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if o.TokenIn == TokenHeader && o.Token != "" {
		h.Set("Authorization", "Bearer "+o.Token)
	}
	return h
}

// readRefusal keeps what an HTTP answer says; whatever of it is broken is left out.
func readRefusal(status int, resp io.Reader) *UpgradeError {
	e := &UpgradeError{Status: status}
	r, err := http.ReadResponse(bufio.NewReader(io.LimitReader(resp, 2*maxRefusal)), nil)
	if err != nil {
		return e
	}
	defer r.Body.Close()
	e.RetryAfter = parseRetryAfter(r.Header.Get("Retry-After"), time.Now())
	e.Body, _ = io.ReadAll(io.LimitReader(r.Body, maxRefusal)) // what came is better than nothing
	return e
}

// parseRetryAfter reads either form of RFC 9110, 10.2.3: seconds or a date.
func parseRetryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
