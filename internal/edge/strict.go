package edge

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// badRequest answers what gobwas/ws lets pass, or gives no answer to.
const badRequest = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

var (
	errSyntax = errors.New("edge: the request's syntax is wrong")
	errHosts  = errors.New("edge: the request has several Host headers")
	errKey    = errors.New("edge: Sec-WebSocket-Key is not one of 16 bytes")
)

// strict refuses what gobwas/ws lets pass, but no server may: what stands before us
// might read such a request otherwise than we do. request is whole.
func strict(request []byte) error {
	line, rest, _ := bytes.Cut(request, []byte("\r\n"))
	if bytes.Count(line, []byte(" ")) != 2 || control(line) { // RFC 9112, 3
		return errSyntax
	}
	hosts, keys := 0, 0
	for {
		if line, rest, _ = bytes.Cut(rest, []byte("\r\n")); len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") || control(line) { // RFC 9112, 5.1 and 5.2
			return errSyntax
		}
		switch {
		case bytes.EqualFold(name, []byte("Host")):
			hosts++
		case bytes.EqualFold(name, []byte("Sec-WebSocket-Key")):
			keys++
			var key [18]byte // what 24 digits are at most
			value = bytes.Trim(value, " \t")
			if base64.StdEncoding.DecodedLen(len(value)) != len(key) {
				return errKey
			}
			if n, err := base64.StdEncoding.Decode(key[:], value); err != nil || n != 16 { // RFC 6455, 4.2.1
				return errKey
			}
		}
	}
	switch {
	case hosts > 1: // RFC 9112, 3.2
		return errHosts
	case keys > 1: // RFC 6455, 11.3.1
		return errKey
	}
	return nil
}

// control reports whether a line has a control character in it (RFC 9110, 5.5).
func control(line []byte) bool {
	for _, b := range line {
		if b < ' ' && b != '\t' || b == 0x7f {
			return true
		}
	}
	return false
}
