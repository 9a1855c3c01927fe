package limit_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/limit"
	"pgregory.net/rapid"
)

// credits is a token bucket as one would count it by hand: time is saved up, and
// a token costs a part of it.
type credits struct {
	cost, most, saved time.Duration
	last              time.Time
}

func newCredits(perSecond float64, burst int, now time.Time) *credits {
	cost := time.Duration(float64(time.Second) / perSecond)
	return &credits{cost: cost, most: cost * time.Duration(burst), saved: cost * time.Duration(burst), last: now}
}

func (c *credits) enough(now time.Time) bool {
	c.saved, c.last = min(c.saved+now.Sub(c.last), c.most), now
	return c.saved >= c.cost
}

// model is a Limiter that forgets nobody and has no tables.
type model struct {
	cfg   limit.Config
	all   *credits
	rates map[netip.Prefix]*credits
	conns map[netip.Prefix]int
}

func (m *model) admit(addr netip.Addr, now time.Time) (refused string, by netip.Prefix) {
	if addr.IsValid() && !addr.Unmap().IsLoopback() {
		addr = addr.Unmap()
		bits := 32
		if addr.Is6() {
			bits = 64
		}
		by = netip.PrefixFrom(addr, bits).Masked()
		if m.cfg.PerAddress > 0 && m.conns[by] >= m.cfg.PerAddress {
			return limit.AddressCount, by
		}
		if m.cfg.PerAddressRate > 0 && m.rates[by] == nil {
			m.rates[by] = newCredits(m.cfg.PerAddressRate, m.cfg.PerAddressBurst, now)
		}
		if m.cfg.PerAddressRate > 0 && !m.rates[by].enough(now) {
			return limit.AddressRate, by
		}
	}
	if m.all != nil {
		if !m.all.enough(now) {
			return limit.Rate, by
		}
		m.all.saved -= m.all.cost
	}
	if by.IsValid() {
		if m.cfg.PerAddressRate > 0 {
			m.rates[by].saved -= m.rates[by].cost
		}
		m.conns[by]++
	}
	return "", by
}

// TestAsByHand: whatever comes and goes, the verdicts are those of the model.
func TestAsByHand(t *testing.T) {
	rates := []float64{0, 0.5, 1, 4, 100, 1000} // of whole nanoseconds a token
	addrs := []netip.Addr{{}}
	for _, a := range []string{
		"127.0.0.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::1",
	} {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	rapid.Check(t, func(t *rapid.T) {
		cfg := limit.Config{
			Rate: rapid.SampledFrom(rates).Draw(t, "rate"), Burst: rapid.IntRange(1, 20).Draw(t, "burst"),
			PerAddressRate:  rapid.SampledFrom(rates).Draw(t, "rate of an address"),
			PerAddressBurst: rapid.IntRange(1, 5).Draw(t, "burst of an address"),
			PerAddress:      rapid.IntRange(0, 3).Draw(t, "connections of an address"),
		}
		now := epoch
		m := &model{cfg: cfg, rates: map[netip.Prefix]*credits{}, conns: map[netip.Prefix]int{}}
		if cfg.Rate > 0 {
			m.all = newCredits(cfg.Rate, cfg.Burst, now)
		}
		l := limit.New(cfg)
		type conn struct {
			ticket limit.Ticket
			by     netip.Prefix
		}
		var open []conn
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "pass")) * time.Millisecond)
			case 1:
				if len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(t, "release")
					l.Release(open[i].ticket)
					m.conns[open[i].by]--
					open = append(open[:i], open[i+1:]...)
				}
			default:
				addr := rapid.SampledFrom(addrs).Draw(t, "from")
				want, by := m.admit(addr, now)
				ticket, v := l.Admit(addr, now)
				if v.Refused != want || (v.RetryAfter > 0) != (want != "") {
					t.Fatalf("%v: got %+v, want %q", addr, v, want)
				}
				if v.Refused == "" {
					open = append(open, conn{ticket, by})
				}
			}
		}
		if n := len(m.rates) + len(m.conns); l.Addresses() > n {
			t.Fatalf("%d addresses remembered, of %d", l.Addresses(), n)
		}
	})
}
