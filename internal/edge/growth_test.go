package edge

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"runtime"
	runtimemetrics "runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// crowd is an edge with very many live sessions whose socket is /dev/null: a write to
// it is a real system call that takes everything, so what is measured is the edge.
type crowd struct {
	edge *Edge
	seq  uint64
	size float64 // bytes a session: the heap that they hold
}

func newCrowd(tb testing.TB, sessions, loops int) *crowd {
	tb.Helper()
	// One a loop: the kernel counts who uses a file, in one place for all.
	var null []int
	for range loops {
		f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { f.Close() })
		null = append(null, int(f.Fd()))
	}
	e, err := New(Config{Loops: loops}, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(e.closePollers)
	e.Begin([]uint64{1}, wire.Vector{0})
	before := heap()
	expires := time.Now().Add(time.Hour)
	for i := range sessions {
		l := e.loops[i%loops]
		l.deliver.route()
		slot, c := l.conns.add(null[i%loops])
		c.state, c.more = stateSetUp, &more{}
		rep := &reply{ok: true, gen: e.gen.Load(), after: wire.Vector{0}, identity: auth.Identity{UID: userName(i), Expires: expires}}
		l.begin(refOf(slot, c), c, rep)
		if c.state != stateLive || c.more != nil {
			tb.Fatalf("session %d is not idle: %+v", i, c)
		}
	}
	return &crowd{edge: e, size: (heap() - before) / float64(sessions)}
}

func userName(i int) string { return fmt.Sprintf("user-of-firebase-%011d", i) } // 28 bytes, as Firebase has it

// heap is what is live on the heap, in bytes.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func (c *crowd) append(to wire.Audience) {
	c.seq++
	payload := `{"title":"a title of a usual length","teaser":"and a teaser that is somewhat longer than the title"}`
	c.edge.Append(&wire.Entry{
		Position: wire.Position{Life: 1, Seq: c.seq}, Time: time.Now(), Audience: to,
		Envelope: wire.Envelope{Type: "toast", Payload: []byte(payload)},
	})
}

// deliver lets the loops work at the same time until nobody lacks anything, and
// counts the deliveries.
func (c *crowd) deliver() (n uint64) {
	var wg sync.WaitGroup
	for i, l := range c.edge.loops {
		n -= l.counters.delivered.Load()
		if i == 0 {
			continue
		}
		wg.Go(func() { work(l) })
	}
	work(c.edge.loops[0])
	wg.Wait()
	for _, l := range c.edge.loops {
		n += l.counters.delivered.Load()
	}
	return n
}

func work(l *loop) {
	for l.deliver.busy() {
		l.deliver.route()
		l.deliver.slice()
	}
}

// TestCrowd: the benchmarks' sessions get what they should.
func TestCrowd(t *testing.T) {
	c := newCrowd(t, 3000, 2)
	c.append(wire.Broadcast())
	if n := c.deliver(); n != 3000 {
		t.Errorf("%d of 3000 got the broadcast", n)
	}
	c.append(wire.User(userName(7)))
	c.append(wire.User("nobody"))
	if n := c.deliver(); n != 1 {
		t.Errorf("%d got a message for one", n)
	}
}

// BenchmarkGrowth: what a message costs does not grow with the sessions that it is
// not for. bytes/session is the heap; the sockets are the kernel's.
func BenchmarkGrowth(b *testing.B) {
	for _, sessions := range []int{1_000, 100_000, 1_000_000} {
		c := newCrowd(b, sessions, 1)
		b.Run(fmt.Sprintf("user/sessions=%d", sessions), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % sessions
				c.append(wire.User(userName(i)))
				if c.deliver() != 1 {
					b.Fatal("not delivered")
				}
			}
			b.ReportMetric(c.size, "bytes/session")
		})
		b.Run(fmt.Sprintf("nobody/sessions=%d", sessions), func(b *testing.B) {
			for b.Loop() {
				c.append(wire.User("who is elsewhere"))
				if c.deliver() != 0 {
					b.Fatal("delivered to somebody")
				}
			}
		})
		b.Run(fmt.Sprintf("broadcast/sessions=%d", sessions), func(b *testing.B) {
			pauses := pausesNow()
			var n uint64
			for b.Loop() {
				c.append(wire.Broadcast())
				n += c.deliver()
				runtime.GC() // one a sweep: what the collector costs with these sessions
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/delivery")
			b.ReportMetric(pauses.p99()*1e6, "p99-pause-µs")
		})
	}
}

// BenchmarkLoops: deliveries a second of one loop and of two, each of which has half
// of the sessions. It needs two idle cores.
func BenchmarkLoops(b *testing.B) {
	for _, loops := range []int{1, 2} {
		b.Run(fmt.Sprint("loops=", loops), func(b *testing.B) {
			c := newCrowd(b, 200_000, loops)
			var n uint64
			for b.Loop() {
				c.append(wire.Broadcast())
				n += c.deliver()
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// pauses are the collector's, until now.
type pauses struct{ before []uint64 }

const pauseMetric = "/sched/pauses/total/gc:seconds"

func readPauses() *runtimemetrics.Float64Histogram {
	s := []runtimemetrics.Sample{{Name: pauseMetric}}
	runtimemetrics.Read(s)
	return s[0].Value.Float64Histogram()
}

func pausesNow() pauses {
	return pauses{append([]uint64(nil), readPauses().Counts...)}
}

// p99 is the 99th percentile of the pauses since, in seconds: the upper bound of its
// bucket.
func (p pauses) p99() float64 {
	h := readPauses()
	var total, seen uint64
	for i := range h.Counts {
		total += h.Counts[i] - p.before[i]
	}
	for i := range h.Counts {
		if seen += h.Counts[i] - p.before[i]; total > 0 && float64(seen) >= .99*float64(total) {
			return h.Buckets[i+1]
		}
	}
	return math.NaN()
}
