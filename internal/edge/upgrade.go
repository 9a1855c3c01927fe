package edge

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/socialvibes/vibemesh/internal/session"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// subprotocol is what a client may offer to carry its token in a header that
// browsers let it set: "vibemesh.v1, bearer.<token>".
const subprotocol = "vibemesh.v1"

// params is what a client asks for in its request.
type params struct {
	token   string
	ask     session.Ask
	topics  []string
	signals bool   // it wants signals
	unread  bool   // hello is to say how many events are unread
	deflate bool   // permessage-deflate was offered and is accepted
	wrong   string // what is wrong with the URL, or empty
}

// upgradeIO lets gobwas/ws upgrade over bytes that were already read.
type upgradeIO struct {
	*bytes.Reader
	bytes.Buffer
}

func (u *upgradeIO) Read(b []byte) (int, error)  { return u.Reader.Read(b) }
func (u *upgradeIO) Write(b []byte) (int, error) { return u.Buffer.Write(b) }

// upgrade answers a request: the bytes of the answer, and, if it was accepted,
// what the client asks for.
func (e *Edge) upgrade(request []byte) (answer []byte, p params, err error) {
	if err := strict(request); err != nil {
		return []byte(badRequest), p, err
	}
	var host, origin string
	var authorization string
	u := ws.Upgrader{
		ReadBufferSize: 2048, WriteBufferSize: 512,
		OnRequest: func(uri []byte) error {
			_, query, _ := strings.Cut(string(uri), "?")
			p = parseQuery(query)
			return nil
		},
		OnHost: func(h []byte) error {
			host = string(h)
			return nil
		},
		OnHeader: func(key, value []byte) error {
			switch {
			case bytes.EqualFold(key, []byte("Origin")):
				origin = string(value)
			case bytes.EqualFold(key, []byte("Authorization")):
				authorization = string(value)
			}
			return nil
		},
		ProtocolCustom: func(offer []byte) (string, bool) {
			return chooseProtocol(string(offer), &p.token)
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) { return nil, e.admit(host, origin) },
	}
	if !e.cfg.NoDeflate {
		u.Negotiate = func(offer httphead.Option) (httphead.Option, error) { return negotiate(offer, &p.deflate) }
	}
	rw := &upgradeIO{Reader: bytes.NewReader(request)}
	if _, err = u.Upgrade(rw); err != nil {
		return rw.Bytes(), p, err // gobwas has written the refusal
	}
	if scheme, token, ok := strings.Cut(authorization, " "); ok && p.token == "" && strings.EqualFold(scheme, "Bearer") {
		p.token = strings.TrimSpace(token)
	}
	return rw.Bytes(), p, nil
}

// admit decides whether a well-formed upgrade is let in.
func (e *Edge) admit(host, origin string) error {
	switch {
	case !e.origins.allows(host, origin):
		return ws.RejectConnectionError(ws.RejectionStatus(http.StatusForbidden),
			ws.RejectionReason("this origin may not connect: add it to WS_ALLOWED_ORIGINS"))
	case e.draining.Load():
		return busy("this edge is draining", 1)
	case e.cfg.Threshold > 0 && e.Sessions() > e.cfg.Threshold:
		return busy("this edge holds as many sessions as it may", 5)
	case e.gen.Load() == nil || e.cfg.CaughtUp != nil && !e.cfg.CaughtUp():
		return busy("this edge has not reached the log yet", 2)
	}
	return nil
}

// busy refuses with 503; a client may come back after some seconds.
func busy(reason string, seconds int) error {
	return ws.RejectConnectionError(ws.RejectionStatus(http.StatusServiceUnavailable), ws.RejectionReason(reason),
		ws.RejectionHeader(ws.HandshakeHeaderHTTP{"Retry-After": []string{strconv.Itoa(seconds)}}))
}

// busyAnswer is the same refusal for when there is no time to read the request.
const busyAnswer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// chooseProtocol accepts subprotocol if it is offered, and finds the token that
// may be beside it.
func chooseProtocol(offer string, token *string) (string, bool) {
	chosen := ""
	for part := range strings.SplitSeq(offer, ",") {
		part = strings.TrimSpace(part)
		if part == subprotocol {
			chosen = part
		} else if t, ok := strings.CutPrefix(part, "bearer."); ok && *token == "" {
			*token = t
		}
	}
	return chosen, true
}

// maxReplay bounds ?replay= before the edge's own limit does.
const maxReplay = 1 << 20

// parseQuery reads the query of the connect URL. What is wrong with it is told
// after the upgrade, where a browser can see it.
func parseQuery(query string) params {
	var p params
	values, err := url.ParseQuery(query)
	if err != nil {
		p.wrong = "the query of the URL cannot be parsed"
	}
	p.token = values.Get("token")
	p.ask.Cursor = values.Get("cursor")
	if v := values.Get("replay"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > maxReplay {
			p.wrong = "replay is not a number of events"
		}
		p.ask.Replay = n
	}
	switch values.Get("unread") {
	case "", "0":
	case "1":
		p.unread = true
	default:
		p.wrong = "unread is 1 or 0"
	}
	switch values.Get("signals") {
	case "", "0":
	case "1":
		p.signals = true
	default:
		p.wrong = "signals is 1 or 0"
	}
	if v := values.Get("topics"); v != "" {
		seen := map[string]bool{}
		for topic := range strings.SplitSeq(v, ",") {
			if _, err := wire.EncodeID(topic); err != nil || !utf8.ValidString(topic) {
				p.wrong = "topics: each has 1 to 128 bytes of UTF-8"
				break
			}
			if !seen[topic] {
				seen[topic] = true
				p.topics = append(p.topics, topic)
			}
		}
		if len(p.topics) > wire.MaxTopics {
			p.wrong = "topics: at most 64"
		}
	}
	return p
}

// originRule decides which pages may connect.
type originRule struct {
	all     bool
	allowed map[string]bool
}

func newOriginRule(origins []string) originRule {
	r := originRule{allowed: map[string]bool{}}
	for _, o := range origins {
		r.all = r.all || o == "*"
		r.allowed[strings.ToLower(strings.TrimSuffix(o, "/"))] = true
	}
	return r
}

// allows: no Origin is no browser, which nothing here protects from itself; the
// same origin is the page this server served.
func (r originRule) allows(host, origin string) bool {
	if origin == "" || r.all || r.allowed[strings.ToLower(origin)] {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}
