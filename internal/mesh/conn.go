package mesh

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// conn is a connection to NATS that says at once whether it has a server. A nats.Conn holds
// its lock while it dials, for seconds if a server takes connections and says nothing, and
// every question to it waits for that: a scrape, a probe, a request that is to be refused.
type conn struct {
	*nats.Conn
	down    atomic.Bool // it had a server, and has none
	returns atomic.Uint64
}

// js is JetStream on a connection. What a request of a client may wait for fails at once
// while there is no server.
type js struct {
	jetstream.JetStream
	nc *conn
}

// dialConn connects once.
func dialConn(url string, opts ...nats.Option) (*conn, error) {
	c := &conn{}
	follow := func(o *nats.Options) error {
		lost, back := o.DisconnectedErrCB, o.ReconnectedCB
		o.DisconnectedErrCB = func(nc *nats.Conn, err error) {
			c.down.Store(true)
			if lost != nil {
				lost(nc, err)
			}
		}
		o.ReconnectedCB = func(nc *nats.Conn) { // one after the other: nats.go has one goroutine for both
			c.returns.Add(1)
			c.down.Store(false)
			if back != nil {
				back(nc)
			}
		}
		return nil
	}
	nc, err := nats.Connect(url, append(slices.Clip(opts), follow)...)
	if err != nil {
		return nil, err
	}
	c.Conn = nc
	return c, nil
}

// IsConnected reports whether there is a server. It takes no lock.
func (c *conn) IsConnected() bool { return !c.down.Load() }

// reconnects is how often the connection has come back. It takes no lock.
func (c *conn) reconnects() uint64 { return c.returns.Load() }

// RequestWithContext fails at once while there is no server.
func (c *conn) RequestWithContext(ctx context.Context, subject string, data []byte) (*nats.Msg, error) {
	if !c.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	return c.Conn.RequestWithContext(ctx, subject, data)
}

// PublishMsg fails at once while there is no server.
func (c *conn) PublishMsg(msg *nats.Msg) error {
	if !c.IsConnected() {
		return nats.ErrDisconnected
	}
	return c.Conn.PublishMsg(msg)
}

// Close ends the connection.
func (c *conn) Close() {
	c.down.Store(true)
	c.Conn.Close()
}

// Stream looks a stream up.
func (j js) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if !j.nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	return j.JetStream.Stream(ctx, name)
}

// KeyValue looks a bucket up.
func (j js) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	if !j.nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	return j.JetStream.KeyValue(ctx, bucket)
}

// PublishMsg stores a message.
func (j js) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if !j.nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	return j.JetStream.PublishMsg(ctx, msg, opts...)
}
