//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// latency compares the way of a user message through the log and the edge with
// that of the same bytes through core NATS. All of it runs from just before the
// publish, by one connection, to the read in the client's epoll, where the
// subscription of core NATS is one more socket.
type latency struct {
	Messages int     `json:"messages"` // of each kind
	Core     spread  `json:"core"`     // core NATS, publish to subscriber
	Users    spread  `json:"users"`    // publish to socket
	Ack      spread  `json:"ack"`      // publish to the log's acknowledgement, of the same messages
	Ratio    float64 `json:"ratio"`    // of the medians: users to core
}

// corePublisher is a publisher that can compare itself with core NATS.
type corePublisher interface {
	publisher
	// server is where NATS listens, for a subscriber of ours.
	server() string
	// publishCore sends to whoever listens now; nobody acknowledges it.
	publishCore(subject string, data []byte) error
	// publishAcked returns when the log has acknowledged the message.
	publishAcked(ctx context.Context, to wire.Audience, payload []byte) error
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

// latencyPhase publishes by core NATS and to a user in turn, so that whatever slows
// the machine down for a while slows both.
func (b *bench) latencyPhase(ctx context.Context) error {
	pub, ok := b.pub.(corePublisher)
	if !ok {
		return errors.New("--latency compares with core NATS: it needs --nats or --bin")
	}
	subject := "meshbench." + b.name6
	if err := b.subscribe(ctx, pub.server(), subject); err != nil {
		return err
	}
	expecting, err := b.armUsers(ctx, b.Latency, b.Latency)
	if err != nil {
		return err
	}
	var acks recorder
	err = steadily(ctx, 2*b.Latency, b.LatencyRate, func(k int) error {
		if k%2 == 0 {
			s := stamp{kind: kindCore, seq: uint32(k / 2), at: b.clock.now()}
			return pub.publishCore(subject, envelopeOf(s.payload(b.name6, b.Size)))
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
	core, users := a.Kinds[string(kindCore)], a.Kinds[string(kindUser)]
	b.out.Latency = &latency{
		Messages: b.Latency, Core: spreadOf(core), Users: spreadOf(users), Ack: spreadOf(acks.take()),
		Ratio: float64(users.quantile(.5)) / float64(max(core.quantile(.5), 1)),
	}
	return nil
}

// subscribe makes the first worker a subscriber of core NATS, beside its sockets.
func (b *bench) subscribe(ctx context.Context, server, subject string) error {
	if _, err := loopback(server); err != nil {
		return fmt.Errorf("--nats: %w", err)
	}
	first := *b.fleet
	first.workers = first.workers[:1]
	if err := first.workers[0].tell(command{Op: "subscribe", Addr: server, Subject: subject}); err != nil {
		return err
	}
	_, err := first.gather(ctx, "subscribed", 10*time.Second)
	return err
}
