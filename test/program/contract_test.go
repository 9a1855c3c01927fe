package program_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"github.com/socialvibes/vibemesh/internal/wire"
)

func titleOf(t *testing.T, e wire.Event) string {
	t.Helper()
	var toast struct{ Title string }
	if err := json.Unmarshal(e.Payload, &toast); err != nil {
		t.Error(err)
	}
	return toast.Title
}

// TestContractFromOutside has clients on plain TCP sockets, in another language,
// hold sessions with three edge processes, changing the edge each time, while
// 2,000 messages go to users and everybody. Each session gets exactly its own,
// in order.
func TestContractFromOutside(t *testing.T) {
	n := startNATS(t)
	provision(t, n.URL())
	var edges []string
	for range 3 {
		edges = append(edges, start(t, "edge", "WS_NATS_URL="+n.URL(), "WS_RING_BYTES=256KiB").addr)
	}
	api := start(t, "api", "WS_NATS_URL="+n.URL())
	users := []string{"alice", "bob", "Søren & co", "carol"}
	settings, err := json.Marshal(map[string]any{"edges": edges, "users": users, "sessions": 3, "end": "end"})
	if err != nil {
		t.Fatal(err)
	}
	node := exec.Command("node", "../contract/wander.mjs", string(settings))
	var stderr bytes.Buffer
	node.Stderr = &stderr
	stdout, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatalf("node: %v", err)
	}
	results := json.NewDecoder(stdout)
	var ready struct{ Ready int }
	if err := results.Decode(&ready); err != nil || ready.Ready != 3*len(users) {
		t.Fatalf("the clients are not ready: %+v %v\n%s", ready, err, stderr.String())
	}

	js := jetStream(t, n.URL())
	subjects := wire.Subjects{}
	want := map[string][]string{}
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range 2000 {
		title, to := fmt.Sprint("m", i), rnd.IntN(len(users)+1)
		if i == 1999 {
			title, to = "end", len(users)
		}
		audience, body := wire.Broadcast(), map[string]any{"title": title}
		if to < len(users) {
			audience = wire.User(users[to])
			body["to"] = map[string]any{"user": users[to]}
		}
		for u, user := range users {
			if to == u || to == len(users) {
				want[user] = append(want[user], title)
			}
		}
		if i%5 == 0 {
			if status, answer := post(t, api.url(), body); status != 201 {
				t.Fatalf("publish: %d %v", status, answer)
			}
			continue
		}
		subject, err := subjects.Of(audience)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), subject, fmt.Appendf(nil, `{"type":"toast","payload":{"title":%q}}`, title)); err != nil {
			t.Fatal(err)
		}
	}
	moves := 0
	for range 3 * len(users) {
		var got struct {
			User   string
			Titles []string
			Gaps   int
			Moves  int
		}
		if err := results.Decode(&got); err != nil {
			t.Fatalf("a client did not finish: %v\n%s", err, stderr.String())
		}
		moves += got.Moves
		if got.Gaps != 0 || !slices.Equal(got.Titles, want[got.User]) {
			t.Errorf("%s: %d titles and %d gaps, want its %d, in order, once each", got.User, len(got.Titles), got.Gaps, len(want[got.User]))
		}
	}
	if err := node.Wait(); err != nil {
		t.Error(err)
	}
	if moves < 100 {
		t.Errorf("the clients changed the edge %d times only", moves)
	}
}
