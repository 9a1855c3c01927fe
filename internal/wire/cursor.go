package wire

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxPartitions is the largest number of partitions a log may have.
const MaxPartitions = 256

// maxCursorText bounds what is decoded: a version byte and two varints of at
// most ten bytes a partition, in base64.
const maxCursorText = (1 + MaxPartitions*20) * 4 / 3

const cursorVersion = 1

// ErrCursor is returned for text that is not a cursor.
var ErrCursor = errors.New("wire: not a cursor")

// Position is a place in one partition of the log.
type Position struct {
	// Life tells one life of a stream from the next: the time it was created,
	// in milliseconds since 1970. Sequences of different lives do not compare.
	Life uint64
	// Seq is the stream sequence of the last entry seen, 0 before the first.
	Seq uint64
}

// Vector is a sequence of each partition of the log: a place in all of it.
type Vector []uint64

// Covers reports whether v is at or beyond o in every partition.
func (v Vector) Covers(o Vector) bool {
	for i := range v {
		if v[i] < o[i] {
			return false
		}
	}
	return true
}

// Raised is v, where o is further that.
func (v Vector) Raised(o Vector) Vector {
	out := slices.Clone(v)
	for i := range out {
		out[i] = max(out[i], o[i])
	}
	return out
}

// Cursor is the last position a client has seen, one a partition. It is opaque
// to clients, so that partitioning the log never changes a client.
type Cursor []Position

// String is the text that frames and the connect URL carry: base64url of a
// version byte followed by life and sequence of each partition as varints.
func (c Cursor) String() string { return string(c.AppendText(nil)) }

// AppendText appends the text of c to dst.
func (c Cursor) AppendText(dst []byte) []byte {
	var stack [64]byte
	raw := append(stack[:0], cursorVersion)
	for _, p := range c {
		raw = binary.AppendUvarint(raw, p.Life)
		raw = binary.AppendUvarint(raw, p.Seq)
	}
	return base64.RawURLEncoding.AppendEncode(dst, raw)
}

// ParseCursor reads the text of a cursor. Text of an unknown version, a
// truncated one or a non-canonical one is ErrCursor.
func ParseCursor(text string) (Cursor, error) {
	if len(text) > maxCursorText {
		return nil, ErrCursor
	}
	raw, err := decodeBase64(text)
	if err != nil || len(raw) < 3 || raw[0] != cursorVersion {
		return nil, ErrCursor
	}
	var c Cursor
	for raw = raw[1:]; len(raw) > 0; {
		var p Position
		for _, field := range []*uint64{&p.Life, &p.Seq} {
			v, n := binary.Uvarint(raw)
			if n <= 0 || n > 1 && raw[n-1] == 0 { // the second: a padded varint
				return nil, ErrCursor
			}
			*field, raw = v, raw[n:]
		}
		c = append(c, p)
	}
	if len(c) > MaxPartitions {
		return nil, ErrCursor
	}
	return c, nil
}

// EventID names one entry of the log, for ever: its partition, the stream's
// life and its sequence. A duplicate publish gets the id of the original.
type EventID struct {
	Partition int
	Position
}

// String is "<partition>-<life>-<seq>", the numbers in base 36.
func (id EventID) String() string { return string(id.AppendText(nil)) }

// AppendText appends the text of id to dst.
func (id EventID) AppendText(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(id.Partition), 36)
	dst = strconv.AppendUint(append(dst, '-'), id.Life, 36)
	return strconv.AppendUint(append(dst, '-'), id.Seq, 36)
}

// ErrEventID is returned for text that is not an event id.
var ErrEventID = errors.New("wire: not an event id")

// ParseEventID reads the text of an event id.
func ParseEventID(text string) (EventID, error) {
	parts := strings.SplitN(text, "-", 4)
	if len(parts) != 3 {
		return EventID{}, ErrEventID
	}
	var n [3]uint64
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 36, 64)
		if err != nil {
			return EventID{}, fmt.Errorf("%w: %.80q", ErrEventID, text)
		}
		n[i] = v
	}
	id := EventID{Partition: int(n[0]), Position: Position{Life: n[1], Seq: n[2]}}
	if n[0] >= MaxPartitions || id.String() != text {
		return EventID{}, fmt.Errorf("%w: %.80q", ErrEventID, text)
	}
	return id, nil
}
