package mesh

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

const (
	pingEvery   = 2 * time.Second
	forgetAfter = 3*pingEvery + time.Second // an edge that does not answer pings
)

// edges are those that are there, as far as known.
type edges struct {
	mu    sync.Mutex
	seen  map[string]sighting // by the id of the service
	known bool                // all that are there have had time to answer a ping
}

type sighting struct {
	node string
	at   time.Time
}

func (e *edges) sighted(id, node string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen[id] = sighting{node, time.Now()}
}

func (e *edges) gone(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.seen, id)
}

func (e *edges) know(known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known = known
}

// now are the ids of the edges, and whether that is all.
func (e *edges) now() (ids map[string]bool, known bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids = make(map[string]bool, len(e.seen))
	for id, s := range e.seen {
		if time.Since(s.at) > forgetAfter {
			delete(e.seen, id)
			continue
		}
		ids[id] = true
	}
	return ids, e.known
}

// Run keeps the list of the edges until ctx ends: they say when they come and go, and
// who does not answer pings any more was killed.
func (o *Operator) Run(ctx context.Context) error {
	nc := o.mesh.signal.nc
	heard := make(chan *nats.Msg, 1024)
	inbox := nc.NewInbox()
	for _, subject := range []string{inbox, o.mesh.cfg.Subjects.Control(edgesComeAndGo)} {
		sub, err := nc.ChanSubscribe(subject, heard)
		if err != nil {
			return unavailable(err)
		}
		defer sub.Unsubscribe() //nolint:errcheck // the connection is closed
	}
	subject, err := micro.ControlSubject(micro.PingVerb, serviceName, "")
	if err != nil {
		return err
	}
	ping := func() bool { return nc.PublishRequest(subject, inbox, nil) == nil }
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	asked, reconnects := ping(), nc.reconnects()
	all := time.NewTimer(gatherTimeout)
	defer all.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-heard:
			o.hear(msg)
		case <-all.C:
			o.edges.know(asked)
		case <-tick.C:
			// Who came while this process was cut off has not been heard.
			if now := nc.reconnects(); now != reconnects || !nc.IsConnected() || !asked {
				reconnects = now
				o.edges.know(false)
				all.Reset(gatherTimeout)
			}
			asked = ping()
		}
	}
}

// hear takes the answer to a ping, or what an edge says by itself.
func (o *Operator) hear(msg *nats.Msg) {
	var said struct {
		report
		Metadata map[string]string `json:"metadata"` // of the answer to a ping
	}
	if json.Unmarshal(msg.Data, &said) != nil || said.ID == "" {
		return
	}
	if said.Gone {
		o.edges.gone(said.ID)
		return
	}
	if said.Node == "" {
		said.Node = said.Metadata["node"]
	}
	o.edges.sighted(said.ID, said.Node)
}
