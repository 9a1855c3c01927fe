package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 8 << 20

// answer is an HTTP answer that has been read.
type answer struct {
	status        int
	header        http.Header
	body          []byte
	before, after time.Time
}

// get asks for a path. Redirects are not followed: they would take a secret elsewhere.
func (d *doctor) get(ctx context.Context, path string, header http.Header) (*answer, error) {
	if d.http == nil {
		dialer := net.Dialer{Timeout: d.Timeout}
		d.http = &http.Client{
			Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", d.addresses[0]) // as it was looked up
			}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(d.URL, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	a := &answer{before: d.Now()}
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a.after, a.status, a.header = d.Now(), resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return a, err
}

// talks asks for the description of the API, and for the time.
func (d *doctor) talks(ctx context.Context) {
	const check = "http"
	a, err := d.get(ctx, "/openapi.json", nil)
	if err != nil {
		fix := "look at the log of the server, and of the proxy before it"
		if strings.Contains(err.Error(), "malformed HTTP") {
			fix = "this port speaks something else: TLS (write https:// in --url), or it is another service's"
		}
		d.fail(check, err.Error(), fix)
		d.skip("clock", "there was no answer")
		return
	}
	var doc struct {
		Info struct{ Title, Version string }
	}
	known := json.Unmarshal(a.body, &doc) == nil && doc.Info.Title == "Vibemesh"
	switch {
	case a.status == http.StatusOK && known:
		d.ok(check, "Vibemesh %s", doc.Info.Version)
	case a.status >= 300 && a.status < 400:
		d.fail(check, fmt.Sprintf("%d: it sends to %s", a.status, a.header.Get("Location")), "give where it sends to as --url (SV_URL)")
	case a.status == http.StatusBadRequest && strings.Contains(string(a.body), "HTTPS"):
		d.fail(check, "the port speaks TLS", "write https:// in --url")
	case a.status == http.StatusNotFound:
		d.warn(check, "there is no /openapi.json", "is --url the base URL? Below a host, send /api/v1/ws to the edges, and all other paths to the APIs")
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		d.fail(check, fmt.Sprintf("%d: something before the mesh asks who you are", a.status), "let the paths of Vibemesh through: it asks for tokens itself")
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		d.fail(check, fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), "a proxy has no server behind it: are the pods ready (/readyz), and the ports right?")
	default:
		d.fail(check, fmt.Sprintf("the answer (%d) is not Vibemesh's", a.status), "is --url (SV_URL) the base URL of a Vibemesh?")
	}
	d.clock(a)
}

const (
	clockWarning = 2 * time.Second // a Date header has whole seconds
	clockFailure = 5 * time.Minute // tokens from further ahead are refused
)

// clock compares the time of an answer with ours.
func (d *doctor) clock(a *answer) {
	const check = "clock"
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		d.skip(check, "the answer has no time")
		return
	}
	took := a.after.Sub(a.before)
	off := date.Add(500 * time.Millisecond).Sub(a.before.Add(took / 2)).Round(time.Second)
	text := fmt.Sprintf("the server's is %v ahead of this machine's", off)
	if off < 0 {
		text = fmt.Sprintf("the server's is %v behind this machine's", -off)
	}
	const fix = "set the clock that is wrong by NTP (chrony, systemd-timesyncd): tokens and schedules count by it"
	switch off = off.Abs(); {
	case off >= clockFailure:
		d.fail(check, text, fix)
	case off > clockWarning+took/2:
		d.warn(check, text, fix)
	default:
		d.ok(check, "the server's and this machine's agree within %v", clockWarning)
	}
}
