//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func TestStamp(t *testing.T) {
	s := stamp{kind: kindUser, seq: 123456, user: 7, at: 1<<62 + 5}
	for _, size := range []int{0, 64, 65, 66, 67, 68, 200, 256, 5000} {
		p := s.payload("abc123", size)
		if !json.Valid(p) || size >= 200 && len(p) != size {
			t.Errorf("size %d: %d bytes: %s", size, len(p), p)
		}
		if got, ok := parseStamp(p, titleMark("abc123")); !ok || got != s {
			t.Errorf("size %d: %+v, %v", size, got, ok)
		}
		if _, ok := parseStamp(p, titleMark("other1")); ok {
			t.Error("a message of another run was taken for ours")
		}
		for cut := range len(p) { // no prefix is read beyond its end
			parseStamp(p[:cut], titleMark("abc123"))
		}
	}
}

func TestClockIsTheSameForAll(t *testing.T) {
	a, b := newClock(), newClock()
	for range 100 {
		x, y, z := a.now(), b.now(), a.now()
		if y < x-1e6 || y > z+1e6 {
			t.Fatalf("%d, %d, %d", x, y, z)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var r recorder
	var all []int64
	for range 10000 {
		ns := int64(rand.ExpFloat64() * float64(time.Millisecond))
		r.add(ns)
		all = append(all, ns)
	}
	slices.Sort(all)
	var h hist
	h.merge(r.take())
	for _, q := range []float64{.001, .5, .99, 1} {
		want, got := all[max(0, int(q*10000+.5)-1)], int64(h.quantile(q))
		if got < want || float64(got) > float64(want)*(1+1./64)+1 {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if h.Max != all[len(all)-1] || h.N != 10000 || r.n != 0 {
		t.Errorf("max %d, n %d", h.Max, h.N)
	}
	for ns := int64(0); ns < 1<<40; ns += ns/100 + 1 {
		if top := bucketTop(bucketOf(ns)); top < ns || float64(top) > float64(ns)*(1+1./64) {
			t.Fatalf("%d lies in a bucket up to %d", ns, top)
		}
	}
	if empty := (&hist{}).quantile(.5); empty != 0 {
		t.Errorf("of nothing: %v", empty)
	}
}

func TestFrames(t *testing.T) {
	var stream []byte
	sizes := []int{0, 1, 125, 126, 65535, 65536, maxFrame}
	for _, n := range sizes {
		stream = appendTextFrame(stream, bytes.Repeat([]byte{'x'}, n))
	}
	for _, size := range sizes {
		op, payload, n := nextFrame(stream)
		if op != opText || len(payload) != size || n <= size {
			t.Fatalf("got %d, %d bytes, %d; want %d bytes", op, len(payload), n, size)
		}
		for _, cut := range []int{0, 1, 2, 3, 9, n - 1} {
			if cut < n {
				if _, _, got := nextFrame(stream[:cut]); got != 0 {
					t.Errorf("the first %d bytes of %d: %d", cut, n, got)
				}
			}
		}
		stream = stream[n:]
	}
	for name, b := range map[string][]byte{
		"masked":          {0x81, 0x80, 0, 0, 0, 0},
		"fragment":        {0x01, 0},
		"reserved bit":    {0xc1, 0},
		"beyond maxFrame": {0x81, 127, 0, 0, 0, 0, 0, 2, 0, 1},
		"negative":        {0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255},
	} {
		if _, _, n := nextFrame(b); n != -1 {
			t.Errorf("%s: %d", name, n)
		}
	}
}

func TestCPUOfThisProcess(t *testing.T) {
	before, err := sampleCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 100*time.Millisecond; {
	}
	after, err := sampleCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got := cpuBetween(before, after); got < .01 || got > 2 {
		t.Errorf("100 ms of work took %v CPU seconds", got)
	}
	// When a thread has ended, only the ticks of the whole process are left.
	a := cpuSample{threads: map[string]int64{"1": 5e9, "2": 9e9}, ticks: 1400}
	b := cpuSample{threads: map[string]int64{"1": 6e9, "3": 1e9}, ticks: 1625}
	if got := cpuBetween(a, b); got != 2.25 {
		t.Errorf("with a thread gone: %v, want 2.25", got)
	}
	b.threads["2"] = 9.5e9
	if got := cpuBetween(a, b); got != 2.5 {
		t.Errorf("with a thread more: %v, want 2.5", got)
	}
	if _, err := sampleCPU(1 << 30); err == nil {
		t.Error("a process that is not there has CPU time")
	}
}

func TestTable(t *testing.T) {
	results := []measure{
		{
			Name: "edge", Sockets: 10, Before: memory{RSS: 1000}, After: memory{RSS: 21000},
			Paced:  &phase{Count: 100, CPUSeconds: .5, PerCPU: 200, Seconds: 1, spread: spread{P50MS: 1, P99MS: 2, MaxMS: 3}},
			Faults: map[string]int64{"message missing": 2},
		},
		{Name: "floor-raw", Sockets: 10, Paced: &phase{Count: 100, CPUSeconds: .25, PerCPU: 400, Seconds: 1}},
	}
	var out bytes.Buffer
	if err := print(&out, results, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2000", "400 (0.50)", "0.250 (2.00)", "FAULT edge: message missing: 2"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("without %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "burst") {
		t.Errorf("a phase that was not run is shown:\n%s", out.String())
	}
	out.Reset()
	var back []measure
	if err := print(&out, results, true); err != nil || json.Unmarshal(out.Bytes(), &back) != nil || back[1].Paced.PerCPU != 400 {
		t.Errorf("%v %s", err, out.String())
	}
}

// startTestNATS runs a NATS server with JetStream in this process.
func startTestNATS(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Port: -1, Host: "127.0.0.1", JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(5 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

func TestNATSPublisher(t *testing.T) {
	s := startTestNATS(t)
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newNATSPublisher(s.ClientURL(), "sv")
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.publish(timeout(t), wire.Broadcast(), []byte(`{}`)); err == nil {
		err = p.flush(timeout(t))
		if err == nil {
			t.Error("published to no stream without an error")
		}
	}
	stream, err := js.CreateStream(timeout(t), jetstream.StreamConfig{Name: "log", Subjects: []string{"sv.ws.>"}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		to := wire.Broadcast()
		if i == 599 {
			to = wire.User("u1")
		}
		if err := p.publish(timeout(t), to, []byte(`{"title":"x"}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.flush(timeout(t)); err != nil {
		t.Fatal(err)
	}
	last, err := stream.GetMsg(timeout(t), 600)
	if err != nil || last.Subject != "sv.ws.user.u1" || string(last.Data) != `{"type":"toast","payload":{"title":"x"}}` {
		t.Errorf("%+v, %v", last, err)
	}
}

func TestRESTPublisher(t *testing.T) {
	var bodies []string
	status := http.StatusCreated
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.URL.Path+" "+r.Header.Get("X-SV-KEY")+" "+string(raw))
		w.WriteHeader(status)
	}))
	defer s.Close()
	p := &restPublisher{url: s.URL, header: "X-SV-KEY", secret: "k"}
	defer p.close()
	for _, to := range []wire.Audience{wire.Broadcast(), wire.User("u1")} {
		if err := p.publish(timeout(t), to, []byte(`{"title":"x"}`)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{`/api/v1/ws/toast k {"title":"x"}`, `/api/v1/ws/toast k {"title":"x","to":{"user":"u1"}}`}
	if !slices.Equal(bodies, want) {
		t.Errorf("got %q, want %q", bodies, want)
	}
	status = http.StatusUnauthorized
	if err := p.publish(timeout(t), wire.Broadcast(), []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a refusal: %v", err)
	}
}
