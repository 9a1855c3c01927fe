package program_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/socialvibes/vibemesh/internal/wire"
	"github.com/socialvibes/vibemesh/publish"
)

// TestPublishPackage has a backend publish in each way that the package publish has, and
// sees on sockets who receives what, with a log of one and of several partitions.
func TestPublishPackage(t *testing.T) {
	for _, partitions := range []int{1, 4} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			m := start(t, "run", fmt.Sprint("WS_PARTITIONS=", partitions))
			nc, err := nats.Connect(m.nats, nats.CustomInboxPrefix("_INBOX_backend"))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			p, err := publish.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			ada, grace := follow(t, m.url(), "ada"), follow(t, m.url(), "grace@example.com")
			var receipts []publish.Receipt
			keep := func(r publish.Receipt, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				receipts = append(receipts, r)
			}
			toast := func(title string) publish.Toast { return publish.Toast{Title: title} }
			keep(p.Toast(t.Context(), publish.ToUser("ada"), toast("for ada"), publish.IdempotencyKey("1"), publish.ExpiresIn(time.Hour)))
			keep(p.Toast(t.Context(), publish.ToUser("ada"), toast("for ada, again"), publish.IdempotencyKey("1")))
			ada.wants(t, []string{"for ada"}) // between partitions there is no order
			both, err := p.ToastUsers(t.Context(), []string{"ada", "grace@example.com"}, toast("for both"), publish.IdempotencyKey("2"))
			if err != nil || len(both) != 2 {
				t.Fatalf("%+v, %v", both, err)
			}
			ada.wants(t, []string{"for ada", "for both"})
			keep(p.Toast(t.Context(), publish.ToEverybody(), toast("for everybody")))
			ada.wants(t, []string{"for ada", "for both", "for everybody"})
			keep(p.Toast(t.Context(), publish.ToUser("ada"), toast("later"), publish.At(time.Now().Add(time.Second)), publish.IdempotencyKey("3")))
			ada.wants(t, []string{"for ada", "for both", "for everybody", "later"})
			grace.wants(t, []string{"for both", "for everybody"})
			for i, want := range []bool{false, true, false, false} {
				if receipts[i].Duplicate != want {
					t.Errorf("receipt %d: %+v", i, receipts[i])
				}
			}
		})
	}
}

// TestPublishedSignal: a signal reaches who asks for signals.
func TestPublishedSignal(t *testing.T) {
	m := start(t, "run")
	nc, err := nats.Connect(m.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p, err := publish.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, m.url()+"/api/v1/ws?signals=1", token(t, "ada"))
	eventually(t, "subscribed", func() bool { // to ada's signals, and to everybody's
		_, metrics := m.get("http://" + m.ops + "/metrics")
		return strings.Contains(metrics, "vibemesh_signal_subscriptions 2")
	})
	if err := p.Signal(t.Context(), publish.ToUser("ada"), "call", map[string]int{"id": 7}, "grace"); err != nil {
		t.Fatal(err)
	}
	f, err := next(t, c)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"type":"signal","name":"call","to":"user","from":"grace","payload":{"id":7}}`
	if got := string(wire.AppendFrame(nil, f)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
