//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// latency compares the way of a user message through the log and the edge with
// that of the same bytes through core NATS, and through the log to a consumer of it.
// All of it runs from just before the publish, by one connection, to the read in the
// client's epoll, where the subscription of core NATS and of the consumer is one more
// socket.
type latency struct {
	Messages int     `json:"messages"`  // of each kind
	Core     spread  `json:"core"`      // core NATS, publish to subscriber
	Log      spread  `json:"log"`       // what the log itself takes: publish to a consumer that pushes
	Users    spread  `json:"users"`     // publish to socket
	Ack      spread  `json:"ack"`       // publish to the log's acknowledgement, of the same messages
	Ratio    float64 `json:"ratio"`     // of the medians: users to core
	LogRatio float64 `json:"log_ratio"` // users to log
}

// Kinds of a numbered message that no socket gets, but the consumer.
const (
	kindLog = 'l'
	kindAsk = 'q' // behind all others: what they took is asked for
)

// nobody is the user of what is published for the consumer: no socket is theirs.
const nobody = "meshbench-nobody"

// corePublisher is a publisher that can compare itself with core NATS, and the log.
type corePublisher interface {
	publisher
	// server is where NATS listens, for a subscriber of ours.
	server() string
	// publishCore sends to whoever listens now; nobody acknowledges it.
	publishCore(subject string, data []byte) error
	// publishAcked returns when the log has acknowledged the message.
	publishAcked(ctx context.Context, to wire.Audience, payload []byte) error
	// push has the log push what it stores for an audience from now on to a subject,
	// by a consumer that stop deletes.
	push(ctx context.Context, of wire.Audience, subject string) (stop func() error, err error)
}

func (p *natsPublisher) server() string { return p.nc.ConnectedAddr() }

func (p *natsPublisher) publishCore(subject string, data []byte) error {
	return p.nc.PublishMsg(&nats.Msg{Subject: subject, Data: data})
}

func (p *natsPublisher) publishAcked(ctx context.Context, to wire.Audience, payload []byte) error {
	if err := p.publish(ctx, to, payload); err != nil {
		return err
	}
	return p.flush(ctx)
}

func (p *natsPublisher) push(ctx context.Context, of wire.Audience, subject string) (stop func() error, err error) {
	filter, err := p.subjects.Of(of)
	if err != nil {
		return nil, err
	}
	stream, err := p.js.StreamNameBySubject(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("finding the log of %s: %w", filter, err)
	}
	consumer, err := p.js.CreatePushConsumer(ctx, stream, jetstream.ConsumerConfig{
		DeliverSubject: subject, FilterSubject: filter, DeliverPolicy: jetstream.DeliverNewPolicy,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("creating a consumer of %s: %w", stream, err)
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := p.js.DeleteConsumer(ctx, stream, consumer.CachedInfo().Name); err != nil {
			return fmt.Errorf("deleting the consumer of %s: %w", stream, err)
		}
		return nil
	}, nil
}

// latencyPhase publishes by core NATS, for the consumer and to a user in turn, so that
// whatever slows the machine down for a while slows all of them.
func (b *bench) latencyPhase(ctx context.Context) (err error) {
	pub, ok := b.pub.(corePublisher)
	if !ok {
		return errors.New("--latency compares with core NATS: it needs --nats or --bin")
	}
	subject := "meshbench." + b.name6
	first, err := b.subscribe(ctx, pub.server(), subject)
	if err != nil {
		return err
	}
	stop, err := pub.push(ctx, wire.User(nobody), subject+byLog)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	expecting, err := b.armUsers(ctx, b.Latency, b.Latency)
	if err != nil {
		return err
	}
	logged := func(kind byte, seq int) error {
		s := stamp{kind: kind, seq: uint32(seq), at: b.clock.now()}
		return pub.publishAcked(ctx, wire.User(nobody), s.payload(b.name6, b.Size))
	}
	var acks recorder
	err = steadily(ctx, 3*b.Latency, b.LatencyRate, func(k int) error {
		switch k % 3 {
		case 0:
			s := stamp{kind: kindCore, seq: uint32(k / 3), at: b.clock.now()}
			return pub.publishCore(subject+byCore, envelopeOf(s.payload(b.name6, b.Size)))
		case 1:
			return logged(kindLog, k/3)
		}
		began := b.clock.now()
		err := b.userMessageBy(ctx, pub.publishAcked)
		acks.add(b.clock.now() - began)
		return err
	})
	if err != nil {
		return err
	}
	a, err := expecting.gather(ctx, "done", b.Wait)
	if err != nil {
		return err
	}
	if err := logged(kindAsk, b.Latency); err != nil {
		return err
	}
	inLog, err := first.gather(ctx, "logged", b.Wait)
	if err != nil {
		return err
	}
	b.out.Latency = b.compared(a.Kinds[string(kindCore)], inLog.Hist, a.Kinds[string(kindUser)], acks.take())
	return nil
}

func (b *bench) compared(core, inLog, users, acks hist) *latency {
	ratio := func(to hist) float64 { return float64(users.quantile(.5)) / float64(max(to.quantile(.5), 1)) }
	return &latency{
		Messages: b.Latency, Core: spreadOf(core), Log: spreadOf(inLog), Users: spreadOf(users), Ack: spreadOf(acks),
		Ratio: ratio(core), LogRatio: ratio(inLog),
	}
}

// subscribe makes the first worker a subscriber of NATS, beside its sockets. It gives
// a fleet of only that worker.
func (b *bench) subscribe(ctx context.Context, server, subject string) (*fleet, error) {
	if _, err := loopback(server); err != nil {
		return nil, fmt.Errorf("--nats: %w", err)
	}
	first := *b.fleet
	first.workers = first.workers[:1]
	if err := first.workers[0].tell(command{Op: "subscribe", Addr: server, Subject: subject}); err != nil {
		return nil, err
	}
	_, err := first.gather(ctx, "subscribed", 10*time.Second)
	return &first, err
}
