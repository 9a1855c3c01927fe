package wire

import "embed"

// ProblemTypePrefix is put before a problem's code to make its type URI.
const ProblemTypePrefix = "https://socialvibes.dev/problems/"

// Schemas holds one JSON Schema a known event type, "schemas/<type>.json".
//
//go:embed schemas/*.json
var Schemas embed.FS

// AsyncAPI describes, for machines, what goes over NATS and over sockets.
//
//go:embed asyncapi.json
var AsyncAPI []byte

// Retry is what a client may do after its connection has ended.
type Retry int

// A client comes back with backoff, only after something has changed (such as
// its token), or not at all.
const (
	RetryBackoff Retry = iota
	RetryChanged
	RetryNever
)

// RetryAfterClose finds what a client may do after a close code.
func RetryAfterClose(code int) Retry {
	switch {
	case code == CloseNormal:
		return RetryNever
	case code >= 4400 && code <= 4499:
		return RetryChanged
	default:
		return RetryBackoff
	}
}

// CloseText is what a close frame says beside its code.
func CloseText(code int) string { return closeTexts[code] }

// ProblemOf is the problem type of an HTTP status, empty when it has none.
func ProblemOf(status int) string { return problemOfStatus[status] }
