//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socialvibes/vibemesh/internal/auth"
	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// comeBack lets clients come back that left when a share of the log was stored. The
// last message of the log is for everybody: who has it has all that the edge replays.
func (d *diver) comeBack(ctx context.Context) error {
	if d.Sockets == 0 {
		return nil
	}
	pub, err := newNATSPublisher(d.log.url, "sv")
	if err != nil {
		return err
	}
	defer pub.close()
	for i, old := range d.filled.Cursors {
		mark := fmt.Sprintf("the last %d", i)
		if err := pub.publishAcked(ctx, wire.Broadcast(), fmt.Appendf(nil, `{"title":%q}`, mark)); err != nil {
			return err
		}
		name := fmt.Sprintf("%d come back, %d messages behind", d.Sockets, old.Missed)
		var r readings
		var seen comebacks
		err := d.beside(ctx, "publishing beside those", func() (err error) {
			r, err = d.resume(ctx, old.Cursor, mark, &seen)
			return err
		})
		d.out.add(name, r)
		d.out.Gaps += seen.gaps.Load()
		d.out.Again += seen.again.Load()
		if err != nil {
			return err
		}
	}
	return nil
}

// comebacks counts what clients heard that come back.
type comebacks struct {
	gaps  atomic.Int64 // clients that were told that something is missing
	again atomic.Int64 // sessions that ended before all was there
}

// resume lets all clients come back at once with a cursor, and waits until each has a
// message.
func (d *diver) resume(ctx context.Context, cursor, mark string, seen *comebacks) (readings, error) {
	random := newRandom()
	var users []string
	for range d.Sockets {
		users = append(users, d.userID(random))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, depthWait, fmt.Errorf("%w: not all had everything within %v", errIncomplete, depthWait))
	defer cancel()
	return d.measured(func(took *recorder, events *atomic.Int64) error {
		var mu sync.Mutex
		return atOnceEach(ctx, users, len(users), func(ctx context.Context, uid string) error {
			began := time.Now()
			n, err := d.resumeOne(ctx, uid, cursor, mark, seen)
			if err != nil {
				return fmt.Errorf("%s coming back: %w", uid, err)
			}
			mu.Lock()
			took.add(time.Since(began).Nanoseconds())
			mu.Unlock()
			events.Add(int64(n))
			return nil
		})
	})
}

// errAllThere ends a session that has what it waited for.
var errAllThere = errors.New("all there")

// resumeOne comes back, and reads until the marked message. As any client it comes back
// again if the edge ends the session, such as when the log does not answer in time.
func (d *diver) resumeOne(ctx context.Context, uid, cursor, mark string, seen *comebacks) (events int, err error) {
	token, err := auth.MintDev(auth.DevClaims{UID: uid, TTL: tokenLife}, time.Now())
	if err != nil {
		return 0, err
	}
	opts := client.Options{
		URL: "http://" + d.edge.addr, Cursor: cursor, DialTimeout: time.Minute,
		OnRetry: func(error, time.Duration) { seen.again.Add(1) },
	}
	gap := false
	err = client.Follow(ctx, opts, client.StaticToken(token), func(f wire.ServerFrame) error {
		switch f := f.(type) {
		case wire.Hello:
			if !f.Resumed {
				return errors.New("its hello says that the cursor was not accepted")
			}
		case wire.Gap:
			gap = true
		case wire.Event:
			events++
			if titleOf(f) == mark {
				return errAllThere
			}
		}
		return nil
	})
	if !errors.Is(err, errAllThere) {
		return events, err
	}
	if gap {
		seen.gaps.Add(1)
	}
	return events, nil
}

// titleOf is the title of a toast.
func titleOf(e wire.Event) string {
	var toast struct{ Title string }
	_ = json.Unmarshal(e.Payload, &toast) // what is no toast has no title
	return toast.Title
}

// restartEdge starts the edge again and again beside the filled log.
func (d *diver) restartEdge(ctx context.Context) error {
	for range d.Restarts {
		d.edge.kill()
		d.edge = nil
		if err := d.up(ctx); err != nil {
			return err
		}
		d.out.EdgeStart.add(d.edge.took)
	}
	return nil
}
