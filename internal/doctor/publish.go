package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// publishes proves the right to publish without publishing: by asking what takes the same.
func (d *doctor) publishes(ctx context.Context, goodToken bool) {
	switch {
	case d.Secret != "":
		d.mayPublish(ctx, "publish secret", http.Header{http.CanonicalHeaderKey(d.SecretHeader): {d.Secret}},
			"give one of the server's WS_PUBLISH_SECRET as --secret (SV_SECRET), in the header of its WS_PUBLISH_HEADER (--secret-header)")
	case goodToken && d.mayToken:
		d.mayPublish(ctx, "publish token", http.Header{"Authorization": {"Bearer " + d.Token}},
			fmt.Sprintf("give the person the custom claim %q: true (or what WS_PUBLISH_CLAIM says), and get a new token", d.PublishClaim))
	case goodToken:
		d.skip("publish", "this token may not, and no secret was given; --secret (SV_SECRET)")
	default:
		d.skip("publish", "no secret was given; --secret (SV_SECRET)")
	}
}

func (d *doctor) mayPublish(ctx context.Context, check string, cred http.Header, fix string) {
	a, err := d.get(ctx, "/api/v1/ws/status", cred)
	if err == nil && a.status == http.StatusNotFound { // an older server
		a, err = d.get(ctx, "/api/v1/ws/schedule/doctor", cred)
		if err == nil && a.status == http.StatusNotFound && detail(a) != "" {
			d.ok(check, "it is right (asked about a schedule that there is not; nothing was published)")
			return
		}
	}
	if err != nil {
		d.fail(check, err.Error(), "look at the log of the server, and of the proxy before it")
		return
	}
	text := fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	if said := detail(a); said != "" {
		text += ": " + said
	}
	switch a.status {
	case http.StatusOK:
		d.ok(check, "it is right (asked for the status; nothing was published)")
		d.edges(d.whole(ctx, a, cred))
	case http.StatusUnauthorized, http.StatusForbidden:
		d.fail(check, text, fix)
	case http.StatusTooManyRequests:
		d.warn(check, text, "wait as long as Retry-After says")
	case http.StatusServiceUnavailable:
		d.fail(check, text, "the credentials are right, but the API cannot reach NATS: look at its /readyz")
	case http.StatusNotFound:
		d.fail(check, text, "send all paths but /api/v1/ws itself to the APIs; an `edge` process has none of them")
	default:
		d.fail(check, text, "look at the log of the server, and of the proxy before it")
	}
}

// again is how long to wait before the edges are asked again: an API that has just been
// started does not yet know them all.
const again = time.Second

// whole is the body of a status, asked for once more if not all have answered.
func (d *doctor) whole(ctx context.Context, a *answer, cred http.Header) []byte {
	var s struct{ Complete bool }
	if json.Unmarshal(a.body, &s) != nil || s.Complete {
		return a.body
	}
	select {
	case <-ctx.Done():
		return a.body
	case <-time.After(again):
	}
	if second, err := d.get(ctx, "/api/v1/ws/status", cred); err == nil && second.status == http.StatusOK {
		return second.body
	}
	return a.body
}

// detail is what a problem document says; empty for anything else.
func detail(a *answer) string {
	var p struct{ Title, Detail string }
	if json.Unmarshal(a.body, &p) != nil {
		return ""
	}
	return p.Detail
}

// edges looks at what the mesh says of itself.
func (d *doctor) edges(body []byte) {
	const check = "edges"
	var s struct {
		Complete bool
		Edges    []wire.EdgeStatus
		Log      *struct{}
	}
	if err := json.Unmarshal(body, &s); err != nil {
		d.fail(check, "the status cannot be read: "+err.Error(), "is sv-cli as new as the server?")
		return
	}
	var versions, drain, behind []string
	for _, e := range s.Edges {
		if !slices.Contains(versions, e.Version) {
			versions = append(versions, e.Version)
		}
		switch {
		case e.Draining:
			drain = append(drain, e.Node)
		case !e.CaughtUp, e.Lag >= noticeable:
			behind = append(behind, e.Node)
		}
	}
	good := true
	warn := func(when bool, text, fix string) {
		if when {
			good = false
			d.warn(check, text, fix)
		}
	}
	warn(len(s.Edges) == 0, "no edge answers", "are there edges, with the same WS_NATS_URL and WS_SUBJECT_PREFIX as the API?")
	warn(len(versions) > 1, "they run different versions: "+strings.Join(versions, ", "), "finish the roll-out")
	warn(len(drain) > 0, strings.Join(drain, ", ")+" drain", "wait; if it stays so, look at their logs")
	warn(len(behind) > 0, strings.Join(behind, ", ")+" are behind the log", "wait; if it stays so, look at their CPU and at vibemesh_tail_lag_messages")
	warn(s.Log != nil && !s.Complete, "not every edge has answered in time", "ask again; if it stays so, look for an edge that was killed or is overloaded")
	if s.Log == nil {
		d.fail(check, "the log is out of reach of the API", "look at NATS: is JetStream up, with a quorum? `sv-cli doctor --nats …` looks closer")
		return
	}
	if good {
		d.ok(check, "%d of them, all of version %s", len(s.Edges), strings.Join(versions, ", "))
	}
}

// noticeable is how many messages an edge may be behind: they are on their way.
const noticeable = 1000
