package prometheus_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLive is a mesh of the real program and a real Prometheus. What is broken on purpose
// is what fires, nothing else does, and it is over when it is mended.
func TestLive(t *testing.T) {
	m := startMesh(t)
	p := startPrometheus(t, m)
	eventually(t, 30*time.Second, says("all targets are up"), func() bool {
		_, up := p.query(t, "sum(up)")
		return up == 3
	})
	t.Run("a mesh at rest", func(t *testing.T) { atRest(t, p) })
	m.cause(t)
	t.Run("metrics", func(t *testing.T) { checkMetrics(t, m) })
	t.Run("queries", func(t *testing.T) { checkQueries(t, scraped(t, m.nodes()...)) })
	stop := m.ordinaryLife(t)
	steps := []struct {
		name string
		do   func(*testing.T, *mesh, *server)
	}{
		{"an ordinary day", quiet},
		{"dashboard", dashboardAnswers},
		{"an edge is killed", edgeKilled},
		{"the tail of an edge is cut off", tailCut},
		{"NATS hangs", natsHangs},
		{"clients do not read", clientsStall},
		{"a drain takes longer than it may", drainLate},
	}
	for _, s := range steps {
		if !t.Run(s.name, func(t *testing.T) { s.do(t, m, p) }) {
			break
		}
	}
	stop()
}

// ordinaryLife publishes to somebody who is connected, ten times a second.
func (m *mesh) ordinaryLife(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			m.publish("ada-of-the-test", "hello")
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		ended.Wait()
	}
}

// atRest: nobody is connected and nothing is published. No query answers with what is no
// number, and a panel without any answer says in words what that means.
func atRest(t *testing.T, p *server) {
	eventually(t, 30*time.Second, says("there are rates, and the state of the log"), func() bool {
		n, _ := p.query(t, "rate(vibemesh_edge_delivered_total[1m])")
		logs, _ := p.query(t, "vibemesh_log_bytes")
		return n == 2 && logs == 1
	})
	p.expects(t, 30*time.Second)
	for _, panel := range theDashboard(t).Panels {
		answers := 0
		for _, q := range panel.Targets {
			for _, v := range p.values(t, filled(q.Expr)) {
				answers++
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%s: %v is the answer to %s", panel.Title, v, q.Expr)
				}
			}
		}
		if answers == 0 && panel.Type != "row" && panel.FieldConfig.Defaults.NoValue == "" {
			t.Errorf("%s: it is empty, and does not say what that means", panel.Title)
		}
	}
}

// quiet holds for as long as most rules wait and look back together.
func quiet(t *testing.T, _ *mesh, p *server) {
	p.expects(t, 30*time.Second)
	p.holds(t, 15*time.Second)
}

func edgeKilled(t *testing.T, m *mesh, p *server) {
	m.edges[1].kill()
	p.expects(t, 30*time.Second, "VibemeshDown "+m.edges[1].ops)
	m.edges[1].start()
	m.awaitReady()
	p.expects(t, 30*time.Second)
}

func tailCut(t *testing.T, m *mesh, p *server) {
	m.gate.close()
	p.expects(t, 60*time.Second, "VibemeshTailLost "+m.edges[0].ops)
	p.holds(t, 10*time.Second, "VibemeshTailLost "+m.edges[0].ops)
	m.gate.open()
	m.awaitReady()
	p.expects(t, 60*time.Second)
}

// natsHangs: a nats-server that takes connections and says nothing. Who publishes gets 503.
func natsHangs(t *testing.T, m *mesh, p *server) {
	m.nats.signal(syscall.SIGSTOP)
	fire := []string{"VibemeshAPIErrors", "VibemeshNATSDown", "VibemeshPublishErrors"}
	p.expects(t, 90*time.Second, fire...)
	p.holds(t, 5*time.Second, fire...)
	m.nats.signal(syscall.SIGCONT)
	m.awaitReady()
	p.expects(t, 60*time.Second)
}

// clientsStall: sessions that take nothing, leave and come back, while much is published.
func clientsStall(t *testing.T, m *mesh, p *server) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	query := "?token=" + token(t, "slow")
	for range 30 {
		all.Go(func() {
			for ctx.Err() == nil {
				c, _, err := upgrade(m.edges[0].addr, query, false)
				if err != nil {
					continue
				}
				select {
				case <-ctx.Done():
				case <-time.After(3 * time.Second):
				}
				c.Close()
			}
		})
	}
	text := strings.Repeat("much ", 3900)
	all.Go(func() {
		for ctx.Err() == nil {
			m.publish("slow", text)
		}
	})
	p.expects(t, 60*time.Second, "VibemeshSlowClients "+m.edges[0].ops)
	cancel()
	all.Wait()
	p.expects(t, 60*time.Second)
}

// drainLate: WS_DRAIN_TIMEOUT of this edge is 1 s, and a session that neither moves nor
// answers the close is given more.
func drainLate(t *testing.T, m *mesh, p *server) {
	c, _, err := upgrade(m.edges[0].addr, "?token="+token(t, "stubborn"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m.edges[0].signal(syscall.SIGTERM)
	p.expects(t, 10*time.Second, "VibemeshDrainStuck "+m.edges[0].ops)
	<-m.edges[0].done
	m.edges[0].start()
	m.awaitReady()
	p.expects(t, 60*time.Second)
}

// cause has everything happen that fills a metric: sign-ins of all kinds, a session that
// comes back from too far, one that does not read, one that closes, HTTP on the TLS port.
func (m *mesh) cause(t *testing.T) {
	t.Helper()
	ada := "?token=" + token(t, "ada-of-the-test")
	secure := func(addr string) bool { return addr == m.edges[1].addr }
	for _, e := range m.edges {
		c, line, err := upgrade(e.addr, ada, secure(e.addr))
		if err != nil || !strings.Contains(line, "101") {
			t.Fatalf("%s answers %q, %v", e.name, line, err)
		}
		t.Cleanup(func() { c.Close() })
	}
	for _, query := range []string{"?token=nonsense", ada + "&cursor=AQEA", "?token=" + token(t, "closing"), ""} {
		c, _, err := upgrade(m.edges[0].addr, query, false)
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte{0x88, 0x80, 1, 2, 3, 4}) //nolint:errcheck // a close frame; it may be closed already
		t.Cleanup(func() { c.Close() })
	}
	if c, err := net.Dial("tcp", m.edges[1].addr); err == nil {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		t.Cleanup(func() { c.Close() })
	}
	stalled, _, err := upgrade(m.edges[0].addr, "?token="+token(t, "stalled-of-the-test"), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stalled.Close() })
	get("http://" + m.api.addr + "/api/v1/ws/history")
	text := strings.Repeat("much ", 3900)
	eventually(t, 60*time.Second, says("a session falls behind"), func() bool {
		m.publish("stalled-of-the-test", text)
		return strings.Contains(get("http://"+m.edges[0].ops+"/metrics"), `vibemesh_edge_behind_total{reason="socket"}`)
	})
	m.publish("", "to everybody")
	for _, want := range []string{
		`vibemesh_edge_gaps_total{`, `vibemesh_edge_resume_seconds_count{`, `vibemesh_edge_closes_total{code="1000"}`,
		`vibemesh_edge_handshakes_total{result="token"}`,
	} {
		eventually(t, 20*time.Second, says("%s is shown", want), func() bool {
			return strings.Contains(get("http://"+m.edges[0].ops+"/metrics"), want)
		})
	}
	eventually(t, 20*time.Second, says("the refusal is shown"), func() bool {
		return strings.Contains(get("http://"+m.edges[1].ops+"/metrics"), `vibemesh_edge_connections_refused_total{`)
	})
}

// checkMetrics: the conventions of Prometheus, no person in a label, few series.
func checkMetrics(t *testing.T, m *mesh) {
	for _, n := range m.nodes() {
		text := get("http://" + n.ops + "/metrics")
		promtool(t, text, "check", "metrics")
		for _, uid := range []string{"ada-of-the-test", "stalled-of-the-test"} {
			if strings.Contains(text, uid) {
				t.Errorf("%s shows a user id: %s", n.name, uid)
			}
		}
		if lines := strings.Count(text, "\n"); lines > 1000 {
			t.Errorf("%s shows %d lines", n.name, lines)
		}
	}
}

// mayBeEmpty are panels whose queries have an answer only when something is going on.
var mayBeEmpty = map[string]bool{
	"NATS connections": true, "Connections refused, and sessions closed": true, "Time left, if the last hour goes on": true,
	"What people were told they missed": true, "How far back the ring goes": true, "Coming back, 95% within": true,
}

// dashboardAnswers: Prometheus takes every query of the dashboard, and those of a mesh that
// is well have an answer.
func dashboardAnswers(t *testing.T, _ *mesh, p *server) {
	for _, q := range dashboardQueries(t) {
		series, _ := p.query(t, strings.NewReplacer("offset 1d", "offset 1s", "> 3600", "> 1").Replace(filled(q.expr)))
		if series == 0 && !mayBeEmpty[strings.TrimPrefix(q.at, "the panel ")] && !strings.HasPrefix(q.at, "the annotation ") {
			t.Errorf("%s: no answer to %s", q.at, q.expr)
		}
	}
}
