//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/socialvibes/vibemesh/internal/wire"
)

// publisher is one way for messages into the server under test. publish keeps
// the order of its calls; flush returns when all of them are acknowledged.
type publisher interface {
	publish(ctx context.Context, to wire.Audience, payload []byte) error
	flush(ctx context.Context) error
	close()
}

// natsPublisher publishes to the subjects of the log, as backends do.
type natsPublisher struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	subjects wire.Subjects
	pending  []jetstream.PubAckFuture
}

func newNATSPublisher(url, prefix string) (*natsPublisher, error) {
	subjects, err := wire.NewSubjects(prefix)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(url, nats.Name("meshbench"), nats.CustomInboxPrefix("_INBOX_meshbench"))
	if err != nil {
		return nil, fmt.Errorf("connecting to NATS at %s: %w", url, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &natsPublisher{nc: nc, js: js, subjects: subjects}, nil
}

func (p *natsPublisher) publish(ctx context.Context, to wire.Audience, payload []byte) error {
	subject, err := p.subjects.Of(to)
	if err != nil {
		return err
	}
	ack, err := p.js.PublishMsgAsync(&nats.Msg{Subject: subject, Data: envelopeOf(payload)})
	if err != nil {
		return fmt.Errorf("publishing to %s: %w", subject, err)
	}
	if p.pending = append(p.pending, ack); len(p.pending) >= 256 {
		return p.flush(ctx)
	}
	return nil
}

// envelopeOf is what NATS carries for a toast.
func envelopeOf(payload []byte) []byte {
	return append(append([]byte(`{"type":"toast","payload":`), payload...), '}')
}

func (p *natsPublisher) flush(ctx context.Context) error {
	defer func() { p.pending = p.pending[:0] }()
	for _, ack := range p.pending {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return fmt.Errorf("JetStream did not store a message: %w", err)
		case <-time.After(10 * time.Second):
			return errors.New("JetStream has not acknowledged a message within 10 s")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (p *natsPublisher) close() { p.nc.Close() }

// restPublisher publishes by the API, one request after the other.
type restPublisher struct {
	url, header, secret string
	client              http.Client
}

func (p *restPublisher) publish(ctx context.Context, to wire.Audience, payload []byte) error {
	body := payload
	if to.Kind == wire.KindUser {
		body = fmt.Appendf(nil, `%s,"to":{"user":%q}}`, payload[:len(payload)-1], to.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/api/v1/ws/toast", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(p.header, p.secret)
	resp, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // to its end, so that the connection is used again
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("publishing: %s: %.200s", resp.Status, text)
	}
	return err
}

func (p *restPublisher) flush(context.Context) error { return nil }
func (p *restPublisher) close()                      { p.client.CloseIdleConnections() }

// floorPublisher triggers the floor, with a frame as long as an edge would have made it.
type floorPublisher struct {
	conn    net.Conn
	size    int // of the frame's text, bytes
	pending int
}

func (p *floorPublisher) publish(_ context.Context, _ wire.Audience, payload []byte) error {
	frame := fmt.Appendf(make([]byte, 4), `{"type":"toast","payload":%s}`, payload)
	if pad := p.size - (len(frame) - 4); pad > 0 { // spaces before the last brace
		frame = append(frame[:len(frame)-1], strings.Repeat(" ", pad)+"}"...)
	}
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	p.pending++
	_, err := p.conn.Write(frame)
	return err
}

func (p *floorPublisher) flush(context.Context) error {
	if err := p.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	_, err := io.ReadFull(p.conn, make([]byte, p.pending))
	p.pending = 0
	return err
}

func (p *floorPublisher) close() { _ = p.conn.Close() }
