package doctor

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// address looks at the URL itself.
func (d *doctor) address() bool {
	const check = "url"
	u, err := url.Parse(d.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		d.fail(check, d.URL+" is not a server's URL", "it looks like https://mesh.example.org")
		return false
	}
	d.base = u
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsPrivate())
	if u.Scheme == "http" && !local {
		d.warn(check, u.Redacted()+" is without TLS: tokens and secrets can be read on the way", "use https://, except inside a private network")
		return true
	}
	d.ok(check, "%s", u.Redacted())
	return true
}

func (d *doctor) port() string {
	switch {
	case d.base.Port() != "":
		return d.base.Port()
	case d.base.Scheme == "https":
		return "443"
	}
	return "80"
}

// resolves looks the host up.
func (d *doctor) resolves(ctx context.Context) bool {
	const check = "dns"
	host := d.base.Hostname()
	if net.ParseIP(host) != nil {
		d.addresses = []string{net.JoinHostPort(host, d.port())}
		d.ok(check, "%s is an address", host)
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	found, err := d.Resolve(ctx, host)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound, err == nil && len(found) == 0:
		d.fail(check, "there is no host "+host, "look for a typing mistake in --url (SV_URL); or add the name to the DNS of its zone")
		return false
	case err != nil:
		d.fail(check, err.Error(), "does this machine reach its DNS servers (/etc/resolv.conf)?")
		return false
	}
	slices.Sort(found)
	for _, a := range slices.Compact(found) {
		d.addresses = append(d.addresses, net.JoinHostPort(a, d.port()))
	}
	d.ok(check, "%s is %s", host, strings.Join(found, ", "))
	return true
}

// connects tries every address, as some clients get the one and some the other.
func (d *doctor) connects(ctx context.Context) bool {
	const check = "tcp"
	var good []string
	for _, a := range d.addresses {
		begun := time.Now()
		dialer := net.Dialer{Timeout: d.Timeout}
		nc, err := dialer.DialContext(ctx, "tcp", a)
		if err == nil {
			d.ok(check, "%s answers after %v", a, time.Since(begun).Round(100*time.Microsecond))
			good = append(good, a)
			_ = nc.Close() // nothing was written to it
			continue
		}
		text, fix := a+": "+err.Error(), "look at routes and firewalls between this machine and "+a
		timeout, ok := err.(net.Error)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			text, fix = a+" refuses connections", "is the server, or the proxy before it, running there and listening on this port (WS_ADDR)?"
		case ok && timeout.Timeout():
			text, fix = a+" does not answer", "look at firewalls, security groups and network policies between this machine and "+a
		case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
			text = "there is no route to " + a
			if strings.HasPrefix(a, "[") {
				fix = "this machine has no IPv6; clients without it take the other addresses"
			}
		}
		if noRoute := strings.HasPrefix(text, "there is no route"); noRoute && len(d.addresses) > 1 {
			d.warn(check, text, fix)
		} else {
			d.fail(check, text, fix)
		}
	}
	d.addresses = good
	return len(good) > 0
}
