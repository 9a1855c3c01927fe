package limit_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/limit"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// TestAdmit plays a few connections against a clock of its own.
func TestAdmit(t *testing.T) {
	type step struct {
		at      float64 // seconds
		from    string  // empty: not known
		refused string
		retry   int // seconds
		release int // 1 + the step whose connection ends instead
	}
	const a, b = "192.0.2.1", "192.0.2.2"
	for _, tt := range []struct {
		name  string
		cfg   limit.Config
		steps []step
	}{
		{"no limits", limit.Config{}, []step{{from: a}, {from: a}, {}, {from: "::1"}}},
		{"rate of all", limit.Config{Rate: 2, Burst: 3}, []step{
			{from: a},
			{from: b},
			{},
			{from: a, refused: limit.Rate, retry: 1},
			{at: 0.4, from: a, refused: limit.Rate, retry: 1},
			{at: 0.5, from: a},
			{at: 0.5, from: b, refused: limit.Rate, retry: 1},
			{at: 60, from: a},
			{at: 60, from: a},
			{at: 60, from: a}, // never more than a burst
			{at: 60, from: a, refused: limit.Rate, retry: 1},
		}},
		{"burst by default is a second's", limit.Config{Rate: 2}, []step{
			{from: a}, {from: a}, {from: a, refused: limit.Rate, retry: 1},
		}},
		{"a slow rate has a burst of one", limit.Config{Rate: 0.1}, []step{
			{from: a}, {from: a, refused: limit.Rate, retry: 10}, {at: 2.5, from: a, refused: limit.Rate, retry: 8}, {at: 10, from: a},
		}},
		{"rate of an address", limit.Config{PerAddressRate: 1, PerAddressBurst: 2}, []step{
			{from: a},
			{from: a},
			{from: a, refused: limit.AddressRate, retry: 1},
			{from: b},
			{},
			{},
			{},
			{at: 1, from: a},
			{at: 1, from: a, refused: limit.AddressRate, retry: 1},
		}},
		{"connections of an address", limit.Config{PerAddress: 2}, []step{
			{from: a},
			{from: a},
			{from: a, refused: limit.AddressCount, retry: 10},
			{from: b},
			{at: 3600, from: a, refused: limit.AddressCount, retry: 10},
			{release: 1},
			{from: a},
			{from: a, refused: limit.AddressCount, retry: 10},
			{release: 2},
			{release: 7},
			{from: a},
			{from: a},
		}},
		{"IPv6 counts by 64 bits", limit.Config{PerAddress: 1}, []step{
			{from: "2001:db8:0:1::1"}, {from: "2001:db8:0:1:ffff::", refused: limit.AddressCount, retry: 10}, {from: "2001:db8:0:2::1"},
		}},
		{"a mapped address is IPv4", limit.Config{PerAddress: 1}, []step{
			{from: "::ffff:" + a}, {from: a, refused: limit.AddressCount, retry: 10}, {from: "::ffff:" + b}, {from: "::" + a},
		}},
		{"this machine and who is not known", limit.Config{PerAddress: 1, PerAddressRate: 1}, []step{
			{}, {}, {from: "127.0.0.1"}, {from: "127.0.0.1"}, {from: "::1"}, {from: "::1"}, {from: "::ffff:127.1.2.3"}, {from: "::ffff:127.1.2.3"},
		}},
		{"who is refused takes nothing from the others", limit.Config{Rate: 1, Burst: 3, PerAddress: 1}, []step{
			{from: a},
			{from: a, refused: limit.AddressCount, retry: 10},
			{from: a, refused: limit.AddressCount, retry: 10},
			{from: b},
			{},
			{from: "192.0.2.3", refused: limit.Rate, retry: 1},
		}},
		{"nor from its own rate", limit.Config{Rate: 1, PerAddressRate: 0.001, PerAddressBurst: 2}, []step{
			{from: a}, {from: a, refused: limit.Rate, retry: 1}, {at: 1, from: a}, {at: 2, from: a, refused: limit.AddressRate, retry: 998},
		}},
		{"a rate outlives the connections", limit.Config{PerAddressRate: 1, PerAddressBurst: 1, PerAddress: 5}, []step{
			{from: a}, {release: 1}, {from: a, refused: limit.AddressRate, retry: 1}, {at: 1, from: a},
		}},
		{"a clock that another loop read before", limit.Config{PerAddressRate: 1, PerAddressBurst: 2, Rate: 10}, []step{
			{at: 10, from: a},
			{at: 9.9, from: a, refused: limit.AddressRate, retry: 1}, // a token that is there at 10
			{at: 10, from: a},
			{at: 10, from: a, refused: limit.AddressRate, retry: 1},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := limit.New(tt.cfg)
			tickets := make([]limit.Ticket, len(tt.steps))
			for i, s := range tt.steps {
				if s.release > 0 {
					l.Release(tickets[s.release-1])
					continue
				}
				var addr netip.Addr
				if s.from != "" {
					addr = netip.MustParseAddr(s.from)
				}
				ticket, v := l.Admit(addr, epoch.Add(time.Duration(s.at*1e9)))
				want := limit.Verdict{Refused: s.refused, RetryAfter: time.Duration(s.retry) * time.Second}
				if v != want {
					t.Fatalf("step %d: got %+v, want %+v", i, v, want)
				}
				if v.Refused != "" && ticket != 0 {
					t.Fatalf("step %d: a ticket for a connection that is refused", i)
				}
				tickets[i] = ticket
			}
		})
	}
}

// nth is an address that nobody else has.
func nth(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// TestRemembersFew: however many addresses come, those without connections are
// remembered up to a bound; the oldest of them are forgotten first, none that has
// a connection is, and one whose rate says nothing any more goes by itself.
func TestRemembersFew(t *testing.T) {
	const remember, live = 256, 100
	for _, counted := range []int{0, 1} {
		t.Run(fmt.Sprint("connections at once ", counted), func(t *testing.T) {
			l := limit.New(limit.Config{PerAddressRate: 0.001, PerAddressBurst: 1, PerAddress: counted, Remember: remember})
			var held []limit.Ticket
			for i := range live * counted {
				ticket, _ := l.Admit(nth(i), epoch)
				held = append(held, ticket)
			}
			for i := live; i < 20_000; i++ {
				ticket, v := l.Admit(nth(i), epoch)
				if v.Refused != "" {
					t.Fatalf("somebody new is refused: %+v", v)
				}
				if _, v := l.Admit(nth(i), epoch); v.Refused == "" {
					t.Fatal("the last to come was forgotten at once")
				}
				l.Release(ticket)
				if n := l.Addresses(); n > remember+len(held) {
					t.Fatalf("%d addresses remembered, %d of them with connections; want at most %d others", n, len(held), remember)
				}
			}
			if _, v := l.Admit(nth(live), epoch); v.Refused != "" {
				t.Errorf("the first to come is still remembered: %+v", v)
			}
			for i := range held {
				if _, v := l.Admit(nth(i), epoch.Add(time.Hour)); v.Refused != limit.AddressCount {
					t.Errorf("address %d with a connection: %+v", i, v)
				}
			}
			later := epoch.Add(24 * time.Hour) // all buckets are full
			for i := range 2 * remember {
				ticket, v := l.Admit(nth(100_000+i), later.Add(time.Duration(i)*time.Hour))
				if v.Refused != "" {
					t.Fatal(v)
				}
				l.Release(ticket)
			}
			if n := l.Addresses(); n > len(held)+32 {
				t.Errorf("%d addresses remembered, of which %d have connections and 1 its rate", n, len(held))
			}
		})
	}
}

// TestManyLoops: several goroutines share the addresses; no limit is passed at any
// moment, and nothing is left when all have gone.
func TestManyLoops(t *testing.T) {
	const loops, rounds, addresses, most, burst = 4, 20_000, 50, 3, 30_000
	l := limit.New(limit.Config{PerAddress: most, Rate: 0.001, Burst: burst})
	var now [addresses]atomic.Int32
	var admitted atomic.Int32
	var wg sync.WaitGroup
	for loop := range loops {
		wg.Go(func() {
			type conn struct {
				addr   int
				ticket limit.Ticket
			}
			var open []conn
			leave := func(i int) {
				now[open[i].addr].Add(-1)
				l.Release(open[i].ticket)
				open[i] = open[len(open)-1]
				open = open[:len(open)-1]
			}
			rnd := rand.New(rand.NewPCG(uint64(loop), 1))
			for range rounds {
				if len(open) > 0 && rnd.IntN(2) == 0 {
					leave(rnd.IntN(len(open)))
					continue
				}
				addr := rnd.IntN(addresses)
				ticket, v := l.Admit(nth(addr), epoch)
				switch {
				case v.Refused != "":
				case ticket == 0:
					t.Error("a connection is let in uncounted")
				default:
					open = append(open, conn{addr, ticket})
					admitted.Add(1)
					if n := now[addr].Add(1); n > most {
						t.Errorf("%d connections from one address, want at most %d", n, most)
					}
				}
			}
			for len(open) > 0 {
				leave(0)
			}
		})
	}
	wg.Wait()
	if n := l.Addresses(); n != 0 {
		t.Errorf("%d addresses remembered after all have gone", n)
	}
	if n := admitted.Load(); n < addresses || n > burst {
		t.Errorf("%d connections, want at most %d", n, burst)
	}
	for range burst {
		l.Admit(netip.Addr{}, epoch)
	}
	if _, v := l.Admit(netip.Addr{}, epoch); v.Refused != limit.Rate {
		t.Errorf("got %+v after more than a burst", v)
	}
}

var everyLimit = limit.Config{Rate: 1e9, Burst: 1e9, PerAddressRate: 1e6, PerAddressBurst: 1e6, PerAddress: 1e6}

func BenchmarkAdmit(b *testing.B) {
	for name, cfg := range map[string]limit.Config{"none": {}, "all": everyLimit} {
		b.Run("limits="+name, func(b *testing.B) {
			l := limit.New(cfg)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				rnd := rand.New(rand.NewPCG(rand.Uint64(), 1))
				for pb.Next() {
					ticket, _ := l.Admit(nth(rnd.IntN(1<<16)), epoch)
					l.Release(ticket)
				}
			})
		})
	}
}

// BenchmarkAddress measures the memory of one address that has a connection.
func BenchmarkAddress(b *testing.B) {
	const addresses = 1_000_000
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		l := limit.New(everyLimit)
		for i := range addresses {
			l.Admit(nth(i), epoch)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(l)
	}
	b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/addresses, "bytes/address")
}
