//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/socialvibes/vibemesh/internal/client"
	"github.com/socialvibes/vibemesh/internal/wire"
)

// onlooker publishes to a user of its own, who has a socket, while something else
// happens. It is a process of its own: what it sees is the mesh, not how busy the
// clients beside it keep their process.
type onlooker struct {
	NATS string  `arg:"" help:"URL of NATS."`
	Edge string  `arg:"" help:"Address of the edge."`
	Rate float64 `arg:"" help:"Messages a second."`

	acked, delivered hist
}

// onlooked is what an onlooker prints at its end.
type onlooked struct {
	Acked     hist `json:"acked"`
	Delivered hist `json:"delivered"`
}

// onlookerID is the user; hardly a message of the log is for them.
const onlookerID = "meshbench-onlooker"

// aloneFor is how long the onlooker publishes alone.
const aloneFor = 5 * time.Second

// publishAlone sees what publishing takes while nobody reads.
func (d *diver) publishAlone(ctx context.Context) error {
	return d.beside(ctx, "publishing alone", func() error { return sleep(ctx, aloneFor) })
}

// beside publishes as long as do takes, and reports it under a name.
func (d *diver) beside(ctx context.Context, name string, do func() error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "onlooker", d.log.url, d.edge.addr, strconv.FormatFloat(d.Publish, 'f', -1, 64))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the onlooker: %w", err)
	}
	out := bufio.NewReader(stdout)
	if _, err = out.ReadString('\n'); err == nil { // it publishes
		err = do()
	}
	var saw onlooked
	err = errors.Join(err, stdin.Close(), json.NewDecoder(out).Decode(&saw), cmd.Wait())
	d.out.add(name+": acknowledged", readings{took: saw.Acked})
	d.out.add(name+": on the socket", readings{took: saw.Delivered})
	return err
}

// Run publishes until standard input ends.
func (o *onlooker) Run(ctx context.Context) error {
	conn, _, err := dialAs(ctx, o.Edge, onlookerID)
	if err != nil {
		return err
	}
	pub, err := newNATSPublisher(o.NATS, "sv")
	if err != nil {
		return err
	}
	defer pub.close()
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	published := make(chan int, 1)
	failed := make(chan error, 1)
	clock := newClock()
	go func() {
		n, err := o.publish(publishing, pub, clock, o.Rate)
		failed <- err
		published <- n
	}()
	received := make(chan error, 1)
	until := make(chan int, 1)
	go func() { received <- o.receive(ctx, conn, clock, until) }()
	fmt.Println("publishing")

	_, err = io.Copy(io.Discard, os.Stdin)
	stop()
	err = errors.Join(err, <-failed)
	until <- <-published
	select {
	case got := <-received:
		err = errors.Join(err, got)
	case <-time.After(30 * time.Second):
		err = errors.Join(err, fmt.Errorf("%w: what was published meanwhile did not arrive", errIncomplete))
	}
	_ = conn.Close(wire.CloseNormal) // all has arrived, or that is the error
	return errors.Join(err, json.NewEncoder(os.Stdout).Encode(onlooked{o.acked, o.delivered}))
}

// publish publishes steadily until ctx ends, each message when the last is
// acknowledged, and says how many those were. The last is for the receiver to stop at.
func (o *onlooker) publish(ctx context.Context, pub *natsPublisher, clock clock, rate float64) (n int, err error) {
	var acked recorder
	began := time.Now()
	for ; ; n++ {
		due := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			_ = sleep(ctx, wait) // the end of ctx is the end of publishing
		}
		last := ctx.Err() != nil
		at := clock.now()
		title := strconv.Itoa(n) + " " + strconv.FormatInt(at, 10)
		if err := pub.publishAcked(context.WithoutCancel(ctx), wire.User(onlookerID), fmt.Appendf(nil, `{"title":%q}`, title)); err != nil {
			return n, err
		}
		acked.add(clock.now() - at)
		if last {
			o.acked = acked.take()
			return n + 1, nil
		}
	}
}

// receive takes messages until it has as many as until says, in their order.
func (o *onlooker) receive(ctx context.Context, conn *client.Conn, clock clock, until <-chan int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	frames, failed := make(chan wire.ServerFrame), make(chan error, 1)
	go func() {
		for {
			f, err := conn.Next(ctx)
			if err != nil {
				failed <- err
				return
			}
			select {
			case frames <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	var delivered recorder
	for n, all := 0, -1; n != all; {
		select {
		case all = <-until:
		case err := <-failed:
			return fmt.Errorf("the onlooker's session ended: %w", err)
		case f := <-frames:
			event, ok := f.(wire.Event)
			if !ok || event.To != "user" {
				continue // what is for everybody is not counted
			}
			var number int
			var at int64
			if _, err := fmt.Sscanf(titleOf(event), "%d %d", &number, &at); err != nil || number != n {
				return fmt.Errorf("%w: number %d came as %q", errIncomplete, n, titleOf(event))
			}
			delivered.add(clock.now() - at)
			n++
		}
	}
	o.delivered = delivered.take()
	return nil
}
