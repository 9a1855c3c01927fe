//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Kinds of a numbered message.
const (
	kindBroadcast = 'b'
	kindUser      = 'u'
	kindCore      = 'c' // by core NATS, for comparison
)

// kindFirst stands among the kinds for the first message after a return: how long
// that took is counted from the connect.
const kindFirst = "first"

// stamp is what the title of every published toast says: who it is for, its
// number (from 0, broadcasts and each user's messages on their own), and when
// it was published.
type stamp struct {
	kind byte
	seq  uint32
	user uint32
	at   int64 // CLOCK_MONOTONIC, ns
}

// The title is the run's name and the fields, each of fixed width.
const (
	runLen   = 6
	seqLen   = 9
	userLen  = 9
	atLen    = 19
	stampLen = 1 + seqLen + userLen + atLen
)

// payload makes a toast payload of size bytes, if its title leaves room for that.
func (s stamp) payload(run string, size int) []byte {
	head := fmt.Sprintf(`{"title":"%s%c%0*d%0*d%0*d"`, run, s.kind, seqLen, s.seq, userLen, s.user, atLen, s.at)
	const around = len(`,"description":""}`)
	pad := size - len(head) - around
	if pad < 1 {
		return []byte(head + "}")
	}
	return []byte(head + `,"description":"` + words(int(s.seq), pad) + `"}`)
}

// prose is what descriptions are cut from: text that compresses as text does.
const prose = "Your order has left the warehouse and should be with you on Thursday before noon. " +
	"Anna replied to your comment on the quarterly plan: let us move the deadline by a week. " +
	"The build of branch main failed after four minutes because two tests in the billing package did not pass. " +
	"Payment of 42.50 EUR to City Library was booked; your balance is 1,318.07 EUR. " +
	"Reminder: the dentist expects you tomorrow at 8:15, and parking behind the house is free. " +
	"Three people joined the group Hiking in the Alps while you were away. " +
	"A new device signed in to your account from Lisbon; if that was not you, change your password now. "

// words gives n bytes of prose, of its own for each of the first messages.
func words(seq, n int) string {
	from := seq * 37 % len(prose)
	return strings.Repeat(prose, (from+n)/len(prose)+1)[from : from+n]
}

// titleMark is what to look for in a frame of a run.
func titleMark(run string) []byte { return []byte(`"title":"` + run) }

// parseStamp finds the stamp in a frame.
func parseStamp(frame, mark []byte) (s stamp, ok bool) {
	i := bytes.Index(frame, mark)
	if i < 0 || len(frame) < i+len(mark)+stampLen {
		return s, false
	}
	f := frame[i+len(mark):]
	s.kind = f[0]
	seq, ok1 := digits(f[1 : 1+seqLen])
	user, ok2 := digits(f[1+seqLen : 1+seqLen+userLen])
	at, ok3 := digits(f[1+seqLen+userLen : stampLen])
	s.seq, s.user, s.at = uint32(seq), uint32(user), at
	return s, ok1 && ok2 && ok3
}

func digits(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// clock reads CLOCK_MONOTONIC, the same in every process, without a system call
// a reading: Go's own monotonic clock is the same one, and only its zero differs.
type clock struct {
	base   time.Time
	offset int64
}

func newClock() clock {
	var ts unix.Timespec
	base := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return clock{base: base} // cannot happen on Linux; latencies would be absurd, not wrong by a bit
	}
	return clock{base: base, offset: ts.Nano()}
}

func (c clock) now() int64 { return c.offset + int64(time.Since(c.base)) }
