package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// isToken reports a refusal of the token.
func isToken(err error) bool {
	var closed *client.CloseError
	var upgrade *client.UpgradeError
	return errors.As(err, &closed) && closed.Code == wire.CloseToken || errors.As(err, &upgrade) && upgrade.Status == http.StatusUnauthorized
}

// refusal says what to do about a session that could not be opened.
func refusal(check string, err error) Result {
	r := Result{Check: check, State: Fail, Text: strings.TrimPrefix(err.Error(), "client: ")}
	var (
		upgrade *client.UpgradeError
		closed  *client.CloseError
	)
	switch {
	case isToken(err):
		if errors.As(err, &upgrade) {
			r.Text, _ = refused(upgrade)
		}
		r.Fix = "get a fresh ID token; it must be of the server's FIREBASE_PROJECT_ID (of any project with WS_AUTH=dev: --user), and not revoked"
	case errors.As(err, &upgrade):
		r.Text, r.Fix = refused(upgrade)
	case errors.As(err, &closed):
		r.Fix = fmt.Sprintf("look for %d among the close codes in docs/app-developers.md", closed.Code)
	case errors.Is(err, context.DeadlineExceeded):
		r.Fix = "something between takes the upgrade and passes nothing on: have the proxy pass WebSockets (no buffering of answers)"
	case strings.Contains(err.Error(), "handshake"), strings.Contains(err.Error(), "HTTP"):
		r.Fix = "what answers does not speak WebSocket (RFC 6455): is /api/v1/ws sent to an edge, and passed by the proxy as HTTP/1.1?"
	default:
		r.Fix = "look at the logs of the edge, and of the proxy before it"
	}
	return r
}

// refused reads an answer other than 101.
func refused(e *client.UpgradeError) (text, fix string) {
	var p struct{ Type, Detail string }
	text = fmt.Sprintf("the upgrade was answered with %d %s", e.Status, http.StatusText(e.Status))
	if json.Unmarshal(e.Body, &p) == nil && p.Detail != "" {
		text += ": " + p.Detail
	}
	switch e.Status {
	case http.StatusUpgradeRequired, http.StatusOK, http.StatusMethodNotAllowed:
		return text, "a proxy between strips the headers Upgrade and Connection: have it speak HTTP/1.1 to the edges and pass both " +
			"(nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\")"
	case http.StatusBadRequest:
		return text, "the request does not arrive as it was sent: have the proxy pass Upgrade, Connection and Sec-WebSocket-* unchanged, over HTTP/1.1"
	case http.StatusForbidden:
		return text, "something before the edges forbids it (a firewall for web applications?); for web pages, set WS_ALLOWED_ORIGINS"
	case http.StatusNotFound:
		return text, "send the path /api/v1/ws to the edges; an `api` process has none"
	case http.StatusTooManyRequests:
		return text, "wait; the limits are WS_CONNECTION_RATE, WS_ADDRESS_RATE and WS_ADDRESS_CONNECTIONS (behind a proxy, set WS_PROXY_PROTOCOL: else all clients are one address)"
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return text, "the proxy has no edge behind it: are edges ready (/readyz), and is the port right?"
	case http.StatusServiceUnavailable:
		return text, "the edge is full (WS_CONNECTION_THRESHOLD), drains, or cannot reach NATS: look at its /readyz"
	}
	if e.Status >= 300 && e.Status < 400 {
		return text, "WebSockets follow no redirect: give the URL that it points to as --url"
	}
	return text, "look at the logs of the edge, and of the proxy before it"
}
