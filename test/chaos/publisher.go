package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// publish stores a message, under an id that makes repeating it safe, and returns
// its sequence in the log. It takes attemptLimit at most.
type publish func(ctx context.Context, s *Subject, number uint32) (seq uint64, err error)

const (
	attemptLimit = 3 * time.Second
	retryPause   = 100 * time.Millisecond
	// A message is repeated under its id for no longer than the log remembers ids
	// (two minutes), with a margin for copies that are still under way.
	repeatLimit = 90 * time.Second
)

// lane is one publisher: it alone publishes to its subjects, one message after
// the other.
type lane struct {
	subjects []*Subject
	publish  publish
	interval time.Duration
	rnd      *rand.Rand
	last     atomic.Int64 // when the message was begun that was acknowledged last, since the run began
}

// Publishers are all lanes.
type Publishers struct {
	fleet *Fleet
	lanes []*lane
	conns []*nats.Conn

	failures atomic.Int64 // attempts that were not acknowledged
	wrong    findings     // answers that make no sense

	stop chan struct{}
	wg   sync.WaitGroup
}

// findings collects texts from several goroutines.
type findings struct {
	mu    sync.Mutex
	texts []string
}

func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

func (f *findings) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.texts...)
}

// Load says how much is published: messages a second of all publishers.
type Load struct {
	Rate float64
}

// What part of the messages goes where, and the publishers that do it. One in eight
// of users and topics is published to by REST.
const (
	broadcastShare = 0.02
	topicShare     = 0.15
	userLanes      = 24
	topicLanes     = 8
)

// NewPublishers gives each subject of the ledger its publisher.
func NewPublishers(c *Cluster, f *Fleet, load Load, seed uint64) (*Publishers, error) {
	p := &Publishers{fleet: f, stop: make(chan struct{})}
	var overNATS []publish
	for range 3 {
		nc, err := nats.Connect(c.publish, nats.Name("chaos publisher"), nats.MaxReconnects(-1),
			nats.ReconnectWait(100*time.Millisecond), nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2),
			nats.Timeout(2*time.Second), nats.ReconnectBufSize(-1), nats.CustomInboxPrefix("_INBOX_chaos"), quiet)
		if err != nil {
			return nil, err
		}
		p.conns = append(p.conns, nc)
		js, err := jetstream.New(nc)
		if err != nil {
			return nil, err
		}
		overNATS = append(overNATS, publishNATS(js))
	}
	overREST := publishREST(c.API.Addr)
	add := func(rate float64, lanes int, subjects []*Subject) {
		lanes = min(lanes, len(subjects))
		for i := range lanes {
			l := &lane{
				interval: time.Duration(float64(time.Second) * float64(lanes) / rate), rnd: rand.New(rand.NewPCG(seed, uint64(1_000_000+len(p.lanes)))),
				publish: overNATS[i%len(overNATS)],
			}
			if i%8 == 7 {
				l.publish = overREST
			}
			for j := i; j < len(subjects); j += lanes {
				l.subjects = append(l.subjects, subjects[j])
			}
			p.lanes = append(p.lanes, l)
		}
	}
	byKind := map[wire.Kind][]*Subject{}
	for _, s := range f.ledger.Subjects {
		byKind[s.Audience.Kind] = append(byKind[s.Audience.Kind], s)
	}
	add(load.Rate*broadcastShare, 1, byKind[wire.KindBroadcast])
	add(load.Rate*topicShare, topicLanes, byKind[wire.KindTopic])
	add(load.Rate*(1-broadcastShare-topicShare), userLanes, byKind[wire.KindUser])
	return p, nil
}

// quiet: connections break all the time here, and nobody needs to be told.
var quiet = nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})

// Start begins publishing.
func (p *Publishers) Start() {
	for _, l := range p.lanes {
		p.wg.Go(func() { p.run(l) })
	}
}

// Stop ends publishing when each lane has its last acknowledgement.
func (p *Publishers) Stop() {
	close(p.stop)
	p.wg.Wait()
	for _, nc := range p.conns {
		nc.Close()
	}
}

// run publishes on one lane until it is stopped.
func (p *Publishers) run(l *lane) {
	next := time.Now().Add(time.Duration(l.rnd.Int64N(int64(l.interval))))
	for len(l.subjects) > 0 {
		select {
		case <-p.stop:
			return
		case <-time.After(time.Until(next)):
		}
		i := l.rnd.IntN(len(l.subjects))
		if !p.one(l, l.subjects[i]) {
			// Whether it is in the log nobody knows, nor whether a copy may still get
			// there: nothing can follow it in order.
			l.subjects = append(l.subjects[:i], l.subjects[i+1:]...)
		}
		// What could not be published in time is not made up for: the rate is a limit.
		next = maxTime(next.Add(l.interval), time.Now())
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// one publishes the next message of a subject, again and again until it is
// acknowledged. It is false when it never was.
func (p *Publishers) one(l *lane, s *Subject) bool {
	number, began := s.Begin(), p.fleet.now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), attemptLimit)
		seq, err := l.publish(ctx, s, number)
		cancel()
		var wrong *wrongAnswer
		switch {
		case err == nil:
			if err := s.Acknowledge(seq, p.fleet.now()); err != nil {
				p.wrong.add("%s %v", clock(p.fleet.now()), err)
			}
			l.last.Store(int64(began))
			return true
		case errors.As(err, &wrong):
			p.wrong.add("%s publishing %s %d: %v", clock(p.fleet.now()), s.Name, number, err)
		}
		p.failures.Add(1)
		if p.fleet.now()-began > repeatLimit {
			return false
		}
		time.Sleep(retryPause)
	}
}

// flowing reports whether each lane has had an acknowledgement for a message that it began
// after a time.
func (p *Publishers) flowing(after time.Duration) bool {
	for _, l := range p.lanes {
		if time.Duration(l.last.Load()) <= after {
			return false
		}
	}
	return true
}

// publishNATS publishes straight to the log.
func publishNATS(js jetstream.JetStream) publish {
	return func(ctx context.Context, s *Subject, number uint32) (uint64, error) {
		text, err := json.Marshal(map[string]any{"type": wire.TypeToast, "payload": payload(s, number)})
		if err != nil {
			return 0, err
		}
		ack, err := js.Publish(ctx, s.Name, text, jetstream.WithMsgID(fmt.Sprintf("chaos-%d-%d", s.Index, number)))
		if err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	}
}

// wrongAnswer is an HTTP answer that the API may not give.
type wrongAnswer struct{ text string }

func (e *wrongAnswer) Error() string { return e.text }

// publishREST publishes by the API, with an Idempotency-Key.
func publishREST(addr string) publish {
	client := &http.Client{Timeout: attemptLimit}
	return func(ctx context.Context, s *Subject, number uint32) (uint64, error) {
		var body struct {
			To map[string]string `json:"to,omitempty"`
			T  string            `json:"title"`
			D  string            `json:"description"`
		}
		text := payload(s, number)
		body.T, body.D = text["title"], text["description"]
		switch s.Audience.Kind {
		case wire.KindUser:
			body.To = map[string]string{"user": s.Audience.ID}
		case wire.KindTopic:
			body.To = map[string]string{"topic": s.Audience.ID}
		}
		status, header, answer, err := post(ctx, client, addr, "/api/v1/ws/toast", fmt.Sprintf("chaos-%d-%d", s.Index, number), body)
		if err != nil {
			return 0, err
		}
		var receipt struct{ Seq uint64 }
		switch {
		case status == http.StatusCreated:
			err := json.Unmarshal(answer, &receipt)
			if err != nil || receipt.Seq == 0 {
				return 0, &wrongAnswer{fmt.Sprintf("201 %.200q", answer)}
			}
			return receipt.Seq, nil
		case status == http.StatusServiceUnavailable && header.Get("Retry-After") != "":
			return 0, fmt.Errorf("%d %s", status, answer)
		}
		return 0, &wrongAnswer{fmt.Sprintf("%d %.200q", status, answer)}
	}
}

// post sends one request to the API.
func post(ctx context.Context, client *http.Client, addr, path, key string, body any) (status int, header http.Header, answer []byte, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-SV-KEY", secret)
	req.Header.Set("Idempotency-Key", key)
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, answer, err
}
