// Package limit decides which connections are let in: how many a second, from
// everybody and from one address, and how many at once from one address.
//
// Several event loops ask at the same time. The addresses are spread over tables
// with a lock each, held for some hundred nanoseconds; buckets are arithmetic on
// the time given, so nothing runs in the background.
package limit

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"net/netip"
	"time"
)

// Config is what is let in. The zero value lets everything in.
type Config struct {
	Rate  float64 // connections a second, of all addresses together; 0: no limit
	Burst int     // of them at once; default what comes in a second

	PerAddressRate  float64 // connections a second from one address; 0: no limit
	PerAddressBurst int     // of them at once; default what comes in a second
	PerAddress      int     // connections at once from one address; 0: no limit

	// Remember bounds the addresses that are remembered although they have no
	// connection, for their rate; default 65536. Beyond it, whoever was away for
	// longest is forgotten, and may come as often as somebody new.
	Remember int
}

// Ticket stands for a connection that is counted; 0 for one that is not.
type Ticket uint32

// Why a connection is refused, as metrics name it.
const (
	Rate         = "rate"          // too many a second, of all together
	AddressRate  = "address_rate"  // too many a second from its address
	AddressCount = "address_count" // too many at once from its address
)

// Verdict is the answer to a connection.
type Verdict struct {
	Refused string // why; empty if it is let in
	// RetryAfter is when it may be worth trying again: whole seconds, as HTTP has it.
	RetryAfter time.Duration
}

// countPatience is the RetryAfter of AddressCount: when one of the address's
// connections ends is not known.
const countPatience = 10 * time.Second

// tableBits: an index in a table has the rest of a Ticket.
const (
	tableBits = 4
	tables    = 1 << tableBits
)

// Limiter remembers who has connected. Its methods may be called from many
// goroutines.
type Limiter struct {
	perAddress uint32
	remember   int // idle addresses in a table
	address    rate
	all        *bucket
	start      time.Time // of the limiter's nanoseconds
	seed       maphash.Seed
	tables     [tables]table
}

// New makes a Limiter.
func New(cfg Config) *Limiter {
	if cfg.Remember <= 0 {
		cfg.Remember = 1 << 16
	}
	l := &Limiter{
		perAddress: uint32(min(max(cfg.PerAddress, 0), math.MaxUint32)),
		remember:   (cfg.Remember + tables - 1) / tables,
		address:    newRate(cfg.PerAddressRate, cfg.PerAddressBurst),
		all:        newBucket(newRate(cfg.Rate, cfg.Burst)),
		start:      time.Now(),
		seed:       maphash.MakeSeed(),
	}
	for i := range l.tables {
		l.tables[i].index = map[uint64]uint32{}
	}
	return l
}

// Admit asks whether a connection from addr may come in now. What it takes of a
// rate is only taken if it may. An addr that is not valid, or this machine's own,
// is not limited as an address: the first is not known, and behind the second is
// often a proxy that stands for everybody.
//
// The Ticket is to be given to Release when the connection has ended.
func (l *Limiter) Admit(addr netip.Addr, now time.Time) (Ticket, Verdict) {
	at := int64(now.Sub(l.start))
	if !addr.IsValid() || addr.Unmap().IsLoopback() || l.perAddress == 0 && !l.address.limits() {
		return 0, l.admitAny(at)
	}
	key := keyOf(addr)
	table := uint32(maphash.Comparable(l.seed, key) % tables)
	t := &l.tables[table]
	t.mu.Lock()
	defer t.mu.Unlock()
	i, known := t.index[key]
	e := &entry{full: at}
	if known {
		e = t.at(i)
	}
	full, verdict := l.judge(e, at)
	if verdict.Refused != "" {
		return 0, verdict
	}
	// Asked last, so that those who are refused take nothing from the others.
	if verdict = l.admitAny(at); verdict.Refused != "" {
		return 0, verdict
	}
	switch {
	case !known:
		i, e = t.add(key)
	case e.conns == 0:
		t.rouse(e)
	}
	e.full = full
	if l.perAddress > 0 {
		e.conns++
	} else {
		t.rest(i, e)
	}
	t.forget(at, l.remember)
	if l.perAddress == 0 {
		return 0, verdict
	}
	return Ticket(i<<tableBits | table), verdict
}

// admitAny asks the rate of all addresses together.
func (l *Limiter) admitAny(at int64) Verdict {
	if wait := l.all.takeOne(at); wait > 0 {
		return refuse(Rate, wait)
	}
	return Verdict{}
}

// judge asks the limits of one address: what its bucket would be, or a refusal.
func (l *Limiter) judge(e *entry, at int64) (full int64, v Verdict) {
	if l.perAddress > 0 && e.conns >= l.perAddress {
		return e.full, refuse(AddressCount, int64(countPatience))
	}
	if !l.address.limits() {
		return e.full, Verdict{}
	}
	full, wait := l.address.take(e.full, at)
	if wait > 0 {
		return full, refuse(AddressRate, wait)
	}
	return full, Verdict{}
}

func refuse(why string, wait int64) Verdict {
	whole := (time.Duration(wait) + time.Second - 1).Truncate(time.Second)
	return Verdict{Refused: why, RetryAfter: whole}
}

// Release says that a connection has ended. A Ticket is released once; releasing
// 0 does nothing.
func (l *Limiter) Release(ticket Ticket) {
	if ticket == 0 {
		return
	}
	i := uint32(ticket) >> tableBits
	t := &l.tables[ticket%tables]
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.at(i)
	if e.conns--; e.conns > 0 {
		return
	}
	if !l.address.limits() {
		t.remove(i)
		return
	}
	t.rest(i, e)
	t.forget(math.MinInt64, l.remember)
}

// Addresses is how many addresses are remembered now: those with connections, and
// at most about Remember others.
func (l *Limiter) Addresses() int {
	n := 0
	for i := range l.tables {
		t := &l.tables[i]
		t.mu.Lock()
		n += len(t.index)
		t.mu.Unlock()
	}
	return n
}

// keyOf is what an address counts as: of IPv6 its first 64 bits, as many as one
// subscriber is given (RFC 6177). IPv4 is put into a part of 0000::/8 that is
// nobody's (RFC 4291, 2.4).
func keyOf(addr netip.Addr) uint64 {
	addr = addr.Unmap()
	wide := addr.As16()
	if addr.Is4() {
		return 1<<32 | uint64(binary.BigEndian.Uint32(wide[12:]))
	}
	return binary.BigEndian.Uint64(wide[:])
}
