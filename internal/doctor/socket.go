package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// opened is a session that works.
type opened struct {
	conn  *client.Conn
	hello wire.Hello
}

// ways are how a token travels, by who needs it.
var ways = []struct {
	check string
	in    client.TokenIn
	who   string
}{
	{"upgrade header", client.TokenHeader, "apps and servers"},
	{"upgrade subprotocol", client.TokenSubprotocol, "web pages"},
	{"upgrade query", client.TokenQuery, "clients that can set no header"},
}

// upgrades opens a session with the token in each place where it may be. What only one of
// them does not pass is a warning: the others work.
func (d *doctor) upgrades(ctx context.Context) {
	if d.Token == "" {
		d.reaches(ctx)
		return
	}
	var failed []Result
	worked := false
	for i, w := range ways {
		s, took, err := d.open(ctx, w.in)
		if err == nil {
			worked = true
			d.ok(w.check, "a session at %s after %v, round trip %v (the way of %s)", s.hello.Node, took[0], took[1], w.who)
			if d.session == nil && d.Idle > 0 {
				d.session = s
			} else {
				_ = s.conn.Close(wire.CloseNormal) // it has done its work
			}
			continue
		}
		r := refusal(w.check, err)
		failed = append(failed, r)
		if i == 0 && !isToken(err) {
			break // it is not for the token that it fails
		}
	}
	for _, r := range failed {
		if worked {
			r.State = Warn
			r.Fix = "something between does not pass on where this token was: have it pass Authorization, Sec-WebSocket-Protocol and the query unchanged"
		}
		d.tell(r)
	}
}

// reaches finds without a token whether an edge answers.
func (d *doctor) reaches(ctx context.Context) {
	_, _, err := d.open(ctx, client.TokenHeader)
	if err != nil && isToken(err) {
		d.ok("upgrade", "it reaches an edge, which asks for a token")
		return
	}
	if err == nil {
		err = errors.New("an edge takes sessions without a token")
	}
	d.tell(refusal("upgrade", err))
}

// open waits for the first frame of a session, and for the answer to a ping.
func (d *doctor) open(ctx context.Context, in client.TokenIn) (s *opened, took [2]time.Duration, err error) {
	begun := time.Now()
	conn, err := client.Dial(ctx, client.Options{URL: d.URL, Token: d.Token, TokenIn: in, DialTimeout: d.Timeout})
	if err != nil {
		return nil, took, err
	}
	s = &opened{conn: conn}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	defer func() {
		if err != nil {
			_ = conn.Close(wire.CloseNormal) // the error before it counts
		}
	}()
	for s.hello.Node == "" {
		f, err := conn.Next(ctx)
		if err != nil {
			return nil, took, fmt.Errorf("no hello came: %w", err)
		}
		if hello, ok := f.(wire.Hello); ok {
			s.hello = hello
			break
		}
	}
	took[0] = time.Since(begun).Round(10 * time.Microsecond)
	begun = time.Now()
	if err := conn.Send(ctx, wire.ClientFrame{Type: wire.FramePing}); err != nil {
		return nil, took, err
	}
	if err := untilPong(ctx, conn); err != nil {
		return nil, took, err
	}
	took[1] = time.Since(begun).Round(10 * time.Microsecond)
	return s, took, nil
}

func untilPong(ctx context.Context, conn *client.Conn) error {
	for {
		f, err := conn.Next(ctx)
		if err != nil {
			return fmt.Errorf("no answer to a ping came: %w", err)
		}
		if _, ok := f.(wire.Pong); ok {
			return nil
		}
	}
}

// stays leaves a session alone, and sees whether it is still there.
func (d *doctor) stays(ctx context.Context) {
	const check = "idle"
	if d.Idle <= 0 {
		return
	}
	if d.session == nil {
		d.skip(check, "no session could be opened")
		return
	}
	conn, ping := d.session.conn, time.Duration(d.session.hello.Ping)*time.Second
	defer conn.Close(wire.CloseNormal) //nolint:errcheck // it has done its work
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d.Idle+d.Timeout)
	defer cancel()
	sent := make(chan error, 1)
	later := time.AfterFunc(d.Idle, func() { sent <- conn.Send(ctx, wire.ClientFrame{Type: wire.FramePing}) })
	err := untilPong(ctx, conn)
	if !later.Stop() {
		err = errors.Join(err, <-sent)
	}
	if err != nil {
		d.fail(check, fmt.Sprintf("the session ended after %v: %v", time.Since(begun).Round(time.Second), err),
			fmt.Sprintf("raise the idle timeout of whatever is between above the edge's pings, which come after %v of silence (HAProxy: timeout tunnel; nginx: proxy_read_timeout; "+
				"load balancers of clouds: idle timeout), or lower WS_PING_INTERVAL", ping))
		return
	}
	if d.Idle < ping {
		d.warn(check, fmt.Sprintf("the session outlived %v, but the edge pings after %v only", d.Idle, ping), fmt.Sprintf("give --idle %v or more, to see whether it lives until then", ping+ping/4))
		return
	}
	d.ok(check, "the session outlived %v; the edge pings after %v of silence", d.Idle, ping)
}
