//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// filledLog is what is known of a log that was filled; it stands beside the log.
type filledLog struct {
	Messages   int       `json:"messages"`
	Users      int       `json:"users"`
	Broadcasts float64   `json:"broadcasts"`
	Partitions int       `json:"partitions"`
	ReadMirror bool      `json:"read_mirror"`
	At         time.Time `json:"at"` // when the last message was stored

	// Cursors are what clients got when a share of the messages was stored.
	Cursors []oldCursor `json:"cursors"`
}

type oldCursor struct {
	Missed int    `json:"missed"` // messages behind it, of everybody
	Cursor string `json:"cursor"`
}

// cursorShares are the shares of the messages after which a cursor is kept.
var cursorShares = []float64{0, .5, .9, .99}

const filledName = "depth.json"

// inFlightFill bounds what is published and not yet acknowledged.
const inFlightFill = 8000

// fill fills the log, or finds it filled.
func (d *diver) fill(ctx context.Context) error {
	path := filepath.Join(d.dir, filledName)
	raw, err := os.ReadFile(path)
	if err == nil {
		return d.useFilled(ctx, raw)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.filled = filledLog{
		Messages: d.Messages, Users: d.Users, Broadcasts: d.Broadcasts, Partitions: d.Partitions, ReadMirror: d.ReadMirror,
	}
	bounded, cancel := context.WithTimeoutCause(ctx, depthWait, fmt.Errorf("not ready after %v", depthWait))
	defer cancel()
	if d.log, err = startLog(bounded, d.Bin, d.dir, d.Partitions); err != nil {
		return fmt.Errorf("nats-server: %w", err)
	}
	if err := d.provisionLog(bounded); err != nil {
		return err
	}
	if err := d.up(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := d.store(ctx); err != nil {
		return err
	}
	d.filled.At = time.Now()
	d.out.FillSeconds = time.Since(began).Seconds()
	if raw, err = json.MarshalIndent(d.filled, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}

// useFilled takes a log that was filled before, if it is like the one that is wanted.
func (d *diver) useFilled(ctx context.Context, raw []byte) error {
	f := &d.filled
	if err := json.Unmarshal(raw, f); err != nil {
		return fmt.Errorf("%s: %w", filledName, err)
	}
	if f.Messages != d.Messages || f.Users != d.Users || f.Broadcasts != d.Broadcasts || f.Partitions != d.Partitions {
		return fmt.Errorf("--log: there is a log of %d messages of %d users, %g %% of them broadcasts, in %d partitions: say the same, or take another folder",
			f.Messages, f.Users, f.Broadcasts, f.Partitions)
	}
	if err := d.up(ctx); err != nil {
		return err
	}
	if f.ReadMirror == d.ReadMirror {
		return nil
	}
	return fmt.Errorf("--log: the log there was filled with --read-mirror=%t; provision it otherwise, or take another folder", f.ReadMirror)
}

// store publishes the messages, and takes a cursor now and then.
func (d *diver) store(ctx context.Context) error {
	nc, err := nats.Connect(d.log.url, nats.Name("meshbench depth"), nats.CustomInboxPrefix("_INBOX_meshbench"))
	if err != nil {
		return err
	}
	defer nc.Close()
	refused := make(chan error, 1)
	js, err := jetstream.New(
		nc, jetstream.WithPublishAsyncMaxPending(inFlightFill), jetstream.WithPublishAsyncTimeout(30*time.Second),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) {
			select {
			case refused <- fmt.Errorf("%s was not stored: %w", m.Subject, err):
			default: // the first one says enough
			}
		}))
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(4, 2)) // the same log each time
	for n, shares := 0, cursorShares; ; n++ {
		if len(shares) > 0 && n >= int(shares[0]*float64(d.Messages)) {
			if err := stored(ctx, js, refused); err != nil {
				return err
			}
			if err := d.takeCursor(ctx, js, d.Messages-n); err != nil {
				return err
			}
			shares = shares[1:]
		}
		if n == d.Messages {
			return stored(ctx, js, refused)
		}
		if n%1_000_000 == 0 && n > 0 {
			d.note("%d million stored\n", n/1_000_000)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := d.storeOne(js, random); err != nil {
			return err
		}
	}
}

// storeOne publishes a message to a user, or now and then to everybody, and waits while
// too many are not acknowledged.
func (d *diver) storeOne(js jetstream.JetStream, random *rand.Rand) error {
	to := wire.User(d.userID(random))
	if random.Float64()*100 < d.Broadcasts {
		to = wire.Broadcast()
	}
	subject, err := d.subjects.Of(to)
	if err != nil {
		return err
	}
	_, err = js.PublishAsync(subject, envelopeOf(depthPayload(random, d.Size)), jetstream.WithStallWait(time.Minute))
	if err != nil {
		return fmt.Errorf("publishing to %s: %w", subject, err)
	}
	return nil
}

// userID is a user chosen at random.
func (d *diver) userID(random *rand.Rand) string { return "u" + strconv.Itoa(random.IntN(d.Users)) }

// stored waits until all that was published is acknowledged.
func stored(ctx context.Context, js jetstream.JetStream, refused <-chan error) error {
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Minute):
		return errors.New("JetStream has not acknowledged all messages within a minute")
	}
	select {
	case err := <-refused:
		return err
	default:
		return nil
	}
}

// depthPayload is a toast of about size bytes, no two alike.
func depthPayload(random *rand.Rand, size int) []byte {
	s := stamp{kind: kindUser, seq: random.Uint32N(1e9), at: int64(random.Uint64N(1e18))}
	return s.payload("depth0", size)
}

// takeCursor takes the cursor of a client that has all that is stored, and that misses
// so many messages by the end. An edge may be far behind: a message to the client says
// when it is not.
func (d *diver) takeCursor(ctx context.Context, js jetstream.JetStream, missed int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, depthWait, fmt.Errorf("the edge has not caught up within %v", depthWait))
	defer cancel()
	conn, _, err := d.connect(ctx, onlookerID)
	if err != nil {
		return fmt.Errorf("taking a cursor: %w", err)
	}
	defer conn.Close(wire.CloseNormal)
	subject, err := d.subjects.Of(wire.User(onlookerID))
	if err != nil {
		return err
	}
	if _, err := js.Publish(ctx, subject, envelopeOf([]byte(`{"title":"here"}`))); err != nil {
		return fmt.Errorf("publishing to %s: %w", subject, err)
	}
	for {
		f, err := conn.Next(ctx)
		if err != nil {
			return fmt.Errorf("taking a cursor: %w", err)
		}
		if e, ok := f.(wire.Event); ok && e.To == "user" {
			d.filled.Cursors = append(d.filled.Cursors, oldCursor{Missed: missed, Cursor: e.Cursor})
			return nil
		}
	}
}

// connect opens a session of a user with the edge, who is new.
func (d *diver) connect(ctx context.Context, uid string) (*client.Conn, wire.Hello, error) {
	return dialAs(ctx, d.edge.addr, uid)
}

// dialAs opens a session of a user at an edge.
func dialAs(ctx context.Context, addr, uid string) (*client.Conn, wire.Hello, error) {
	token, err := auth.MintDev(auth.DevClaims{UID: uid, TTL: tokenLife}, time.Now())
	if err != nil {
		return nil, wire.Hello{}, err
	}
	conn, err := client.Dial(ctx, client.Options{URL: "http://" + addr, Token: token})
	if err != nil {
		return nil, wire.Hello{}, err
	}
	first, err := conn.Next(ctx)
	if err != nil {
		return nil, wire.Hello{}, err
	}
	hello, ok := first.(wire.Hello)
	if !ok {
		return nil, hello, fmt.Errorf("the first frame was %T", first)
	}
	return conn, hello, nil
}
