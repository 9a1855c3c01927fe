package client

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// Errors of a connection that the client itself ends.
var (
	// ErrSilent: neither a frame nor a ping came for twice the interval at
	// which the edge promised to ping.
	ErrSilent = errors.New("client: the server has gone silent")
	// ErrTooBig: a message was larger than MaxServerFrame.
	ErrTooBig = fmt.Errorf("client: a message of the server is larger than %d bytes", MaxServerFrame)
	// ErrBinary: the protocol has no binary messages.
	ErrBinary = errors.New("client: the server sent a binary message")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("client: the connection is closed")
)

// CloseError is a close frame of the server.
type CloseError struct {
	Code   int        // of wire's errors.json, or of RFC 6455; 1005 when the frame had none
	Reason string     // what the server said beside it
	Retry  wire.Retry // what may be done next
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("the server closed the session: %d %s", e.Code, reasonOf(e))
}

func reasonOf(e *CloseError) string {
	switch {
	case e.Reason != "":
		return e.Reason
	case wire.CloseText(e.Code) != "":
		return wire.CloseText(e.Code)
	default:
		return "(no reason given)"
	}
}

// UpgradeError is an HTTP answer other than 101 to the upgrade.
type UpgradeError struct {
	Status     int
	RetryAfter time.Duration // of the Retry-After header; 0 when there is none
	Body       []byte        // at most 64 KiB, usually a problem document
}

func (e *UpgradeError) Error() string {
	return fmt.Sprintf("the server refused the upgrade: %d %s", e.Status, http.StatusText(e.Status))
}

// retryable reports whether the same request may be accepted later.
func (e *UpgradeError) retryable() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}
