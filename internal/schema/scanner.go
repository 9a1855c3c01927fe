package schema

import (
	"bytes"
	"unicode/utf8"
)

// scanner reads the few tokens of JSON that quick needs. It never allocates.
type scanner struct{ rest []byte }

func (s *scanner) space() {
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case ' ', '\t', '\n', '\r':
			s.rest = s.rest[1:]
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) null() bool {
	s.space()
	rest, ok := bytes.CutPrefix(s.rest, []byte("null"))
	s.rest = rest
	return ok
}

func (s *scanner) end() bool {
	s.space()
	return len(s.rest) == 0
}

// text reads a string and gives what stands between its quotes, with its escapes
// checked but left as they are.
func (s *scanner) text() (raw []byte, escaped, ok bool) {
	if !s.take('"') {
		return nil, false, false
	}
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			raw, s.rest = s.rest[:i], s.rest[i+1:]
			return raw, escaped, utf8.Valid(raw)
		case c < ' ':
			return nil, false, false
		case c == '\\':
			escaped = true
			n := escapeLen(s.rest[i:])
			if n == 0 {
				return nil, false, false
			}
			i += n - 1
		}
	}
	return nil, false, false
}

// escapeLen is how many bytes an escape takes, 0 when it is none (RFC 8259, 7).
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	if b[1] != 'u' {
		if bytes.IndexByte([]byte(`"\/bfnrt`), b[1]) < 0 {
			return 0
		}
		return 2
	}
	if len(b) < 6 {
		return 0
	}
	for _, c := range b[2:6] {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return 0
		}
	}
	return 6
}
